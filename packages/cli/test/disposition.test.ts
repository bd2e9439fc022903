/** Erasure, legal holds, retention and the export of a person by the command, against a served log with served witnesses. */
import { createHash, randomBytes } from "node:crypto";
import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newEventId } from "@tallystick/events";
import { createToken, layoutOf } from "@tallystick/server";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

let log: SmallLog;
const at = (name: string): string => join(log.folder, name);
const policy = (): readonly string[] => ["--policy", log.made.policyPath];
const as = (role: "auditor" | "operator" | "officer" | "writer"): readonly string[] => [
  "--log",
  log.url(),
  "--token",
  log.made.tokens[role],
];

beforeAll(async () => {
  log = await createSmallLog(2);
  await log.report(1);
}, 30_000);
afterAll(async () => {
  await log.remove();
});

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere(args);
  expectClean(ran, Object.values(log.made.tokens));
  return ran;
}

async function jsonOf<T>(...args: readonly string[]): Promise<T> {
  const { out } = await run(...args, "--json");
  expect(out.split("\n")).toHaveLength(2);
  return JSON.parse(out) as T;
}

/** Reports as many events of each person as said, in turn; gives their indexes. */
async function reported(...ids: readonly string[]): Promise<number[]> {
  const file = at("events.json");
  const events = ids.map((id) => ({ type: "auth.login", outcome: "success", actor: { type: "user", id } }));
  await writeFile(file, JSON.stringify(events));
  return (await jsonOf<{ index: number }[]>("submit", file, ...as("writer"))).map(({ index }) => index);
}

/** Of each entry what became of its contents. */
async function statusOf(index: number): Promise<{ status: number; certificate?: number }> {
  const response = await fetch(`${log.url()}/v1/events/${index}`, {
    headers: { authorization: `Bearer ${log.made.tokens.auditor}` },
  });
  const { certificate } = (await response.json()) as { certificate?: number };
  return { status: response.status, ...(certificate === undefined ? {} : { certificate }) };
}

interface Erased {
  readonly request: string;
  readonly state: string;
  readonly ordered: readonly number[];
  readonly done: number;
}

async function eraseOf(subject: string, ...more: readonly string[]): Promise<Erased> {
  return jsonOf<Erased>("erase", "--subject", subject, "--ground", "a request of theirs", ...as("officer"), ...more);
}

