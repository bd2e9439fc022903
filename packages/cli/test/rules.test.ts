/** Rules on the command line: checked, compared, tried on what a log holds, and applied to a real one. */
import { createHash } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defaultRulesText } from "@tallystick/log";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/processes.ts";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  const home = process.cwd();
  process.chdir(folder);
  return async () => {
    process.chdir(home);
    await rm(folder, { recursive: true, force: true });
  };
});

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere(["rules", ...args]);
  expectClean(ran);
  return ran;
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text);
  return name;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const jsonOf = ({ out }: Ran): unknown => JSON.parse(out);

describe("rules check", () => {
  test("takes the rules that rules default prints, and says what they say", async () => {
    const made = await run("default");
    expect(made).toEqual({ code: 0, out: defaultRulesText, err: "" });
    const ran = await run("check", await file("rules.yaml", made.out));
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toContain(`VALID  rules.yaml, SHA-256 ${sha256(defaultRulesText)}\n`);
    expect(ran.out).toContain("  class session        kept 90d, erased on-request\n");
    expect(ran.out).toContain("  every other class    kept 1y, erased on-request\n");
    expect(ran.out).toContain("  class log            kept for-ever, erased never\n");
    expect(ran.out).toContain("  0 sender keys, 0 providers of identities\n");
  });

  test("counts one of something as one", async () => {
    const key = `version: 1\nsenderKeys: [{ publicKey: "${"0".repeat(63)}1", from: 0 }]\n`;
    const { out } = await run("check", await file("rules.yaml", key));
    expect(out).toContain("  1 sender key, 0 providers of identities\n");
  });

  test("tells every defect with its line and column, and ends with 1", async () => {
    const path = await file("rules.yaml", "version: 1\nclases: {}\nother: { keep: 90 }\n");
    const ran = await run("check", path);
    expect(ran).toEqual({
      code: 1,
      out: [
        "NOT VALID  rules.yaml: 2 defects",
        "  line 2, column 1: clases: is no key here: did you mean classes?",
        '  line 3, column 16: other.keep: expected days (1d to 9999d) or years (1y to 100y, of 365 days) or for-ever, such as 90d; got the number "90"',
        "",
      ].join("\n"),
      err: "",
    });
    expect(jsonOf(await run("check", path, "--json"))).toMatchObject({
      ok: false,
      file: "rules.yaml",
      defects: [
        { line: 2, column: 1, path: "clases" },
        { line: 3, column: 16, path: "other.keep" },
      ],
    });
  });

  test("says valid in JSON too, with the digest that the log will bear", async () => {
    const path = await file("rules.json", '{"version":1}');
    expect(jsonOf(await run("check", path, "--json"))).toEqual({
      ok: true,
      file: "rules.json",
      digest: sha256('{"version":1}'),
      defects: [],
    });
  });

  test("fails with 2 on a file that is not there, no text, or too large", async () => {
    await writeFile(join(folder, "bytes"), Buffer.from([0xff, 0xfe, 0x00]));
    await writeFile(join(folder, "large"), "#".repeat(300_000));
    for (const path of ["missing", ".", "bytes", "large"]) expectFailure(await run("check", path), 2, "rules");
    expect((await run("check", await file("steering", "\u001B[2J: 1"))).code).toBe(1);
  });

  test.each([[], ["constructor"], ["check"], ["check", "a", "b"], ["diff"], ["default", "x"], ["show", "x"]])(
    "is wrong usage as rules %s %s %s",
    async (...args) => {
      expectFailure(await run(...args), 3, "rules");
    },
  );
});

describe("rules diff", () => {
  test("says what changes and for whom, with what is easily overlooked", async () => {
    const before = await file(
      "old.yaml",
      "version: 1\nclasses: { auth: { keep: 2y, atLeast: 2y } }\ntwoPersons: [erasure]",
    );
    const after = await file("new.yaml", "version: 1\nclasses: { auth: { keep: 1y } }");
    const ran = await run("diff", before, after);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toContain(
      "class auth: kept shorter, 2y → 1y\n  note: what is older goes with the next run, for good",
    );
    expect(ran.out).toContain("  note: does not bind backwards: what was logged before keeps its promise of 2y\n");
    expect(ran.out).toContain(
      "officers: erasure needs no second person any more\n  note: one officer alone can do it\n",
    );
    expect(jsonOf(await run("diff", before, after, "--json"))).toMatchObject({
      before: { file: "old.yaml" },
      after: { file: "new.yaml" },
      changes: [{ kind: "keep", before: 730, after: 365 }, { kind: "at-least" }, { kind: "two-persons-removed" }],
    });
    expect(await run("diff", after, after)).toEqual({ code: 0, out: "nothing changes\n", err: "" });
  });

  test("of a file that holds no rules fails with 2, and tells where each defect is", async () => {
    const ran = await run("diff", await file("a", "version: 2\nx: 1"), await file("b", "version: 1"));
    expectFailure(ran, 2, "rules");
    expect(ran.err).toContain(
      'tallystick rules: a: line 1, column 10: version: expected 1; got the number "2" (and 1 more)',
    );
    expect(ran.err).toContain("\n  line 2, column 1: x: is no key here");
    expect(ran.err).toContain("\n  docs/reference/rules.md has every key");
  });
});

