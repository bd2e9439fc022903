/** `audit --sessions`: what the manager of sessions reported to a log is replayed, and found to be as it should be, or not. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Report, type Tallystick, createTallystick } from "@tallystick/client";
import { encodeBase64 } from "@tallystick/core";
import { type VerifiedBatch, encodeOpening } from "@tallystick/events";
import { type Sessions, createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogDouble, TOKEN } from "../../client/test/support/log-double.ts";
import { momentOf } from "../src/sessions-audit.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** A working day that is over: of whole seconds, as witnesses sign them. */
const MORNING = Math.floor(Date.now() / 1000) * 1000 - 12 * HOUR;

let folder: string;
let double: LogDouble;
let log: ScriptedLog;
let openings: Uint8Array[];
let erased: ReadonlySet<number>;
let now: number;
let tally: Tallystick;
let sessions: Sessions;
/** What the application leaves out, or makes of what the manager reports. */
let altered: (event: Report) => Report | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  now = MORNING;
  double = new LogDouble();
  double.now = () => now;
  openings = [];
  erased = new Set();
  altered = (event) => event;
  double.hooks.batch = ({ batch }: VerifiedBatch) => void openings.push(...batch.entries.map(encodeOpening));
  log = await startScriptedLog();
  log.answer = (request, response) => {
    const path = (request.url ?? "").replace("/app/", "");
    const entry = /^v1\/events\/(\d+)$/.exec(path)?.[1];
    if (entry !== undefined) {
      const opening = erased.has(Number(entry)) ? undefined : openings[Number(entry)];
      const answer = opening === undefined ? { code: "erased" } : { opening: encodeBase64(opening) };
      const status = opening === undefined ? 410 : 200;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
      return;
    }
    void double.fetch(`${double.url}/${path}`).then(async (answer) => {
      response.writeHead(answer.status).end(new Uint8Array(await answer.arrayBuffer()));
    });
  };
  await writeFile(join(folder, "policy.txt"), double.policyText);
  const { url, policyText: policy, fetch } = double;
  tally = createTallystick({ url, token: TOKEN, policy, fetch, outbox: join(folder, "outbox"), now: () => now });
  const recorder = {
    record: async (event: Report): Promise<unknown> => {
      const sent = altered(event);
      return sent === undefined ? undefined : tally.record(sent);
    },
  };
  const store = createMemorySessionStore({ now: () => now });
  sessions = createSessions(recorder, { store, idle: "30m", absolute: "8h", sweepIntervalMs: 0 });
});
afterEach(async () => {
  await sessions.close();
  await tally.close();
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

/** Lets time pass, after all that was reported so far has been logged. */
async function pass(ms: number): Promise<void> {
  await sessions.flush();
  await tally.flush();
  now += ms;
}

/** A session of an hour: used, extended, and ended by nobody's doing; gives its id in events. */
async function hour(user: string): Promise<string> {
  const { token, session } = await sessions.start({ user, factors: ["password"] });
  await pass(10 * MINUTE);
  await sessions.check(token);
  await tally.record({ ...read(session.auditId), actor: { type: "user", id: user } });
  await pass(20 * MINUTE);
  await sessions.extend(token);
  await pass(30 * MINUTE);
  await sessions.sweep();
  await pass(0);
  return session.auditId;
}

function read(auditId: string): Report {
  return {
    type: "access.read",
    outcome: "success",
    actor: { type: "user", id: "u1" },
    session: { id: auditId },
    targets: [{ type: "file", id: "f1" }],
  };
}

async function audit(...options: readonly string[]): Promise<Ran> {
  const ran = await runHere(["audit", log.url, "--policy", join(folder, "policy.txt"), "--sessions", ...options]);
  expectClean(ran);
  return ran;
}

describe("audit --sessions", () => {
  test("is VERIFIED, with 0, where every session ended as its limits say, and says what it does not see", async () => {
    await hour("u1");
    const ran = await audit();
    expect(ran).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^VERIFIED {2}/) });
    expect(ran.out).toContain("  sessions 1 replayed, 1 of them ended, by 4 entries; 1 other events\n");
    expect(ran.out).toContain("  not seen: requests that were never reported, and whether what was reported is true\n");
    expect(JSON.parse((await audit("--json")).out)).toMatchObject({
      verdict: "VERIFIED",
      counts: { opened: openings.length },
      sessions: { findings: [], findingsTotal: 0, notes: [], counts: { sessions: 1, ended: 1, unreadable: 0 } },
    });
  });

  test("is REFUTED, with 1, by the rule and the index, where a session was used hours after it had ended", async () => {
    const auditId = await hour("u1");
    await pass(2 * HOUR);
    await tally.record(read(auditId));
    await tally.flush();
    const index = openings.length - 1;
    const ran = await audit();
    expect(ran).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}/) });
    expect(ran.out).toMatch(
      new RegExp(`^ {2}index ${index}: R3 session [0-9a-f]{8}…: access.read after its end \\(idle\\)`, "m"),
    );
    expect(ran.out).toContain("(session-used-after-end)\n");
    expect(JSON.parse((await audit("--json")).out)).toMatchObject({
      verdict: "REFUTED",
      findings: [],
      sessions: { findings: [{ rule: "R3", code: "session-used-after-end", index }], findingsTotal: 1 },
    });
  });

  test("names the entry behind one that never got into the log", async () => {
    altered = (event) => (event.type === "session.extend" ? undefined : event);
    await hour("u1");
    const ran = await audit();
    expect(ran.code).toBe(1);
    expect(ran.out).toContain(`index ${openings.length - 1}: R8 `);
    expect(ran.out).toContain("entry 2 of its chain, before this one, is missing");
  });

  test("shows with --at which sessions were open then, and until when", async () => {
    const first = await sessions.start({ user: "u1", class: "default" });
    await pass(10 * MINUTE);
    const { session } = await sessions.start({ user: "eve, admin" });
    await sessions.end(first.token);
    await pass(HOUR);
    await sessions.sweep();
    await pass(0);
    const at = String(MORNING + 20 * MINUTE);
    const { out, code } = await audit("--at", at);
    expect(code).toBe(0);
    expect(out).toMatch(/^ {2}open {5}1 at [^\n]* \(UTC\), 1 had ended$/m);
    expect(out).toMatch(
      /^ {2}session {2}[0-9a-f]{8}… of "eve, admin", default: since [^\n]* \(index \d\), active [^\n]*, until /m,
    );
    expect(JSON.parse((await audit("--at", new Date(Number(at)).toISOString(), "--json")).out)).toMatchObject({
      sessions: {
        at: {
          time: Number(at),
          openTotal: 1,
          endedBefore: 1,
          open: [
            {
              deadlineAt: MORNING + 40 * MINUTE,
              state: {
                id: session.auditId,
                lastActivityAt: MORNING + 10 * MINUTE,
                limits: { idleMs: 30 * MINUTE, absoluteMs: 8 * HOUR },
              },
            },
          ],
        },
      },
    });
  });

  test("says nothing of a session whose entries cannot be read", async () => {
    await hour("u1");
    erased = new Set([...openings.keys()].filter((index) => index > 1));
    const { sessions: replayed } = JSON.parse((await audit("--json")).out) as { sessions: object };
    expect(replayed).toMatchObject({ findings: [], counts: { sessions: 0, unreadable: openings.length - 2 } });
  });

  test("stands alone: usage that says two things is wrong usage, with 3", async () => {
    const url = [log.url, "--policy", join(folder, "policy.txt")];
    for (const [options, trouble] of [
      [["--sessions", "--certificates"], "--certificates: expected it without --sessions"],
      [["--sessions", "--at", "noon"], "--at: expected a time such as 2026-01-31T09:00:00Z"],
      [["--at", "0"], "--at: expected it with --sessions"],
    ] as const) {
      const ran = await runHere(["audit", ...url, ...options]);
      expectFailure(ran, 3, "audit");
      expect(ran.err).toContain(trouble);
    }
  });
});

