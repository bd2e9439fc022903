/** docs/guides/audit-sessions.md: its commands, on a log to which a manager of sessions reports, print what the page shows. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Tallystick, createTallystick } from "@tallystick/client";
import { createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ran, runHere } from "../../packages/cli/test/support/run-here.ts";
import { type Dev, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MINUTE = 60_000;
const home = process.cwd();
/** The store's clock: three hours ago it began. */
let now = Date.now() - 180 * MINUTE;
let moment = 0;
let index = -1;
let folder: string;
let dev: Dev;
let tally: Tallystick;
let ended: string;

/** Three users: one is idle soon, two go on, one of whom comes under stricter limits. */
async function reportSessions(): Promise<void> {
  const store = createMemorySessionStore({ now: () => now });
  const classes = { high: { idle: "10m", absolute: "1h" } } as const;
  const sessions = createSessions(tally, { store, idle: "30m", absolute: "8h", classes, sweepIntervalMs: 0 });
  const first = await sessions.start({ user: "u_80", factors: ["password"] });
  ended = first.session.auditId;
  now += 25 * MINUTE;
  const others = await Promise.all(
    ["u_81", "u_82"].map(async (user) => sessions.start({ user, factors: ["password"] })),
  );
  now += 5 * MINUTE;
  await sessions.sweep();
  const [, second] = others;
  if (second === undefined) throw new Error("expected two sessions");
  await sessions.check(second.token, { class: "high", source: { ip: "192.0.2.7" } });
  moment = now + MINUTE;
  await tally.record({
    type: "access.read",
    outcome: "success",
    time: now,
    actor: { type: "user", id: "u_82" },
    session: { id: second.session.auditId },
    targets: [{ type: "file", id: "f1" }],
  });
  for (const pause of [10, 30]) {
    now += pause * MINUTE;
    await sessions.sweep();
  }
  await sessions.close();
  await tally.flush();
}

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  process.chdir(folder);
  const { url, tokens } = dev.file.log;
  const policy = await readFile(dev.file.policy, "utf8");
  tally = createTallystick({ url, token: tokens.writer, policy, outbox: join(folder, "outbox") });
  await reportSessions();
}, 60_000);

afterAll(async () => {
  process.chdir(home);
  await tally.close();
  await dev.stop();
  await removeFolder(folder);
});

/** Each command of the page with the lines that it prints; … stands for anything. */
function stepsOf(page: string): { command: string; expected: string[] }[] {
  return [...page.matchAll(/```text\n\$ tallystick (.*)\n([\s\S]*?)```/g)].map(([, command = "", lines = ""]) => {
    return { command, expected: lines.trimEnd().split("\n") };
  });
}

function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = ""]) => quoted ?? plain);
  return words.map((word) => (word === "MOMENT" ? String(moment) : word));
}

function patternOf(line: string): RegExp {
  const parts = line.split("…").map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`);
}

/** The first of the lines that the output does not have, in their order. */
function missingIn(out: string, expected: readonly string[]): string | undefined {
  const lines = out.split("\n");
  return expected.find((line) => {
    const at = lines.findIndex((each) => patternOf(line).test(each));
    lines.splice(0, at + 1);
    return at === -1;
  });
}

/** Again until the log has published all that it took. */
async function runUntilShown(command: string, expected: readonly string[]): Promise<Ran> {
  for (let tries = 0; ; tries += 1) {
    const ran = await runHere(wordsOf(command));
    const missing = missingIn(ran.out, expected);
    if (missing === undefined) return ran;
    if (tries === 50) throw new Error(`${command}: expected ${missing}, got ${ran.out}${ran.err}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

test("the commands of the guide print what it shows, and the finding's index is that of the event", async () => {
  const page = await readFile(join(ROOT, "docs/guides/audit-sessions.md"), "utf8");
  const steps = stepsOf(page);
  const ran: Ran[] = [];
  for (const { command, expected } of steps) {
    if (expected[0]?.startsWith("REFUTED") === true) await useAfterEnd();
    ran.push(await runUntilShown(command, expected));
  }
  expect(ran.map(({ code }) => code)).toEqual([0, 0, 1]);
  expect(ran.at(-1)?.out).toContain(`  index ${index}: R3 `);
}, 60_000);

async function useAfterEnd(): Promise<void> {
  const recorded = await tally.record(
    {
      type: "access.read",
      outcome: "success",
      actor: { type: "user", id: "u_80" },
      session: { id: ended },
      targets: [{ type: "file", id: "f1" }],
    },
    { until: "published" },
  );
  index = recorded.index ?? -1;
}
