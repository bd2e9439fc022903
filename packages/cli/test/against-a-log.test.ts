/** The commands that speak to a log, against a served log with a served witness. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

/** Moves the cursor up, wipes the line, says VERIFIED, turns the direction of reading. */
const HOSTILE = "u\u001B[1A\u001B[2KVERIFIED\r\n\u009B8m\u202E";

/** What an event may hold: no control characters, but characters that turn the direction of reading. */
const TURNING = "why\u202E\u061C\u2067";

let log: SmallLog;
const at = (name: string): string => join(log.folder, name);
const policy = (): readonly string[] => ["--policy", log.made.policyPath];
const as = (role: "writer" | "auditor" | "operator"): readonly string[] => [
  "--log",
  log.url(),
  "--token",
  log.made.tokens[role],
];
const secrets = (): readonly string[] => Object.values(log.made.tokens);

beforeAll(async () => {
  log = await createSmallLog(1);
  // Until then the log asks its witnesses, and takes nothing in.
  await log.report(1);
});
afterAll(async () => {
  await log.remove();
});

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere(args);
  expectClean(ran, secrets());
  return ran;
}

async function jsonOf(...args: readonly string[]): Promise<unknown> {
  const { out } = await run(...args, "--json");
  expect(out.split("\n")).toHaveLength(2);
  return JSON.parse(out);
}

async function submitted(...options: readonly string[]): Promise<{ index: number; state: string; id: string }> {
  const args = ["submit", ...as("writer"), "--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
  const [entry] = (await jsonOf(...args, ...options)) as { index: number; state: string; id: string }[];
  if (entry === undefined) throw new Error("nothing was submitted");
  return entry;
}

describe("audit --contents", () => {
  test("makes a log longer by an entry for each 256 that it opens, not by as many as it opens", async () => {
    await log.report(600);
    const audited: { size: number; counts: { opened: number } }[] = [];
    for (const option of ["--contents", "--sessions", "--contents"]) {
      const told = await jsonOf("audit", ...as("auditor"), ...policy(), option, "--purpose", "review");
      expect(told).toMatchObject({ verdict: "VERIFIED" });
      audited.push(told as (typeof audited)[number]);
      await log.report(1);
    }
    const [first, second, third] = audited;
    for (const { size, counts } of audited) expect([size > 600, counts.opened]).toEqual([true, size]);
    // Three ranges each, the event that was reported, and what a log says of its heads.
    expect((second?.size ?? 0) - (first?.size ?? 0)).toBeLessThan(10);
    expect((third?.size ?? 0) - (second?.size ?? 0)).toBeLessThan(10);
  });
});

describe("submit", () => {
  test("says where an event stands; no next command, which would need a policy and an auditor's token", async () => {
    const args = ["submit", ...as("writer"), "--type", "auth.login", "--outcome", "denied", "--actor", "user:u_81"];
    const ran = await run(
      ...args,
      "--target",
      "host:h1",
      "--ip",
      "192.0.2.1",
      "--method",
      "password",
      "--reason",
      "why",
    );
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toMatch(/^index \d+ {2}witnessed {2}logged 20[^ ]+Z {2}id [^ ]+\n$/);
  });

  test("takes a file of one event, an array, or a line for each, and adds no id twice", async () => {
    const event = { id: (await submitted()).id };
    await writeFile(
      at("one.json"),
      JSON.stringify({ type: "auth.logout", outcome: "success", actor: { type: "user", id: "a" } }),
    );
    const one = await readFile(at("one.json"), "utf8");
    await writeFile(at("array.json"), `[${one},\n${one}]`);
    await writeFile(at("lines.jsonl"), `${one}\n\n${one}\n${one}`);
    for (const [name, count] of [
      ["one.json", 1],
      ["array.json", 2],
      ["lines.jsonl", 3],
    ] as const)
      expect(await jsonOf("submit", at(name), ...as("writer"))).toHaveLength(count);
    await writeFile(at("again.json"), JSON.stringify({ ...JSON.parse(one), ...event }));
    const ran = await run("submit", at("again.json"), ...as("writer"));
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining("id-conflict") });
  });

  test("says of an event that is sent twice in one file that it was there already", async () => {
    const { id } = await submitted();
    const event = { id: `${id.slice(0, -4)}0000`, time: 1790000000000, type: "auth.logout", outcome: "success" };
    const line = JSON.stringify({ ...event, actor: { type: "user", id: "a" } });
    await writeFile(at("twice.jsonl"), `${line}\n${line}\n`);
    const [first, second] = [
      await run("submit", at("twice.jsonl"), ...as("writer")),
      await run("submit", at("twice.jsonl"), ...as("writer")),
    ];
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(first.out.match(/\(was there already\)/g)).toHaveLength(1);
    expect(second.out.match(/\(was there already\)/g)).toHaveLength(2);
  });

  test("says each defect on a line of its own, in words that steer no terminal", async () => {
    await writeFile(at("bad.json"), JSON.stringify([{ type: HOSTILE }, { type: "auth.login", [HOSTILE]: HOSTILE }]));
    const ran = await run("submit", at("bad.json"), ...as("writer"));
    expectFailure(ran, 2, "submit");
    expect(ran.err).toContain("(log-refused)\n");
    expect(ran.err).toMatch(/\n {2}entry 1: /);
  });

  test.each([
    ["no token", [], "unauthenticated", "--token, TALLYSTICK_TOKEN or .tallystick/dev.json give the token"],
    ["a token of nobody", ["--token", "tsk_writer_x"], "unauthenticated", "give the token"],
  ])("with %s is refused with 2", async (_what, token, code, wayOut) => {
    const args = ["submit", "--log", log.url(), ...token, "--type", "auth.login", "--outcome", "success"];
    const ran = await run(...args, "--actor", "user:u_81");
    expectFailure(ran, 2, "submit");
    expect(ran.err).toContain(code);
    expect(ran.err).toContain(wayOut);
  });

  test("waits for no witness where the log has none: published is the most, and said to be", async () => {
    const alone = await createSmallLog(0);
    try {
      const args = ["submit", "--log", alone.url(), "--token", alone.made.tokens.writer];
      const event = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
      const ran = await run(...args, ...event);
      expect(ran).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^index \d+ {2}published /) });
      expect(ran.out).toContain("published is the most that this log reaches: its policy asks for no witness\n");
      expect(await jsonOf(...args, ...event)).toMatchObject([{ state: "published" }]);
      const asked = await run(...args, ...event, "--wait", "witnessed");
      expect(asked).toMatchObject({ code: 2, err: expect.stringContaining("logged, and never witnessed: ") });
    } finally {
      await alone.remove();
    }
  });

  test("with another role's token is refused with 2", async () => {
    const args = ["submit", ...as("auditor"), "--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
    const ran = await run(...args);
    expectFailure(ran, 2, "submit");
    expect(ran.err).toContain("another role's token is needed");
  });
});