describe("momentOf", () => {
  test.each([
    ["1769850000000", 1_769_850_000_000],
    ["2026-01-31T09:00:00Z", 1_769_850_000_000],
    ["2026-01-31T10:00:00.000+01:00", 1_769_850_000_000],
  ])("takes %j", (text, at) => {
    expect(momentOf(text)).toBe(at);
  });

  test.each(["", "-1", "1e9", "2026-01-31", "2026-01-31 09:00", "2026-02-31T25:00:00Z", "9".repeat(16)])(
    "refuses %j",
    (text) => {
      expect(() => momentOf(text)).toThrow("--at: expected a time such as ");
    },
  );

  test.each([
    ["1700000000", 'got "1700000000", which is in 1970: if these are seconds, 1700000000000 is meant'],
    ["946684799999", 'got "946684799999", which is in 1999: if these are seconds, '],
    ["0", 'got "0", which is in 1970'],
    ["1999-12-31T23:59:59Z", 'got "1999-12-31T23:59:59Z", which is in 1999'],
  ])("takes %j for no time of a session, and says what may be meant", (text, words) => {
    expect(() => momentOf(text)).toThrow(`--at: expected a time since 2000, ${words}`);
  });

  test("takes the first moment of 2000", () => {
    expect([momentOf("946684800000"), momentOf("2000-01-01T00:00:00Z")]).toEqual([946_684_800_000, 946_684_800_000]);
  });
});