describe("rules simulate", () => {
  const classDay = (day: string, more: object = {}): object => ({
    class: "auth",
    day,
    first: 0,
    last: 9,
    count: 10,
    atLeastDays: 0,
    held: false,
    ...more,
  });
  const simulate = async (classDays: readonly object[], ...options: readonly string[]): Promise<Ran> => {
    const path = await file("class-days.json", JSON.stringify({ classDays, more: false }));
    const rules = await file("rules.yaml", "version: 1\nclasses: { auth: { keep: 30d } }");
    return run("simulate", rules, "--class-days", path, "--at", "2026-11-21", ...options);
  };

  test("says what would go, and when, and changes nothing", async () => {
    const classDays = [
      classDay("2026-10-21", { dueOn: "2027-10-22" }),
      classDay("2026-10-22", { dueOn: "2027-10-23" }),
      classDay("2026-10-01", { held: true }),
      classDay("2026-10-02", { atLeastDays: 365 }),
      classDay("2020-01-01", { class: "log" }),
    ];
    const ran = await simulate(classDays);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out.split("\n").map((line) => line.trimEnd())).toEqual([
      expect.stringMatching(/^SIMULATED {2}rules\.yaml on 2026-11-21, SHA-256 [0-9a-f]{64}$/),
      "  class auth, kept 30d:        4 days (40 entries); 1 day (10 entries) would go now; of them 1 day (10 entries) by these rules alone; 1 day (10 entries) overdue under a legal hold; 1 day (10 entries) within 30 days; 1 day (10 entries) longer than these rules, as promised; next on 2026-11-22",
      "  class log, kept for-ever:    1 day (10 entries); 0 days (0 entries) would go now",
      "WOULD GO  with the next run, for good",
      "  class auth of 2026-10-21, 10 entries",
      "",
    ]);
    expect(jsonOf(await simulate(classDays, "--json"))).toMatchObject({
      on: "2026-11-21",
      more: false,
      classes: [{ class: "auth", due: { classDays: 1, entries: 10 }, nextOn: "2026-11-22" }, { class: "log" }],
      classDays: [
        { day: "2026-10-01", fate: "held", dueOn: "2026-11-01" },
        { day: "2026-10-21", fate: "due", dueOn: "2026-11-21", dueOnNow: "2027-10-22" },
        { day: "2026-10-22", fate: "later", dueOn: "2026-11-22" },
        { day: "2026-10-02", fate: "later", dueOn: "2027-10-03", promiseBinds: true },
        { day: "2020-01-01", class: "log", fate: "for-ever" },
      ],
    });
  });

  test.each(["", "2026-02-30", "2026-1-1", "today", "20261121", "-1"])("takes no day %j", async (at) => {
    const rules = await file("rules.yaml", "version: 1");
    expectFailure(await run("simulate", rules, `--at=${at}`), 3, "rules");
  });

  test.each([
    "",
    "[]",
    "{}",
    '{"classDays":{}}',
    '{"classDays":[1]}',
    ...[
      { day: "2026-02-30" },
      { day: 1 },
      { count: -1 },
      { atLeastDays: 1e15 },
      { dueOn: "x" },
      { class: 1 },
      { first: 0.5 },
    ].map((defect) => JSON.stringify({ classDays: [classDay("2026-01-01", defect)] })),
  ])("fails with 2 on class-days %s", async (text) => {
    const [rules, path] = [await file("rules.yaml", "version: 1"), await file("days.json", text)];
    expectFailure(await run("simulate", rules, "--class-days", path), 2, "rules");
  });
});