describe("receipt and verify", () => {
  test("give the same facts in text and JSON, with and without contents", async () => {
    const { index } = await submitted();
    const [plain, evidence] = [at("r.tlog-proof"), at("e.json")];
    const fetched = await run("receipt", String(index), ...as("auditor"), ...policy(), "--out", plain);
    expect(fetched).toMatchObject({ code: 0, err: "" });
    expect(fetched.out).toContain(`${plain}  verified\n`);
    expect(
      await jsonOf("receipt", String(index), ...as("auditor"), ...policy(), "--evidence", "--out", evidence),
    ).toMatchObject({ file: evidence, index, origin: "test.localhost/app", quorumMet: true });
    const [bare, full] = [await run("verify", plain, ...policy()), await run("verify", evidence, ...policy())];
    expect([bare.code, full.code]).toEqual([0, 0]);
    expect(bare.out).toMatch(/^VERIFIED {2}an entry of class [^\n]+\n {2}event {4}not shown/);
    expect(full.out).toMatch(/^VERIFIED {2}auth\.login success by user:u_81\n {2}event {4}matches its commitment/);
    expect(await jsonOf("verify", evidence, ...policy())).toMatchObject({
      verdict: "VERIFIED",
      index,
      quorumMet: true,
      event: { type: "auth.login", actor: { id: "u_81" } },
    });
  });

  test("--opening shows the contents of a plain receipt, and only its own", async () => {
    const paths = { plain: at("p.tlog-proof"), evidence: at("p.json"), opening: at("p.opening") };
    for (const [at_, { index }] of [await submitted(), await submitted()].entries()) {
      const args = ["receipt", String(index), ...as("auditor"), ...policy()];
      if (at_ === 0) await run(...args, "--out", paths.plain);
      await run(...args, "--evidence", "--out", paths.evidence);
      const { opening } = JSON.parse(await readFile(paths.evidence, "utf8")) as { opening: string };
      await writeFile(paths.opening, `${opening}\n`);
      const ran = await run("verify", paths.plain, "--opening", paths.opening, ...policy());
      expect([ran.code, ran.out.split(" ")[0]]).toEqual(at_ === 0 ? [0, "VERIFIED"] : [1, "REFUTED"]);
    }
  });

  test("--out - gives the receipt and nothing else, and takes no --json", async () => {
    const args = ["receipt", "0", ...as("auditor"), ...policy(), "--out"];
    await run(...args, at("0.tlog-proof"));
    const ran = await run(...args, "-");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    // The log may have grown in between: then the two differ below the lines that name the format and the index.
    const [head, written] = [ran.out, await readFile(at("0.tlog-proof"), "utf8")].map((text) =>
      text.split("\n").slice(0, 3),
    );
    expect(head).toEqual(written);
    await writeFile(at("stdout.tlog-proof"), ran.out);
    expect((await run("verify", at("stdout.tlog-proof"), ...policy())).code).toBe(0);
    expect((await run(...args, "-", "--json")).code).toBe(3);
  });

  test("what is not there, or beyond the end, is told with 2 and written nowhere", async () => {
    const out = at("missing.tlog-proof");
    const ran = await run("receipt", "9007199254740991", ...as("auditor"), ...policy(), "--out", out);
    expectFailure(ran, 2, "receipt");
    await expect(readFile(out)).rejects.toThrow("ENOENT");
  });

  test("a policy of other witnesses, or of none, gets the log's word alone: 2, never VERIFIED", async () => {
    const own = await readFile(log.made.policyPath, "utf8");
    await writeFile(
      at("none.txt"),
      `${own
        .split("\n")
        .filter((line) => line.startsWith("log "))
        .join("\n")}\nquorum none\n`,
    );
    await run("receipt", "0", ...as("auditor"), ...policy(), "--evidence", "--out", at("0.json"));
    const verified = await run("verify", at("0.json"), "--policy", at("none.txt"));
    expect(verified).toMatchObject({ code: 2, out: expect.stringMatching(/^LOG-ONLY {2}/) });
    const fetched = await run("receipt", "0", ...as("auditor"), "--policy", at("none.txt"), "--out", at("n"));
    expect(fetched).toMatchObject({ code: 2, out: expect.stringContaining("the log's word alone") });
    const proved = await run("prove", "inclusion", "0", ...as("auditor"), "--policy", at("none.txt"));
    expect(proved).toMatchObject({ code: 2, err: expect.stringContaining("the log's word alone") });
    const audited = await run("audit", ...as("auditor"), "--policy", at("none.txt"));
    expect(audited).toMatchObject({ code: 2, out: expect.stringMatching(/^LOG-ONLY {2}/) });
  });

  test("a policy of another log's key refutes the receipt, and no file of it is left", async () => {
    const other = "log test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O\nquorum none\n";
    await writeFile(at("other.txt"), other);
    await rm(at("o"), { force: true });
    const ran = await run("receipt", "0", ...as("auditor"), "--policy", at("other.txt"), "--out", at("o"));
    expect(ran).toMatchObject({ code: 1, out: expect.stringMatching(/^REFUTED {2}log-signature: /) });
    // Of a log that has replaced its keys this is no wonder.
    expect(ran.out).toMatch(/\n {2}or the policy is of another time: [^]*policies\/NAME\.before-….txt/);
    await expect(readFile(at("o"))).rejects.toThrow("ENOENT");
  });

  test("contents that would steer a terminal are shown as escapes, in text and JSON", async () => {
    const { index } = await submitted("--reason", TURNING, "--session", HOSTILE);
    await run("receipt", String(index), ...as("auditor"), ...policy(), "--evidence", "--out", at("h.json"));
    const ran = await run("verify", at("h.json"), ...policy());
    expect(ran.out.split("\n")[0]).toBe('VERIFIED  auth.login success by user:u_81 ("why\\u{202e}\\u{61c}\\u{2067}")');
    expect(await jsonOf("verify", at("h.json"), ...policy())).toMatchObject({ event: { reason: TURNING } });
  });
});

