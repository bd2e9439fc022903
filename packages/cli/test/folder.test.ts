/** What commands find and leave in the folder where they run, and what a process of its own shows: pipes, ends, crashes. */
import { once } from "node:events";
import { mkdir, readFile, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exitOf, startCommand, temporaryFolder } from "../../../test/support/processes.ts";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const EVENT = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];

let log: SmallLog;
let folder: string;
beforeAll(async () => {
  log = await createSmallLog(1);
  // Until then the log asks its witnesses, and takes nothing in.
  await log.report(1);
});
afterAll(async () => {
  await log.remove();
});
beforeEach(async () => {
  folder = await temporaryFolder();
  return async () => rm(folder, { recursive: true, force: true });
});

const home = process.cwd();
beforeEach(() => {
  process.chdir(folder);
  return () => process.chdir(home);
});

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere(args);
  expectClean(ran, Object.values(log.made.tokens));
  return ran;
}

const toLog = (): readonly string[] => ["--log", log.url(), "--token", log.made.tokens.writer];
const lineOf = (id: number): string =>
  `{"time":${1790000000000 + id},"type":"auth.login","outcome":"success","actor":{"type":"user","id":"u_${id}"}}\n`;

describe("import", () => {
  test("logs each line once, and goes on where the file has grown", async () => {
    const path = join(folder, "events.jsonl");
    await writeFile(path, `${lineOf(1)}\n${lineOf(2)}not JSON\n`);
    const first = await run("import", path, ...toLog(), "--json");
    expect([first.code, JSON.parse(first.out)]).toMatchObject([
      0,
      { added: 3, there: 0, lines: 4, unreadable: 1, refused: [] },
    ]);
    await writeFile(path, `${lineOf(1)}\n${lineOf(2)}not JSON\n${lineOf(3)}`);
    const second = await run("import", path, ...toLog(), "--json");
    expect([second.code, JSON.parse(second.out)]).toMatchObject([0, { added: 1, there: 3, lines: 5 }]);
    const [kept = ""] = await readdir(join(folder, ".tallystick", "imports"));
    await writeFile(join(folder, ".tallystick", "imports", kept), '{"lines":1e9,"digest":{},"utcOffsetMinutes":0}');
    const third = await run("import", path, ...toLog(), "--json");
    expect([third.code, JSON.parse(third.out)]).toMatchObject([0, { added: 0, there: 4 }]);
  });

  test("says that lines are there already only where this log has them", async () => {
    const path = join(folder, "events.jsonl");
    await writeFile(path, lineOf(11) + lineOf(12));
    await run("import", path, ...toLog());
    const again = async (): Promise<unknown> => JSON.parse((await run("import", path, ...toLog(), "--json")).out);
    // Nothing was sent, so there is no last index.
    expect(await again()).not.toHaveProperty("lastIndex");
    const [name = ""] = await readdir(join(folder, ".tallystick", "imports"));
    const kept = join(folder, ".tallystick", "imports", name);
    const progress = JSON.parse(await readFile(kept, "utf8")) as object;
    for (const other of [{ log: "another log's keys" }, { lastIndex: 1_000_000 }]) {
      await writeFile(kept, JSON.stringify({ ...progress, ...other }));
      expect(await again()).toMatchObject({ added: 0, there: 2, lastIndex: expect.any(Number) });
    }
    const gone = await run("import", path, "--log", "http://127.0.0.1:1/app", "--token", log.made.tokens.writer);
    expect(gone).toMatchObject({ code: 2, out: "" });
  });

  test("of bytes that are no text keeps each line as an event, and shows none of them", async () => {
    const path = join(folder, "bytes.jsonl");
    await writeFile(path, Buffer.from([0x7b, 0xff, 0x0a, 0x1b, 0x5b, 0x32, 0x4a, 0x0a, 0x00, 0x0a]));
    const ran = await run("import", path, ...toLog(), "--format", "jsonl");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toContain("3 could not be read; each is kept as an event, import.unreadable");
  });

  test("takes files only: neither folders nor pipes nor what is not there, and makes no folder then", async () => {
    const socket = createServer().listen(join(folder, "pipe"));
    await once(socket, "listening");
    await symlink("loop", join(folder, "loop"));
    for (const [name, code, words] of [
      ["missing", 2, "there is no such file (ENOENT)"],
      ["loop", 2, "its links lead in a circle (ELOOP)"],
      [".", 3, "expected a file, got a folder, a pipe or a device"],
      ["pipe", 3, "expected a file, got a folder, a pipe or a device"],
      ["/dev/zero", 3, "expected a file, got a folder, a pipe or a device"],
    ] as const) {
      const ran = await run("import", name, ...toLog());
      expect([name, ran.code, ran.out]).toEqual([name, code, ""]);
      expect(ran.err).toContain(words);
    }
    expect(await readdir(folder)).toEqual(["loop", "pipe"]);
    socket.close();
  });

  test("names what is wrong with its options, and asks for a year where the file is older than any log", async () => {
    const path = join(folder, "auth.log");
    await writeFile(path, "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186\n");
    for (const [options, words] of [
      [["--format", "csv"], '--format: expected openssh or jsonl, got "csv"'],
      [["--year", "1990"], "--year: expected a year from 1991 to 9998, got 1990"],
      [["--year", "99999999999"], "--year: expected a year from 1991 to 9998"],
      [["--year", "-1"], "--year"],
      [["--utc-offset", "1440"], "--utc-offset: expected minutes within a day"],
      [["--utc-offset", "1e2"], "--utc-offset: expected minutes within a day"],
    ] as const) {
      const ran = await run("import", path, ...toLog(), ...options);
      expect([options, ran.code]).toEqual([options, 3]);
      expect(ran.err).toContain(words);
    }
    await utimes(path, 0, 0);
    expect(await run("import", path, ...toLog(), "--format", "jsonl")).toMatchObject({ code: 0, err: "" });
    expect(await run("import", path, ...toLog())).toMatchObject({ code: 3, err: expect.stringContaining("--year") });
    expect(await run("import", path, ...toLog(), "--year", "2024")).toMatchObject({ code: 0, err: "" });
  });

  test("refuses a file of which nothing can be read, before anything is sent", async () => {
    const path = join(folder, "image");
    await writeFile(path, "\u001B[2Jnot a log\n".repeat(30));
    const ran = await run("import", path, ...toLog());
    expect(ran).toMatchObject({
      code: 3,
      out: "",
      err: expect.stringContaining("none of the first 20 lines can be read"),
    });
  });
});