describe("rules of a log", () => {
  let log: SmallLog;
  beforeAll(async () => {
    log = await createSmallLog(1);
    await log.report(3);
  });
  afterAll(async () => {
    await log.remove();
  });
  const as = (role: "operator" | "officer" | "writer"): readonly string[] => [
    "--log",
    log.url(),
    "--token",
    log.made.tokens[role],
  ];

  test("are shown, compared, tried and applied; the log says which hold", async () => {
    const shown = await run("show", ...as("operator"));
    expect(shown.code).toBe(0);
    const next = `${shown.out}# reviewed\n`.replace("auth:     { keep: 1y }", "auth:     { keep: 2y, atLeast: 1y }");
    expect(next).not.toBe(`${shown.out}# reviewed\n`);
    const path = await file("next.yaml", next);
    const changes = [
      { kind: "keep", class: "auth", before: 365, after: 730 },
      { kind: "at-least", class: "auth" },
    ];

    expect(jsonOf(await run("diff", path, ...as("operator"), "--json"))).toMatchObject({ changes });
    expect(jsonOf(await run("simulate", path, ...as("operator"), "--json"))).toMatchObject({
      classes: expect.arrayContaining([
        expect.objectContaining({
          class: "auth",
          all: { classDays: 1, entries: 3 },
          due: { classDays: 0, entries: 0 },
        }),
      ]),
    });

    const applied = await run("apply", path, ...as("officer"), "--json");
    expect([applied.code, jsonOf(applied)]).toMatchObject([0, { digest: sha256(next), changes }]);
    const { index } = jsonOf(applied) as { index: number };
    const after = await run("show", ...as("operator"), "--json");
    expect(jsonOf(after)).toEqual({ text: next, digest: sha256(next), index });
    expect(await run("diff", path, ...as("operator"))).toEqual({ code: 0, out: "nothing changes\n", err: "" });

    const size = log.served.logs[0]?.log?.size();
    const again = await run("apply", path, ...as("officer"));
    const since = `hold already, since index ${index}; nothing was written`;
    const out = `UNCHANGED  next.yaml, SHA-256 ${sha256(next)}: these rules ${since}\n`;
    expect(again).toEqual({ code: 0, out, err: "" });
    expect(jsonOf(await run("apply", path, ...as("officer"), "--json"))).toMatchObject({ index, changes: [] });
    expect(log.served.logs[0]?.log?.size()).toBe(size);
  });

  test("are not applied by whoever is no officer, nor where they do not parse", async () => {
    const path = await file("next.yaml", "version: 1");
    for (const role of ["operator", "writer"] as const)
      expectFailure(await run("apply", path, ...as(role)), 2, "rules");
    const before = await run("show", ...as("operator"), "--json");
    expectFailure(await run("apply", await file("bad.yaml", "version: 2"), ...as("officer")), 2, "rules");
    expect(await run("show", ...as("operator"), "--json")).toEqual(before);
  });
});

describe("a log that answers otherwise", () => {
  let log: ScriptedLog;
  beforeAll(async () => {
    log = await startScriptedLog();
  });
  afterAll(async () => {
    await log.close();
  });

  test.each([
    "",
    "null",
    '{"text":"version: 1"}',
    '{"text":1,"digest":""}',
    `{"text":"version: 1","digest":"${"0".repeat(64)}"}`,
    `{"text":"version: 1","digest":"${sha256("version: 1")}","index":-1}`,
    `{"text":"\\u001b[2J","digest":"${sha256("\u001B[2J")}"}`,
  ])("is not believed: %s", async (answer) => {
    log.answer = (_request, response) =>
      void response.writeHead(200, { "content-type": "application/json" }).end(answer);
    const path = await file("rules.yaml", "version: 1");
    expectFailure(await run("diff", path, "--log", log.url), 2, "rules");
    expectFailure(await run("simulate", path, "--log", log.url), 2, "rules");
    expectFailure(await run("apply", path, "--log", log.url), 2, "rules");
  });

  test("in several parts is asked for all of them, each class-day counted once; one that has no end, no further", async () => {
    const of = (day: string, name: string): object => ({ class: name, day, first: 0, last: 0, count: 1, held: false });
    const parts: Record<string, object> = {
      "/app/v1/retention": { classDays: [of("2026-01-01", "a"), of("2026-01-02", "a")], more: true },
      "/app/v1/retention?from=2026-01-02": { classDays: [of("2026-01-02", "a"), of("2026-01-02", "b")], more: false },
    };
    const asked = log.requests.length;
    log.answer = (request, response) => void response.writeHead(200).end(JSON.stringify(parts[request.url ?? ""]));
    const path = await file("rules.yaml", "version: 1");
    const simulated = await run("simulate", path, "--log", log.url, "--json");
    expect(jsonOf(simulated)).toMatchObject({
      more: false,
      classes: [
        { class: "a", all: { classDays: 2 } },
        { class: "b", all: { classDays: 1 } },
      ],
    });
    expect(log.requests.length - asked).toBe(2);

    const endless = { classDays: [of("2026-01-01", "a")], more: true };
    log.answer = (_request, response) => void response.writeHead(200).end(JSON.stringify(endless));
    const ran = await run("simulate", path, "--log", log.url);
    expect([ran.code, ran.err]).toEqual([0, "there are more class-days than were told: these are the earliest\n"]);
  });

  test("where it awaits a second person says so, and that nothing is done", async () => {
    const inForce = JSON.stringify({ text: "version: 1", digest: sha256("version: 1") });
    const awaiting = { state: "awaiting-approval", approval: "tsa_abc", validUntil: "2026-11-28T00:00:00.000Z" };
    log.answer = (request, response) =>
      void response
        .writeHead(request.method === "GET" ? 200 : 202, { "content-type": "application/json" })
        .end(request.method === "GET" ? inForce : JSON.stringify(awaiting));
    const path = await file("rules.yaml", "version: 1\ntwoPersons: [rules]");
    const ran = await run("apply", path, "--log", log.url);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toMatch(/^officers: rules needs a second person\nAWAITS APPROVAL .*\n.* approve tsa_abc\n$/);
    expect(jsonOf(await run("apply", path, "--log", log.url, "--json"))).toEqual(awaiting);
  });
});
