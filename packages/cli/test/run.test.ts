import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allCommands } from "@tallystick/cli";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startLine } from "../src/command-line.ts";
import { runHere } from "./support/run-here.ts";

const COMMANDS = await allCommands();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("run", () => {
  test.each([["--help"], ["help"], ["-h"]])("tells of every command at %s", async (...args) => {
    const { code, out, err } = await runHere(args);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const width = Math.max(...COMMANDS.map(({ name }) => name.length));
    for (const { name, summary } of COMMANDS) expect(out).toContain(`  ${name.padEnd(width)}  ${summary}\n`);
  });

  test("gives the same help in three ways", async () => {
    const help = await runHere(["verify", "--help"]);
    expect(help.out).toMatch(/^tallystick verify FILE/);
    expect(await runHere(["help", "verify"])).toEqual(help);
    expect(await runHere(["verify", "-h"])).toEqual(help);
  });

  test("tells its version", async () => {
    expect((await runHere(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("without a command is wrong usage, told on stderr", async () => {
    const { code, out, err } = await runHere([]);
    expect({ code, out }).toEqual({ code: 3, out: "" });
    expect(err).toContain("tallystick COMMAND");
  });

  test.each([
    ["an unknown command", ["verfy"], 'there is no command "verfy"'],
    ["an unknown option", ["verify", "--polcy", "x"], "Unknown option '--polcy'"],
    ["a missing word", ["verify", "--policy", "x"], "expected one FILE, got nothing"],
    ["a number that is none", ["receipt", "one"], 'INDEX: expected a whole number, got "one"'],
    ["a log that is no address", ["receipt", "1", "--log", "localhost"], "--log: expected http(s)://…"],
    [
      "an unknown wait",
      ["submit", "--type", "a.b", "--wait", "soon"],
      "--wait: expected durable, published, witnessed",
    ],
    ["a file and options", ["submit", "f.json", "--type", "a.b"], "not both"],
    ["an actor without a type", ["submit", "--type", "a.b", "--actor", "u_81"], "expected TYPE:ID"],
    ["options of an event without its type", ["submit", "--actor", "user:u_81"], "--type: expected what happened"],
    ["a witness without an action", ["witness", "--dir", "x"], "expected init, serve, add-log"],
    ["a witness without a folder", ["witness", "serve"], "--dir: expected the witness's folder"],
    ["a server without a folder", ["serve"], "--dir: expected the server's folder"],
    ["an address that is none", ["witness", "serve", "--dir", "x", "--listen", "7421"], "--listen: expected HOST:PORT"],
    ["a port that is none", ["dev", "--port", "70000"], "--port: expected a port"],
    ["an unknown action of keys", ["keys", "steal"], "expected show, fingerprint"],
    ["words where there are none", ["fsck", "here", "--dir", "x"], 'expected options only, got "here"'],
    ["an unknown kind of proof", ["prove", "inclusion"], "expected inclusion INDEX or consistency FROM"],
  ])("answers %s with its usage and 3", async (_what, args, words) => {
    const { code, out, err } = await runHere(args);
    expect({ code, out }).toEqual({ code: 3, out: "" });
    expect(err).toContain(words);
  });

  test("says what is the matter with a file, and 2", async () => {
    const policy = join(folder, "policy.txt");
    const missing = await runHere(["verify", "x", "--policy", policy]);
    expect(missing).toMatchObject({
      code: 2,
      out: "",
      err: `tallystick verify: the policy of --policy: ${policy}: there is no such file (ENOENT)\n`,
    });
    vi.stubEnv("TALLYSTICK_POLICY", policy);
    const inEnvironment = await runHere(["verify", "x"]);
    vi.unstubAllEnvs();
    expect(inEnvironment).toMatchObject({
      code: 2,
      err: `tallystick verify: the policy of TALLYSTICK_POLICY: ${policy}: there is no such file (ENOENT)\n`,
    });
    await writeFile(policy, "quorum of three\n");
    const malformed = await runHere(["verify", "x", "--policy", policy]);
    expect(malformed.code).toBe(2);
    expect(malformed.err).toMatch(/policy-malformed\)\n {2}the policy says whom to trust/);
  });

  test("says what to do where no log answers, for people and for programs", async () => {
    const args = ["submit", "--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
    const { code, out, err } = await runHere([...args, "--json", "--log", "http://127.0.0.1:9/app"]);
    expect(code).toBe(2);
    expect(err).toContain(`is the log running? ${startLine()} starts one`);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "audit-unavailable" } });
  });
});