describe("prove", () => {
  test("inclusion and consistency up to the newest head", async () => {
    const { index } = await submitted();
    const proved = (await jsonOf("prove", "inclusion", "0", ...as("auditor"), ...policy())) as {
      size: string;
      hashes: [];
    };
    expect(Number(proved.size)).toBeGreaterThan(index);
    expect(proved).toMatchObject({ index: 0, witnessed: true });
    for (const from of ["0", "1", String(index), proved.size]) {
      const ran = await run("prove", "consistency", from, ...as("auditor"), ...policy());
      expect(ran).toMatchObject({ code: 0, err: "", out: expect.stringContaining(`extends that of size ${from} `) });
    }
  });

  test.each([["inclusion"], ["consistency"]])("%s beyond the head is wrong usage", async (kind) => {
    const ran = await run("prove", kind, "9007199254740991", ...as("auditor"), ...policy());
    expectFailure(ran, 3, "prove");
    expect(ran.err).toMatch(/expected (one below|at most) \d+, the size of the published head, got 9007199254740991/);
  });
});

describe("audit", () => {
  test("verifies the whole log, with contents and with heads seen elsewhere", async () => {
    await run("receipt", "0", ...as("auditor"), ...policy(), "--out", at("head"));
    await run("receipt", "0", ...as("auditor"), ...policy(), "--evidence", "--out", at("head.json"));
    const heads = ["--head", at("head"), "--head", at("head.json")];
    const [, url, , token] = as("auditor");
    const ran = await run("audit", url ?? "", "--token", token ?? "", ...policy(), ...heads, "--contents");
    expect(ran).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringMatching(/^VERIFIED {2}test\.localhost\/app, \d+ entries/),
    });
    expect(ran.out).toMatch(/contents \d+ opened, each matches its leaf/);
    expect(await jsonOf("audit", ...as("auditor"), ...policy())).toMatchObject({ verdict: "VERIFIED", findings: [] });
  });

  test("with another role's token cannot tell: 2", async () => {
    const ran = await run("audit", ...as("writer"), ...policy());
    expectFailure(ran, 2, "audit");
    expect(ran.err).toContain("403 forbidden: this asks for the role auditor; the token's is writer");
  });

  test("with a token that the log does not know says so: 2", async () => {
    const ran = await run("audit", "--log", log.url(), "--token", "tsk_auditor_wrong", ...policy());
    expectFailure(ran, 2, "audit");
    expect(ran.err).toContain("401 unauthenticated: this token is not known");
  });

  test("an address without the log's name is told what it lacks: 2", async () => {
    const ran = await run("audit", "--log", new URL("/", log.url()).origin, ...policy());
    expectFailure(ran, 2, "audit");
    expect(ran.err).toContain("\n  --log: the address ends with the log's name, such as /app\n");
  });

  test("refutes a log that has not the history of another head of its origin", async () => {
    const other = await createSmallLog(1);
    try {
      await other.report(1);
      const text = await Promise.all([log, other].map(async ({ made }) => readFile(made.policyPath, "utf8")));
      const logs = text.flatMap((lines) => lines.split("\n").filter((line) => line.startsWith("log ")));
      await writeFile(at("both.txt"), `${logs.join("\n")}\nquorum none\n`);
      const args = ["--policy", at("both.txt"), "--token", other.made.tokens.auditor, "--log", other.url()];
      expect((await runHere(["receipt", "0", ...args, "--out", at("foreign")])).code).toBe(2);
      const ran = await run("audit", ...as("auditor"), "--policy", at("both.txt"), "--head", at("foreign"));
      // Both logs bear one origin, so the head seen elsewhere ought to be in this history.
      expect(ran).toMatchObject({ code: 1, out: expect.stringMatching(/^REFUTED {2}/) });
    } finally {
      await other.remove();
    }
  });
});

describe("tail", () => {
  test("shows what is there and what comes, in text and JSON, until it is stopped", async () => {
    await submitted("--reason", TURNING);
    const stop = new AbortController();
    const onOut = (text: string): void => {
      if (/\n +2 {2}/.test(text)) stop.abort();
    };
    const ran = await runHere(["tail", "--from", "0", ...as("auditor")], { signal: stop.signal, onOut });
    expectClean(ran, secrets());
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^ {5}0 {2}\S+ {2}\S+ \S+ by /);
    const again = new AbortController();
    const lines = await runHere(["tail", "--from", "0", "--json", ...as("auditor")], {
      signal: again.signal,
      onOut: (text) => {
        if (text.split("\n").length > 3) again.abort();
      },
    });
    expectClean(lines, secrets());
    const values = lines.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; index: number });
    expect(
      values
        .filter(({ kind }) => kind === "entry")
        .map(({ index }) => index)
        .slice(0, 3),
    ).toEqual([0, 1, 2]);
  });

  test("with another role's token ends with 2", async () => {
    expectFailure(await run("tail", ...as("writer")), 2, "tail");
    expectFailure(await run("tail", "--from", "0", ...as("writer")), 2, "tail");
  });
});
