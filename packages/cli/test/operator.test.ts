/** The operator's commands: serve, witness, keys and fsck, on folders of every kind. */
import { cp, mkdir, readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join, relative } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exitOf, startCommand, temporaryFolder } from "../../../test/support/processes.ts";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, type RunOptions, runHere } from "./support/run-here.ts";

const TOKEN = /tsk_(writer|reader|auditor|operator|officer)_[A-Za-z0-9_-]{43}/;
const SECRET_KEY = /PRIVATE\+KEY/;

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  return async () => rm(folder, { recursive: true, force: true });
});

async function run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await runHere(args, options);
  expectClean(ran);
  expect(ran.out + ran.err).not.toMatch(SECRET_KEY);
  return ran;
}

/** Runs until something is printed, and stops it then. */
async function runUntilPrinted(args: readonly string[]): Promise<Ran> {
  const stop = new AbortController();
  return run(args, { signal: stop.signal, onOut: () => stop.abort() });
}

describe("serve --init, keys and fsck", () => {
  const at = (name: string): string => join(folder, name);
  const init = (): readonly string[] => [
    "serve",
    "--dir",
    at("s"),
    "--init",
    "--name",
    "app",
    "--origin",
    "test.localhost/app",
  ];

  test("set up a server without witnesses, show its keys and tokens once, and find its disk whole", async () => {
    const made = await run([...init(), "--listen", "127.0.0.1:0"]);
    expect(made).toMatchObject({ code: 0, err: "" });
    expect(made.out.match(new RegExp(TOKEN, "g"))).toHaveLength(4);
    expect(made.out).toMatch(/^warning {2}no witness: nobody but its operator vouches for this log.*--witness NAME=/m);
    const again = await run(init());
    expectFailure(again, 2, "serve");
    const started = await runUntilPrinted(["serve", "--dir", at("s"), "--start-without-witnesses"]);
    expect(started.out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/app {2}test\.localhost\/app {2}test\.localhost\/app\+/);
    const tokens = await run(["keys", "tokens", "--dir", at("s")]);
    expect(tokens.code).toBe(0);
    expect(tokens.out).not.toMatch(TOKEN);
    const json = JSON.parse((await run(["keys", "show", "--dir", at("s"), "--json"])).out) as {
      keys: { vkey: string }[];
    }[];
    const vkey = json[0]?.keys[0]?.vkey ?? "";
    const fingerprint = await run(["keys", "fingerprint", vkey]);
    expect((await run(["keys", "show", "--dir", at("s")])).out).toContain(
      `  ${vkey}\n  fingerprint ${fingerprint.out}`,
    );
    const whole = await run(["fsck", "--dir", at("s"), "--name", "app"]);
    expect(whole).toMatchObject({ code: 0, out: expect.stringMatching(/^WHOLE {2}test\.localhost\/app, /) });
    expect(JSON.parse((await run(["fsck", "--dir", at("s"), "--json"])).out)).toMatchObject({ ok: true, findings: [] });
  });

  test("make and take back tokens; only a new one is shown, once", async () => {
    await run(init());
    const args = ["keys", "create-token", "--dir", at("s"), "--name", "app", "--role", "auditor"];
    const { token, id } = JSON.parse((await run([...args, "--json"])).out) as { token: string; id: string };
    expect(token).toMatch(TOKEN);
    const text = await run(args);
    expect(text.out).toMatch(new RegExp(`^${TOKEN.source}\n$`));
    expect(text.err).toMatch(/^auditor-[0-9a-f]{8} is its id/);
    for (const shown of [
      await run(["keys", "tokens", "--dir", at("s")]),
      await run(["keys", "tokens", "--dir", at("s"), "--json"]),
      await run(["keys", "revoke-token", id, "--dir", at("s")]),
    ])
      expectClean(shown, [token]);
    expect((await run(["keys", "tokens", "--dir", at("s")])).out).not.toContain(id);
    expectFailure(await run(["keys", "revoke-token", id, "--dir", at("s")]), 2, "keys");
    expectFailure(await run(["keys", "revoke-token", token, "--dir", at("s")]), 2, "keys");
  });

  test("make a reader's token for one person, whose id is in no file", async () => {
    await run(init());
    const args = ["keys", "create-token", "--dir", at("s"), "--name", "app", "--role", "reader"];
    const made = await run([...args, "--subject", "u-canary-7731", "--tenant", "acme-canary"]);
    expect(made.out).toMatch(/^tsk_reader_\S+\n$/);
    expect(made.err).toMatch(/^reader-[0-9a-f]{8} is its id, /);
    expect((await run(["keys", "tokens", "--dir", at("s")])).out).toMatch(/^reader-.* of one subject and tenant$/m);
    const listed = await run(["keys", "tokens", "--dir", at("s"), "--json"]);
    expect(JSON.parse(listed.out)).toContainEqual(
      expect.objectContaining({ role: "reader", scope: ["subject", "tenant"] }),
    );
    expect(await readFile(at("s/tokens.json"), "utf8")).not.toContain("canary");
  });

  test.each([
    [["--name", "app", "--role", "reader"], "expected --subject or --tenant for a reader"],
    [["--name", "app", "--role", "officer", "--subject", "a"], "for no other role"],
    [["--name", "app", "--role", "admin"], "--role writer|reader|auditor|operator|officer"],
    [["--name", "app", "--role", "constructor"], "--role writer|reader|auditor|operator|officer"],
    [["--name", "nope", "--role", "writer"], 'this server has no log "nope"'],
    [["--role", "writer"], "expected --name LOG"],
  ])("create-token %j is wrong usage", async (options, words) => {
    await run(init());
    const ran = await run(["keys", "create-token", "--dir", at("s"), ...options]);
    expectFailure(ran, 3, "keys");
    expect(ran.err).toContain(words);
  });

  test.each([
    ["--quorum", "x"],
    ["--quorum", "-1"],
    ["--witness", "w1"],
    ["--witness", "=x@http://127.0.0.1:1"],
    ["--listen", "x"],
    ["--listen", "127.0.0.1:99999"],
    ["--listen", ":80"],
  ])("refuse %s %s, and write nothing", async (option, value) => {
    expectFailure(await run([...init(), option, value]), 3, "serve");
    expect(await readdir(folder)).toEqual([]);
  });

  test.each([
    ["a quorum beyond the witnesses", ["--quorum", "3"]],
    ["a witness whose key is none", ["--witness", "w1=nothing@http://127.0.0.1:1"]],
    ["a name that is a path", ["--name", "../app"]],
    ["an origin of two lines", ["--origin", "test\n.localhost/app"]],
  ])("refuse %s, and write nothing", async (_what, options) => {
    const ran = await run([...init(), ...options]);
    expectClean(ran);
    expect([2, 3]).toContain(ran.code);
    expect(await readdir(folder)).toEqual([]);
  });

  test.each(["--name", "--origin", "--witness", "--quorum", "--pin-first-sender-key"])(
    "%s without --init is wrong usage, rather than of no effect",
    async (option) => {
      const value = option === "--pin-first-sender-key" ? [] : ["1"];
      const ran = await run(["serve", "--dir", at("s"), option, ...value]);
      expectFailure(ran, 3, "serve");
      expect(ran.err).toContain(`${option}: expected --init with it`);
    },
  );

  test("say that another process listens there", async () => {
    await run(init());
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const ran = await run(["serve", "--dir", at("s"), "--listen", `127.0.0.1:${port}`]);
    taken.close();
    expectFailure(ran, 2, "serve");
    expect(ran.err).toContain("another process listens there: --listen names another address");
  });
});

