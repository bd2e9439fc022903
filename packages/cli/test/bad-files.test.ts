/** Files that are not what a command expects: each is refused in a line of words and with the code that is documented. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClean, expectFailure } from "./support/clean.ts";
import { runHere } from "./support/run-here.ts";

/** Nothing listens there, and nothing is asked before the files are read. */
const LOG = ["--log", "http://127.0.0.1:9/app"];
const POLICY = "log test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O\nquorum none\n";

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  await writeFile(at("policy.txt"), POLICY);
  await mkdir(at("folder"));
  await writeFile(at("file"), "x");
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Bytes that are nothing that any command expects. */
const BAD: readonly (readonly [what: string, bytes: string | Uint8Array])[] = [
  ["nothing", ""],
  ["blank lines", "\n\n \n"],
  ["one byte", "x"],
  ["zero bytes", new Uint8Array(4096)],
  ["random bytes", Uint8Array.from({ length: 4096 }, (_, n) => (n * 197 + 31) % 256)],
  ["octets that are no UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d)],
  ["a mark of byte order", '\uFEFF{"format":"tallystick/evidence@1"}'],
  ["a surrogate cut in half", Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
  ["deep arrays", "[".repeat(200_000)],
  ["deep arrays that are closed", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["deep objects", `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`],
  ["JSON that is cut off", '{"format":"tallystick/evidence@1","proof":"c2sp.org/tlog-proof@v1'],
  ["a name twice", '{"format":"tallystick/evidence@1","format":"tallystick/evidence@1","proof":"","opening":""}'],
  ["a name of every object", '{"__proto__":{"format":"tallystick/evidence@1"},"toString":1,"constructor":2}'],
  ["a number", "1e999"],
  ["null", "null"],
  ["an array of nulls", "[null]"],
  ["text", '"c2sp.org/tlog-proof@v1"'],
  ["evidence of numbers", '{"format":"tallystick/evidence@1","proof":1,"opening":2}'],
  ["evidence of nothing", '{"format":"tallystick/evidence@1","proof":"","opening":""}'],
  ["a fork of one head", '{"format":"tallystick/fork@1","origin":"x","checkpoints":["x"]}'],
  ["a fork of two texts", '{"format":"tallystick/fork@1","origin":"x","checkpoints":["x","\\u001b[2J"]}'],
  ["a proof without anything", "c2sp.org/tlog-proof@v1\n"],
  ["a proof with escapes", "c2sp.org/tlog-proof@v1\n\u001B]0;title\u0007\nextra \u009B2J\n"],
  ["lines of Windows", "c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\n"],
  ["a private key of somebody", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"],
];

describe.each(BAD)("a file of %s", (_what, bytes) => {
  beforeAll(async () => {
    await writeFile(at("bad"), bytes);
  });

  test("is REFUTED by verify, with 1, in text and JSON", async () => {
    const args = ["verify", at("bad"), "--policy", at("policy.txt")];
    const text = await runHere(args);
    expectClean(text);
    expect(text).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}[a-z-]+: [^\n]+\n$/) });
    const json = await runHere([...args, "--json"]);
    expectClean(json);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ verdict: "REFUTED", message: expect.any(String) });
  });

  test("is no policy: 2", async () => {
    for (const args of [
      ["verify", at("file")],
      ["audit", "http://127.0.0.1:9/app"],
      ["prove", "inclusion", "0", ...LOG],
      ["receipt", "0", ...LOG],
    ]) {
      const ran = await runHere([...args, "--policy", at("bad")]);
      expectFailure(ran, 2, args[0] ?? "");
      expect(ran.err).toContain("(policy-malformed)\n  the policy says whom to trust");
      expect(ran.err).toContain(`${at("bad")}: `);
    }
  });

  test("is no opening: 2", async () => {
    const args = ["verify", at("bad"), "--policy", at("policy.txt"), "--opening", at("bad")];
    const ran = await runHere(args);
    expectClean(ran);
    // Nothing at all is base64 of nothing: then the receipt itself is refused.
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.out).not.toContain("VERIFIED");
  });

  test("is no head for an audit: 2, before the log is asked", async () => {
    const args = ["audit", ...LOG, "--policy", at("policy.txt"), "--head", at("bad")];
    const ran = await runHere(args);
    expectFailure(ran, 2, "audit");
  });

  test("is no event to submit: nothing but JSON is sent", async () => {
    const ran = await runHere(["submit", at("bad"), ...LOG, "--token", "t"]);
    expectClean(ran);
    expect([2, 3]).toContain(ran.code);
    expect(ran.out).toBe("");
  });
});