describe("erase", () => {
  test("a person is erased: 410 with the certificate, which verifies offline; all else stays green", async () => {
    const [anna1 = 0, bert = 0, anna2 = 0, carl = 0] = await reported("anna", "bert", "anna", "carl");
    await run("receipt", String(anna1), ...as("auditor"), ...policy(), "--evidence", "--out", at("anna.json"));
    await run("receipt", String(anna2), ...as("auditor"), ...policy(), "--out", at("anna.tlog-proof"));
    const ran = await run("erase", "--subject", "anna", "--ground", "a request of theirs", ...as("officer"));
    expect(ran).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^DONE {2}/) });
    expect(ran.out).not.toContain("anna");
    const [erased] = await jsonOf<{ request: string; ordered: number[]; done: number }[]>(
      "erase",
      "list",
      ...as("officer"),
    );
    const { request = "", ordered = [], done = 0 } = erased ?? {};
    expect(ran.out).toContain(`index ${ordered.join(", ")} orders it, index ${done} says that it is done`);
    for (const index of [anna1, anna2]) expect(await statusOf(index)).toEqual({ status: 410, certificate: ordered[0] });
    for (const index of [bert, carl]) expect(await statusOf(index)).toEqual({ status: 200 });

    const fetched = await run(
      "erase",
      "certificate",
      request,
      ...as("officer"),
      ...policy(),
      "--out",
      at("certificate"),
    );
    expect(fetched).toMatchObject({ code: 0, err: "" });
    expect((await readdir(at("certificate"))).toSorted()).toEqual(
      [...ordered, done].map((n) => `${n}.evidence.json`).toSorted(),
    );
    for (const index of [...ordered, done]) {
      const verified = await run("verify", at(`certificate/${index}.evidence.json`), ...policy());
      expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}log\.erasure /) });
    }
    // What was handed out before goes on proving what it proved.
    for (const file of ["anna.json", "anna.tlog-proof"])
      expect((await run("verify", at(file), ...policy())).code).toBe(0);
    const receipt = await run("receipt", String(anna2), ...as("auditor"), ...policy(), "--out", at("after"));
    expect(receipt.code).toBe(0);
    const audited = await run("audit", ...as("auditor"), ...policy(), "--contents");
    expect(audited).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}/) });
  });

  test("a person who is not known is refused, and so is an id that is no request", async () => {
    const unknown = await run("erase", "--subject", "nobody", "--ground", "g", ...as("officer"));
    expectFailure(unknown, 2, "erase");
    expect(unknown.err).toContain("404 subject-unknown");
    expectFailure(await run("erase", "show", "../../x", ...as("officer")), 3, "erase");
    const request = newEventId(Date.now(), new Uint8Array(randomBytes(16)));
    expect((await run("erase", "show", request, ...as("officer"))).err).toContain("404 destruction-unknown");
  });

  test("the id may come from a file; nothing that is printed shows it", async () => {
    await reported("u-canary-7731");
    await writeFile(at("subject.txt"), "u-canary-7731\n");
    const ran = await run("erase", "--subject-file", at("subject.txt"), "--ground", "g", ...as("officer"));
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/^DONE/) });
    const { request } = await jsonOf<Erased>(
      "erase",
      "show",
      /request +(\S+)/.exec(ran.out)?.[1] ?? "",
      ...as("officer"),
    );
    const shown = await run("erase", "show", request, ...as("officer"));
    expect([ran, shown].filter(({ out, err }) => `${out}${err}`.includes("canary"))).toEqual([]);
  });

  test("with an id of one's own a second call is the first one again", async () => {
    await reported("dora");
    const request = newEventId(Date.now(), new Uint8Array(randomBytes(16)));
    const [first, second] = [await eraseOf("dora", "--request", request), await eraseOf("dora", "--request", request)];
    expect(second).toEqual(first);
    expect(first.request).toBe(request);
  });

  test("the list shows the newest first, and says how to see older ones", async () => {
    await reported("lena", "mia");
    const [older, newer] = [await eraseOf("lena"), await eraseOf("mia")];
    const listed = await run("erase", "list", "--limit", "1", ...as("officer"));
    expect(listed).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(`^${newer.request}  done `)) });
    expect(listed.err).toBe(`there may be older ones: --before ${newer.request} lists them\n`);
    const rest = await run("erase", "list", "--limit", "1", "--before", newer.request, ...as("officer"));
    expect(rest.out).toMatch(new RegExp(`^${older.request}  done `));
  });

  test.each([
    ["a limit of none", ["list", "--limit", "0"]],
    ["no request to list before", ["list", "--before", "x&y"]],
    ["no person", ["--ground", "g"]],
    ["no ground", ["--subject", "a"]],
    ["two ways to name a person", ["--subject", "a", "--subject-file", "b", "--ground", "g"]],
    ["a request that is no UUIDv7", ["--subject", "a", "--ground", "g", "--request", "1"]],
    ["an action that there is not", ["undo"]],
    ["a wait that is no number", ["--subject", "a", "--ground", "g", "--wait", "x"]],
  ])("%s is wrong usage", async (_name, args) => {
    expectFailure(await run("erase", ...args, ...as("officer")), 3, "erase");
  });

  test("asks for an officer's token, and says so", async () => {
    for (const role of ["auditor", "operator", "writer"] as const) {
      const ran = await run("erase", "--subject", "bert", "--ground", "g", ...as(role));
      expectFailure(ran, 2, "erase");
      expect(ran.err).toContain("403 forbidden");
    }
  });
});