describe("submit", () => {
  test("reads events from a pipe, as text or not at all", async () => {
    for (const [bytes, code] of [
      [Buffer.from(lineOf(1)), 0],
      [Buffer.from(`${lineOf(1)}${lineOf(2)}`), 0],
      [Buffer.from('{"type":"auth.login","reason":"\xFF"}', "latin1"), 2],
      [Buffer.alloc(0), 3],
      [Buffer.alloc(17 * 1024 * 1024, "["), 2],
    ] as const) {
      await writeFile(join(folder, "events"), bytes);
      const child = startCommand(folder, ["submit", "-", ...toLog()], ["sh", "-c", 'cat events | "$@"', "sh"]);
      let printed = "";
      for (const stream of [child.stdout, child.stderr])
        stream?.on("data", (part: Buffer) => (printed += part.toString()));
      expect([bytes.length, await exitOf(child), printed]).toEqual([bytes.length, code, expect.any(String)]);
      expectClean({ out: printed, err: "" });
    }
  });
});

describe("dev.json", () => {
  const devFile = (): Record<string, unknown> => ({
    log: {
      url: log.url(),
      origin: "test.localhost/app",
      vkeys: [],
      tokens: { writer: log.made.tokens.writer, auditor: log.made.tokens.auditor, operator: "o" },
    },
    witnesses: [],
    policy: log.made.policyPath,
  });

  async function write(content: unknown): Promise<void> {
    await mkdir(join(folder, ".tallystick"), { recursive: true });
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await writeFile(join(folder, ".tallystick", "dev.json"), text);
  }

  test("gives address, token and policy", async () => {
    await write(devFile());
    expect(await run("submit", ...EVENT)).toMatchObject({ code: 0, err: "" });
    expect(await run("receipt", "0")).toMatchObject({ code: 0, err: "" });
    expect(await run("verify", "0.tlog-proof")).toMatchObject({ code: 0, err: "" });
  });

  test("that is not as dev writes it is refused with 3, whatever it holds", async () => {
    const good = devFile();
    for (const bad of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      "[".repeat(100_000),
      { ...good, log: null },
      { ...good, log: { ...(good["log"] as object), tokens: { writer: 1 } } },
      { ...good, witnesses: {} },
      { ...good, witnesses: [null] },
      { ...good, policy: ["x"] },
      `{"policy":"x",${JSON.stringify(good).slice(1)}`,
    ]) {
      await write(bad);
      const ran = await run("submit", ...EVENT);
      expect(ran).toMatchObject({ code: 3, out: "" });
      expect(ran.err).toContain("dev.json: expected what tallystick dev writes");
    }
  });

  test("cannot send the token of its reader to another machine", async () => {
    const good = devFile();
    for (const url of [
      "http://198.51.100.7/app",
      "https://127.0.0.1/app",
      "http://x@127.0.0.1/app",
      "http://127.0.0.1.example/",
    ]) {
      await write({ ...good, log: { ...(good["log"] as object), url } });
      expect(await run("submit", ...EVENT, "--token", "sEcReT")).toMatchObject({ code: 3, out: "" });
    }
  });

  test("is no folder, and none of its tokens goes to a log that --log names", async () => {
    const other: ScriptedLog = await startScriptedLog();
    try {
      await write(devFile());
      expect((await run("submit", ...EVENT, "--log", other.url)).code).toBe(2);
      expect(other.requests).toEqual(["GET /app/v1/policy -", "POST /app/v1/events?wait=witnessed -"]);
    } finally {
      await other.close();
    }
    await rm(join(folder, ".tallystick", "dev.json"));
    await mkdir(join(folder, ".tallystick", "dev.json"));
    expect(await run("submit", ...EVENT)).toMatchObject({
      code: 2,
      err: expect.stringContaining("it is a folder, not a file"),
    });
  });
});