describe("a folder that is no server's and no witness's", () => {
  const COMMANDS: readonly (readonly string[])[] = [
    ["serve"],
    ["fsck"],
    ["keys", "show"],
    ["keys", "tokens"],
    ["keys", "revoke-token", "x"],
    ["keys", "create-token", "--name", "app", "--role", "writer"],
    ["witness", "serve", "--listen", "127.0.0.1:0"],
    ["witness", "list"],
    ["witness", "keys"],
    ["witness", "evidence"],
    ["witness", "remove-log", "x"],
    ["witness", "add-log", "test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O"],
  ];

  test.each(COMMANDS.map((args) => [args.join(" "), args] as const))(
    "is refused by %s, and left as it is",
    async (_words, args) => {
      await mkdir(join(folder, "empty"));
      await writeFile(join(folder, "file"), "x");
      for (const name of ["empty", "missing", "file", join("file", "below")]) {
        const ran = await run([...args, "--dir", join(folder, name)]);
        expect([name, ran.code]).toEqual([name, 2]);
        expectFailure(ran, 2, args[0] ?? "");
      }
      expect((await readdir(folder)).toSorted()).toEqual(["empty", "file"]);
      expect(await readdir(join(folder, "empty"))).toEqual([]);
    },
  );

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["null", "null"],
    ["an array", "[]"],
    ["nothing known", '{"logs":1,"__proto__":{}}'],
    ["deep JSON", "[".repeat(100_000)],
    ["bytes", "\u0000\u001B[2J"],
  ])("nor is one whose configuration is %s", async (_what, text) => {
    for (const name of ["server.json", "tallystick.json", "config.json", "witness.json", "tokens.json"])
      await writeFile(join(folder, name), text);
    for (const args of COMMANDS) expectFailure(await run([...args, "--dir", folder]), 2, args[0] ?? "");
  });
});