describe("hold", () => {
  test("stops an erasure; lifting its case carries that out", async () => {
    const [index = 0] = await reported("emil");
    const set = await run(
      "hold",
      "set",
      "--case",
      "7 O 12/26",
      "--subject",
      "emil",
      "--reason",
      "a suit",
      ...as("officer"),
    );
    expect(set).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringMatching(/^HOLDS {2}case 7 O 12\/26: a person; set /),
    });
    const stopped = await run("erase", "--subject", "emil", "--ground", "g", ...as("officer"));
    expect(stopped).toMatchObject({ code: 2, out: expect.stringMatching(/^HELD {2}/) });
    expect(await statusOf(index)).toEqual({ status: 200 });
    const listed = await run("hold", "list", ...as("auditor"));
    expect(listed.out).toContain("case 7 O 12/26: a person; set ");
    const lifted = await run("hold", "lift", "--case", "7 O 12/26", ...as("officer"));
    expect(lifted).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^LIFTED {2}/) });
    expect((await run("hold", "list", ...as("officer"))).out).toBe("");
    const [erased] = await jsonOf<Erased[]>("erase", "list", ...as("officer"));
    await expect
      .poll(async () => (await jsonOf<Erased>("erase", "show", erased?.request ?? "", ...as("officer"))).state, {
        timeout: 10_000,
      })
      .toBe("done");
    expect((await statusOf(index)).status).toBe(410);
  });

  test("by class and time shows what it covers, until it is lifted by its id", async () => {
    const args = ["--class", "auth", "--from", "2026-01-01", "--to", "2099-01-01T00:00:00+01:00", "--case", "c"];
    const { id } = await jsonOf<{ id: string }>("hold", "set", ...args, ...as("officer"));
    const { out } = await run("hold", "list", ...as("officer"));
    expect(out).toContain("case c: class auth, from 2026-01-01T00:00:00.000Z, to 2098-12-31T23:00:00.000Z; set ");
    const retention = await run("retention", "show", "--class", "auth", ...as("operator"));
    expect(retention.out).toMatch(
      /^auth +\d{4}-\d\d-\d\d +\d+ entries {2}until \d{4}-\d\d-\d\d {2}under a legal hold\n/,
    );
    expect((await run("hold", "lift", id, ...as("officer"))).code).toBe(0);
    const all = await run("hold", "list", "--lifted", ...as("officer"));
    expect(all.out).toMatch(/; lifted \S+Z by officer-/);
  });

  test.each([
    ["of nothing", ["set", "--case", "c"]],
    ["without a case", ["set", "--class", "auth"]],
    ["from no time", ["set", "--case", "c", "--from", "yesterday"]],
    ["lifted without saying which", ["lift"]],
    ["lifted in two ways", ["lift", "x", "--case", "c"]],
    ["lifted by what is no id", ["lift", "../x"]],
    ["lifted of no case in force", ["lift", "--case", "nothing"]],
    ["neither set, lifted nor listed", ["keep"]],
  ])("%s is wrong usage", async (_name, args) => {
    expectFailure(await run("hold", ...args, ...as("officer")), 3, "hold");
  });
});

describe("retention", () => {
  test("a run destroys nothing that is not due", async () => {
    const ran = await run("retention", "run", ...as("operator"));
    expect(ran).toMatchObject({ code: 0, err: "", out: "0 destroyed\n" });
    expect(await jsonOf("retention", "run", ...as("officer"))).toEqual({ destroyed: [], held: 0 });
  });

  test("what is kept for ever has no due date", async () => {
    const { out } = await run("retention", "show", "--class", "log", ...as("operator"));
    expect(out).toMatch(/^log +\d{4}-\d\d-\d\d +\d+ entries {2}for ever\n$/);
  });
});