describe("the process", () => {
  test("ends with its own code where nobody reads what it prints", async () => {
    for (const args of [["--help"], ["verify", "missing", "--policy", log.made.policyPath], ["verify"]]) {
      const expected = (await run(...args)).code;
      const child = startCommand(folder, args);
      child.stdout?.destroy();
      child.stderr?.destroy();
      await once(child, "exit");
      expect([args, child.exitCode]).toEqual([args, expected]);
    }
  });

  test("that meets what nobody expected says so in a line, with 2: 1 would mean refuted", async () => {
    const gone = join(folder, "gone");
    const child = startCommand(folder, ["verify", "x"], ["env", `INIT_CWD=${gone}`, "npm_lifecycle_event=tallystick"]);
    let err = "";
    child.stderr?.on("data", (part: Buffer) => (err += part.toString()));
    expect(await exitOf(child)).toBe(2);
    expect(err).toMatch(/^tallystick: internal error: "[^\n]*ENOENT[^\n]*"\n$/);
  });

  test("writes a receipt to where it is told, over what is there", async () => {
    const path = join(folder, "r");
    await writeFile(path, "old".repeat(10_000));
    const args = [
      "receipt",
      "0",
      "--log",
      log.url(),
      "--token",
      log.made.tokens.auditor,
      "--policy",
      log.made.policyPath,
    ];
    expect((await run(...args, "--out", path)).code).toBe(0);
    expect((await readFile(path, "utf8")).startsWith("c2sp.org/tlog-proof@v1\n")).toBe(true);
    expect((await run("verify", path, "--policy", log.made.policyPath)).code).toBe(0);
    for (const out of [folder, join(path, "x"), join(folder, "no", "such")])
      expect(await run(...args, "--out", out)).toMatchObject({
        code: 2,
        out: "",
        err: expect.stringMatching(/^tallystick receipt: [^\n]+\n$/),
      });
  });
});