describe("witness", () => {
  const VKEY = "test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O";
  const dir = (): readonly string[] => ["--dir", join(folder, "w")];
  const init = async (): Promise<Ran> => run(["witness", "init", ...dir(), "--name", "test.localhost/w1"]);

  test("is set up, told of a log, shows its keys, serves, and forgets the log", async () => {
    const made = await init();
    expect(made).toMatchObject({ code: 0, err: "" });
    const keys = await run(["witness", "keys", ...dir()]);
    for (const vkey of keys.out.trimEnd().split("\n")) expect(made.out).toContain(vkey);
    expect((await run(["witness", "list", ...dir()])).out).toContain("no log yet");
    expect((await run(["witness", "add-log", VKEY, ...dir()])).out).toContain("compare by telephone");
    expect(JSON.parse((await run(["witness", "list", ...dir(), "--json"])).out)).toMatchObject([
      { origin: "test.localhost/app" },
    ]);
    expect((await run(["witness", "evidence", ...dir()])).out).toBe("no evidence of a fork was kept\n");
    const served = startCommand(folder, ["witness", "serve", ...dir(), "--listen", "127.0.0.1:0"]);
    const [printed] = (await once(served.stdout ?? served, "data")) as [Buffer];
    expect(printed.toString()).toMatch(/^http:\/\/127\.0\.0\.1:\d+ {2}witness in /);
    served.kill("SIGTERM");
    expect(await exitOf(served)).toBe(0);
    expect((await run(["witness", "remove-log", "test.localhost/app", ...dir()])).code).toBe(0);
    expect((await run(["keys", "show", ...dir()])).out).toMatch(/fingerprint /);
  });

  test("is not set up twice, and not under a name that no key can have", async () => {
    await init();
    const before = await run(["witness", "keys", ...dir()]);
    expectFailure(await init(), 2, "witness");
    expect(await run(["witness", "keys", ...dir()])).toEqual(before);
    for (const name of ["", " ", "a b", "a+b", "a\nb", "a\u009Bb"]) {
      const ran = await run(["witness", "init", "--dir", join(folder, "other"), "--name", name]);
      expect([2, 3]).toContain(ran.code);
    }
    expect(await readdir(folder)).toEqual(["w"]);
  });

  test.each(["", "x", VKEY.slice(0, -1), VKEY.replace("94", "95"), `${VKEY}\n`, "a+b+c", "\u001B[2J+00000000+AAAA"])(
    "takes no log whose key is %j",
    async (vkey) => {
      await init();
      const ran = await run(["witness", "add-log", vkey, ...dir()]);
      expectFailure(ran, 2, "witness");
      expect(JSON.parse((await run(["witness", "list", ...dir(), "--json"])).out)).toEqual([]);
    },
  );

  test.each(["constructor", "__proto__", "toString", "hasOwnProperty", "", "Serve"])(
    "has no action %j",
    async (action) => {
      for (const command of ["witness", "keys"]) {
        const ran = await run([command, action, "--dir", folder]);
        expectFailure(ran, 3, command);
        expect(ran.err).toContain(`got ${JSON.stringify(action)}`);
      }
    },
  );
});

describe("fsck of a log that was damaged", () => {
  let log: SmallLog;
  beforeAll(async () => {
    log = await createSmallLog(1);
    await log.report(3);
  });
  afterAll(async () => {
    await log.remove();
  });

  test("a running one cannot be checked: 2; a stopped one is whole; a damaged one is DAMAGED or cannot be read", async () => {
    expectFailure(await run(["fsck", "--dir", log.logDir]), 2, "fsck");
    await log.stop();
    expect((await run(["fsck", "--dir", log.logDir])).code).toBe(0);
    expectFailure(await run(["fsck", "--dir", log.logDir, "--name", "__proto__"]), 3, "fsck");
    const tables = (await filesIn(log.logDir)).filter((path) => /\.(ldb|log)$/.test(path));
    expect(tables.length).toBeGreaterThan(0);
    for (const path of tables) {
      const dir = join(folder, "copy");
      await cp(log.logDir, dir, { recursive: true });
      await truncate(join(dir, relative(log.logDir, path)), Math.floor((await stat(path)).size / 2));
      const ran = await run(["fsck", "--dir", dir]);
      expect([path, ran.code, ran.out.split(" ")[0]]).toEqual([path, ran.code, ["WHOLE", "DAMAGED", ""][ran.code]]);
      await rm(dir, { recursive: true });
    }
    await log.start();
  });
});

async function filesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test("keys and configuration that are cut off are refused, and nothing of them is printed", async () => {
  const dir = join(folder, "w");
  await run(["witness", "init", "--dir", dir, "--name", "test.localhost/w1"]);
  for (const path of await filesIn(dir)) {
    await writeFile(path, (await readFile(path, "utf8")).slice(0, -3));
  }
  for (const args of [
    ["witness", "keys"],
    ["witness", "list"],
    ["keys", "show"],
  ])
    expectFailure(await run([...args, "--dir", dir]), 2, args[0] ?? "");
});