describe("subject export", () => {
  test("writes all that is held about a person, each entry proven, and what it wrote with its digests", async () => {
    const [first = 0, , second = 0] = await reported("fred", "gina", "fred");
    const ran = await run(
      "subject",
      "export",
      "--subject",
      "fred",
      "--out",
      at("fred"),
      "--purpose",
      "Art. 15",
      ...as("officer"),
      ...policy(),
    );
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("2 entries, 2 verified");
    const files = [`${first}.evidence.json`, `${second}.evidence.json`];
    expect((await readdir(at("fred"))).toSorted()).toEqual([...files, "events.ndjson", "manifest.json"].toSorted());
    for (const file of files) {
      const verified = await run("verify", at(`fred/${file}`), ...policy());
      expect(verified).toMatchObject({ code: 0, out: expect.stringContaining("user:fred") });
    }
    const lines = await readFile(at("fred/events.ndjson"));
    const manifest = JSON.parse(await readFile(at("fred/manifest.json"), "utf8")) as Record<string, unknown>;
    expect(manifest).toMatchObject({ entries: 2, unproven: 0, log: "test.localhost/app", sha256: sha256(lines) });
    for (const line of lines.toString().trimEnd().split("\n")) {
      const { file, sha256: digest } = JSON.parse(line) as { file: string; sha256: string };
      expect(digest).toBe(sha256(await readFile(at(`fred/${file}`))));
    }
    for (const name of [...files, "events.ndjson", "manifest.json"])
      expect((await stat(at(`fred/${name}`))).mode & 0o077).toBe(0);
  });

  test("writes one file where it is named *.ndjson; never over what is there", async () => {
    await reported("hugo");
    const args = ["subject", "export", "--subject", "hugo", ...as("officer"), ...policy(), "--out"];
    expect(await jsonOf(...args, at("hugo.ndjson"))).toMatchObject({ entries: 1, unproven: 0, unwitnessed: 0 });
    const [line = ""] = (await readFile(at("hugo.ndjson"), "utf8")).split("\n");
    const { evidence, event } = JSON.parse(line) as { evidence: string; event: { actor: { id: string } } };
    expect(event.actor.id).toBe("hugo");
    await writeFile(at("hugo.json"), evidence);
    expect((await run("verify", at("hugo.json"), ...policy())).code).toBe(0);
    const size = log.served.logs[0]?.log?.size();
    expectFailure(await run(...args, at("hugo.ndjson")), 3, "subject");
    expectFailure(await run(...args, log.folder), 3, "subject");
    // Not even asked for: nothing of it is in the log.
    expect(log.served.logs[0]?.log?.size()).toBe(size);
  });

  test("is the reader's own; what is refused or unknown leaves nothing behind", async () => {
    await reported("ida", "jens");
    const path = layoutOf(log.logDir).tokens;
    const { token } = await createToken(path, { log: "app", role: "reader", subject: "ida" });
    const reader = ["--log", log.url(), "--token", token, ...policy()];
    await expect
      .poll(
        async () => (await run("subject", "export", "--subject", "ida", "--out", at("ida.ndjson"), ...reader)).code,
        {
          timeout: 10_000,
        },
      )
      .toBe(0);
    const other = await run("subject", "export", "--subject", "jens", "--out", at("jens"), ...reader);
    expectFailure(other, 2, "subject");
    expect(other.err).toContain("403 forbidden");
    expect(other.err).not.toContain("another role");
    const unknown = await run(
      "subject",
      "export",
      "--subject",
      "nobody",
      "--out",
      at("nobody"),
      ...as("officer"),
      ...policy(),
    );
    expect(unknown.err).toContain("404 subject-unknown");
    const left = await readdir(log.folder);
    expect(left.filter((name) => name === "jens" || name === "nobody")).toEqual([]);
  });

  test.each([
    ["without a place", ["export", "--subject", "a"]],
    ["without a person", ["export", "--out", "x"]],
    ["of another kind", ["import", "--subject", "a", "--out", "x"]],
  ])("%s is wrong usage", async (_name, args) => {
    expectFailure(await run("subject", ...args, ...as("officer"), ...policy()), 3, "subject");
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("two persons", () => {
  test("what the rules ask two for is done when the second has approved, and names both in the log", async () => {
    const [index = 0] = await reported("kurt");
    const { token } = await createToken(layoutOf(log.logDir).tokens, { log: "app", role: "officer" });
    const second = ["--log", log.url(), "--token", token];
    const rules = await fetch(`${log.url()}/v1/rules`, {
      method: "POST",
      headers: { authorization: `Bearer ${log.made.tokens.officer}`, "content-type": "application/json" },
      body: JSON.stringify({ text: "version: 1\ntwoPersons: [erasure, hold]\n" }),
    });
    expect(rules.status).toBe(201);
    const first = await run("erase", "--subject", "kurt", "--ground", "by two", ...as("officer"));
    expect(first).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^AWAITS APPROVAL {2}/) });
    expect(await statusOf(index)).toEqual({ status: 200 });
    const ticket = /approve (tsa_\S+)/.exec(first.out)?.[1] ?? "";
    expect(Buffer.from(ticket.slice(4), "base64url").toString("latin1")).not.toContain("kurt");

    const own = await run("approve", ticket, ...as("officer"));
    expectFailure(own, 2, "approve");
    expect(own.err).toContain("403 approval-by-same-person");
    await expect
      .poll(async () => (await run("approve", ticket, "--preview", ...second)).code, { timeout: 10_000 })
      .toBe(0);
    const preview = await run("approve", ticket, "--preview", ...second);
    expect(preview.out).toMatch(/^TO BE APPROVED {2}erasure, asked for by officer-/);
    expect(preview.out).toContain("ground       by two");
    expect(await statusOf(index)).toEqual({ status: 200 });
    const shown = await run("approve", ticket, ...second);
    expect(shown).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringMatching(/^APPROVED {2}erasure, asked for by /),
    });
    // As erase itself says it, and as late: nothing is left to ask for but the certificate.
    expect(shown.out).toMatch(/\nDONE {2}nothing of it can be read; the key is destroyed\n {2}request {6}/);
    expect(shown.out).toMatch(
      /\n {2}certificate {2}index \d+ orders it, index \d+ says that it is done\n {2}final on /,
    );
    expect(shown.out).toMatch(/\nnext: .* erase certificate [0-9a-f-]{36}\n$/);
    const approved = await jsonOf<Erased>("approve", ticket, ...second);
    expect(approved.state).toBe("done");
    expect((await statusOf(index)).status).toBe(410);
    const evidence = await fetch(`${log.url()}/v1/events/${approved.ordered[0]}`, {
      headers: { authorization: `Bearer ${log.made.tokens.auditor}` },
    });
    const { event } = (await evidence.json()) as { event: { context: { by: string; approvedBy: string } } };
    expect([event.context.by, event.context.approvedBy]).toEqual([
      expect.stringMatching(/^officer-/),
      expect.stringMatching(/^officer-/),
    ]);
    expect(event.context.by).not.toBe(event.context.approvedBy);
  });

  test("a hold is set and lifted by two; the second is told what the first would have been", async () => {
    const { token } = await createToken(layoutOf(log.logDir).tokens, { log: "app", role: "officer" });
    const second = ["--log", log.url(), "--token", token];
    const approve = async (asked: Ran): Promise<string> => {
      const ticket = /approve (tsa_\S+)/.exec(asked.out)?.[1] ?? "";
      await expect
        .poll(async () => (await run("approve", ticket, "--preview", ...second)).code, { timeout: 10_000 })
        .toBe(0);
      return (await run("approve", ticket, ...second)).out;
    };
    const set = await approve(await run("hold", "set", "--case", "by two", "--class", "auth", ...as("officer")));
    expect(set).toMatch(
      /^APPROVED {2}hold\.set, .*\nHOLDS {2}case by two: class auth; set .*\n {2}id {2}[0-9a-f-]{36}\n$/,
    );
    const lifted = await approve(await run("hold", "lift", "--case", "by two", ...as("officer")));
    expect(lifted).toMatch(/^APPROVED {2}hold\.lift, .*\nLIFTED {2}case by two: class auth; set .*; lifted /);
  });

  test("of rules the second sees what they change, with what is easily overlooked, before and when they hold", async () => {
    const { token } = await createToken(layoutOf(log.logDir).tokens, { log: "app", role: "officer" });
    const second = ["--log", log.url(), "--token", token];
    const [strict, loose] = [at("strict.yaml"), at("loose.yaml")];
    await writeFile(strict, "version: 1\ntwoPersons: [erasure, rules]\n");
    await writeFile(loose, "version: 1\nclasses: { auth: { keep: 30d, erase: at-expiry } }\ntwoPersons: [rules]\n");
    await run("rules", "apply", strict, ...as("officer"));
    const asked = await run("rules", "apply", loose, ...as("officer"));
    const ticket = /approve (tsa_\S+)/.exec(asked.out)?.[1] ?? "";
    const change = "officers: erasure needs no second person any more\n  note: one officer alone can do it\n";
    await expect
      .poll(async () => (await run("approve", ticket, "--preview", ...second)).code, { timeout: 10_000 })
      .toBe(0);
    const preview = await run("approve", ticket, "--preview", ...second);
    expect(preview.out).toMatch(/^TO BE APPROVED {2}rules\.apply, asked for by officer-/);
    expect(preview.out).toContain("  text         version: 1\n");
    expect(preview.out).toContain(`WOULD CHANGE  of the rules in force\n`);
    expect(preview.out).toContain(change);
    const value = await jsonOf<{ changes: unknown }>("approve", ticket, "--preview", ...second);
    expect(value.changes).toContainEqual(expect.objectContaining({ kind: "two-persons-removed", act: "erasure" }));
    const approved = await run("approve", ticket, ...second);
    expect(approved).toMatchObject({ code: 0, err: "" });
    expect(approved.out).toContain(change);
    expect(approved.out).toMatch(/\nAPPLIED {2}the rules of the ticket, SHA-256 [0-9a-f]{64}, logged at index \d+\n$/);
  });

  test("an erasure says what is gone, and what stays and why", async () => {
    // The rules of the test before: a duty keeps class auth.
    await reported("nora");
    const ran = await run("erase", "--subject", "nora", "--ground", "g", ...as("officer"));
    expect(ran.out).toMatch(
      /^DONE {2}but for 1 entry that had to be kept, nothing of it can be read; the key is destroyed\n/,
    );
    expect(ran.out).toContain(
      "\n  kept         1 of class auth: a duty keeps them readable until their time is over (erase: at-expiry)\n",
    );
  });

  test("a ticket that is none is refused: by the command, or by the log", async () => {
    expectFailure(await run("approve", "x", ...as("officer")), 3, "approve");
    const ran = await run("approve", `tsa_${"A".repeat(80)}`, ...as("officer"));
    expectFailure(ran, 2, "approve");
    expect(ran.err).toContain("422 approval-invalid: this is no ticket of this log: it is another log's, or cut off");
  });
});
