/** The SDK on each platform that it is made for, against a real log with real witnesses. */
import { randomBytes } from "node:crypto";
import { spawn, spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Script, createContext } from "node:vm";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dev, exitOf, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

const APPLICATION = join(import.meta.dirname, "application.ts");
const RUNTIMES: readonly (readonly [name: string, command: readonly string[]])[] = [
  ["node", [process.execPath, "--conditions=ws-source"]],
  ["bun", ["bun", "--conditions=ws-source"]],
  ["deno", ["deno", "run", "--conditions=ws-source", "--allow-all", "--quiet"]],
];

let folder: string;
let dev: Dev;
let policy: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  policy = await readFile(join(folder, dev.file.policy), "utf8").catch(async () => readFile(dev.file.policy, "utf8"));
}, 60_000);

afterAll(async () => {
  await (dev as Dev | undefined)?.stop();
  await removeFolder(folder);
});

/** Whether a platform is installed: its package brings a program for most machines, not for all. Its test is skipped there. */
function isThere([program = ""]: readonly string[]): boolean {
  return spawnSync(program, ["--version"], { timeout: 30_000 }).status === 0;
}

async function runApplication(command: readonly string[], outbox: string): Promise<unknown> {
  const { url, tokens } = dev.file.log;
  const [program = "", ...flags] = command;
  const args = [...flags, APPLICATION, url, tokens.writer, policy, outbox, join(folder, "sender.key")];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  expect({ code: await exitOf(child), err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out);
}

describe.each(RUNTIMES)("on %s", (name, command) => {
  test.skipIf(!isThere(command))(
    "records into a folder, holds a verified receipt, forgets, and goes on with its stream at the next start",
    { timeout: 60_000 },
    async () => {
      const outbox = join(folder, `outbox-${name}`);
      const done = { state: "witnessed", index: "number", sum: 42, proof: "c2sp.org/tlog-proof@v1", errors: [] };
      expect(await runApplication(command, outbox)).toEqual({ ...done, forgotten: 5 });
      expect(await runApplication(command, outbox)).toEqual({ ...done, forgotten: 5 });
    },
  );
});

describe("on the edge", () => {
  /** What such a platform has. */
  const WEB = {
    AbortController,
    Headers,
    Request,
    Response,
    TextDecoder,
    TextEncoder,
    URL,
    crypto,
    fetch,
    performance,
  };
  let code: string;

  beforeAll(async () => {
    const input = join(import.meta.dirname, "edge-application.ts");
    const [bundle] = [
      await build({
        configFile: false,
        logLevel: "error",
        resolve: { conditions: ["ws-source", "workerd", "browser"] },
        build: {
          write: false,
          minify: false,
          target: "es2024",
          lib: { entry: input, formats: ["iife"], name: "edge" },
        },
      }),
    ].flat();
    code = bundle !== undefined && "output" in bundle ? bundle.output[0].code : "";
  }, 60_000);

  test("the bundle has nothing of Node", () => {
    expect(code.length).toBeGreaterThan(50_000);
    expect(code.match(/["'](?:node:[a-z/_]+|fs|crypto|path)["']/g)).toBeNull();
  });

  async function run<T>(call: string, given: object): Promise<T> {
    const realm = createContext({ ...WEB, setTimeout, clearTimeout, console, given });
    return (await new Script(`${code}\nedge.${call}`).runInContext(realm)) as T;
  }

  function options(): { url: string; token: string; policy: string; senderKey: Uint8Array } {
    return { url: dev.file.log.url, token: dev.file.log.tokens.writer, policy, senderKey: new Uint8Array(32) };
  }

  test("records in memory, durable in the log when record resolves", { timeout: 60_000 }, async () => {
    const seed = (await readFile(join(folder, "sender.key"), "utf8").catch(() => "")).trim();
    const senderKey = seed === "" ? new Uint8Array(randomBytes(32)) : new Uint8Array(Buffer.from(seed, "hex"));
    const call = "handle({ ...given, senderKey: Uint8Array.from(given.senderKey) })";
    const answer = JSON.parse(await run<string>(call, { ...options(), senderKey }));
    expect(answer).toEqual({ state: "durable", index: "number", witnessed: "witnessed", status: "ok" });
  });

  test("says of what needs a disk that there is none", { timeout: 60_000 }, async () => {
    const said = await run<string[]>("wrong(given)", options());
    expect([...said]).toEqual([
      'TypeError: outbox: expected "none", got folder: there is no disk on this platform',
      "TypeError: policy-file: expected the text itself: there is no disk on this platform",
      "TypeError: senderKey: expected 32 bytes, got the path key-file: there is no disk on this platform",
    ]);
  });
});