describe("a path", () => {
  const COMMANDS: readonly (readonly [what: string, args: (path: string) => readonly string[]])[] = [
    ["verify", (path) => ["verify", path, "--policy", at("policy.txt")]],
    ["verify --policy", (path) => ["verify", at("file"), "--policy", path]],
    ["verify --opening", (path) => ["verify", at("file"), "--policy", at("policy.txt"), "--opening", path]],
    ["audit --policy", (path) => ["audit", ...LOG, "--policy", path]],
    ["audit --head", (path) => ["audit", ...LOG, "--policy", at("policy.txt"), "--head", path]],
    ["prove --policy", (path) => ["prove", "consistency", "1", ...LOG, "--policy", path]],
    ["receipt --policy", (path) => ["receipt", "1", ...LOG, "--policy", path]],
    ["submit", (path) => ["submit", path, ...LOG]],
  ];

  test.each(COMMANDS)("that leads nowhere, or to a folder, is refused by %s with 2", async (what, argsOf) => {
    const [name = ""] = what.split(" ");
    for (const [path, words] of [
      [at("missing"), "there is no such file (ENOENT)"],
      [at("folder"), "it is a folder, not a file (EISDIR)"],
      [join(at("file"), "below"), "a part of its path is not a folder (ENOTDIR)"],
      [at("x".repeat(300)), "its name is too long (ENAMETOOLONG)"],
    ] as const) {
      const ran = await runHere(argsOf(path));
      expectFailure(ran, 2, name);
      expect(ran.err).toContain(`${path}: ${words}`);
      const { code, out } = await runHere([...argsOf(path), "--json"]);
      expect(code).toBe(2);
      expect(JSON.parse(out)).toEqual({ error: { code: /\((\w+)\)/.exec(words)?.[1], message: expect.any(String) } });
    }
  });

  test.each(COMMANDS)("that has no end is not read to it by %s", async (_what, argsOf) => {
    const ran = await runHere(argsOf("/dev/zero"));
    expectClean(ran);
    expect([1, 2]).toContain(ran.code);
    expect(ran.out + ran.err).toMatch(/expected at most \d+ bytes, got more/);
  });

  test.skipIf(process.getuid?.() === 0).each(COMMANDS)(
    "that may not be read is refused by %s",
    async (what, argsOf) => {
      await writeFile(at("secret"), "x");
      await chmod(at("secret"), 0);
      const ran = await runHere(argsOf(at("secret")));
      expectFailure(ran, 2, what.split(" ")[0] ?? "");
      expect(ran.err).toContain("it may not be read or written by you (EACCES)");
    },
  );
});

test("verify takes no second opening beside the one in the file", async () => {
  await writeFile(at("evidence.json"), '{"format":"tallystick/evidence@1","proof":"","opening":""}');
  await writeFile(at("opening"), "AAAA\n");
  const args = ["verify", at("evidence.json"), "--policy", at("policy.txt"), "--opening", at("opening")];
  expect(await runHere(args)).toMatchObject({ code: 3, err: expect.stringContaining("this file has all of its own") });
});

describe("submit", () => {
  test("names the line of a file of events", async () => {
    await writeFile(at("events.jsonl"), '{"type":"auth.login"}\n\n{"type":"auth.login","type":"auth.logout"}\n');
    const ran = await runHere(["submit", at("events.jsonl"), ...LOG]);
    expectFailure(ran, 2, "submit");
    expect(ran.err).toContain(`${at("events.jsonl")}: line 3, column 22: `);
  });

  test("sends at most 1,000 events", async () => {
    await writeFile(at("events.jsonl"), '{"type":"auth.login"}\n'.repeat(1001));
    const ran = await runHere(["submit", at("events.jsonl"), ...LOG]);
    expectFailure(ran, 3, "submit");
    expect(ran.err).toContain("expected at most 1000 events, found 1001; tallystick import takes any number");
  });
});
