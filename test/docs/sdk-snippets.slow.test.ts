/** The TypeScript of the client's reference and of the guide for authentication: checked as strictly as can be, and run. */
import { spawn } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dev, exitOf, removeFolder, runCommand, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

let dev: Dev;
let folder: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
}, 60_000);

afterAll(async () => {
  await (dev as Dev | undefined)?.stop();
  await removeFolder(folder);
});

/** The blocks of a page; one that begins with a file's name goes by it. */
async function blocksOf(page: string): Promise<Map<string, string>> {
  const text = await readFile(join(ROOT, page), "utf8");
  const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""], at) => {
    const [, name = `block-${at + 1}.ts`] = /^\/\/ (\S+\.ts)\n/.exec(code) ?? [];
    return [name, code] as const;
  });
  return new Map(blocks);
}

async function writeBlocks(name: string, blocks: ReadonlyMap<string, string>): Promise<string> {
  const place = join(folder, name);
  await mkdir(place);
  await writeFile(join(place, "package.json"), '{"type":"module"}');
  for (const [file, code] of blocks) await writeFile(join(place, file), code);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: "ES2024",
    lib: ["ES2024", "ESNext.Disposable"],
    module: "NodeNext",
    types: ["node"],
    customConditions: ["ws-source"],
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [...blocks.keys()] }));
  return place;
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(place: string, command: readonly string[]): Promise<Ran> {
  const [program = "", ...args] = command;
  const { log, policy } = dev.file;
  const settings = {
    TALLYSTICK_URL: log.url,
    TALLYSTICK_TOKEN: log.tokens.writer,
    TALLYSTICK_POLICY: resolve(folder, policy),
  };
  const child = spawn(program, args, { cwd: place, env: { ...process.env, ...settings } });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  return { code: await exitOf(child), out, err };
}

const NODE = [process.execPath, "--conditions=ws-source"];
const TSC = [join(ROOT, "node_modules/.bin/tsc"), "-p", "."];

describe("docs/guides/log-authentication.md", () => {
  let place: string;
  beforeAll(async () => {
    place = await writeBlocks("guide", await blocksOf("docs/guides/log-authentication.md"));
  });

  test("has no type error, strictly", { timeout: 60_000 }, async () => {
    expect(await run(place, TSC)).toEqual({ code: 0, out: "", err: "" });
  });

  test("its test passes, and says what the page says", { timeout: 60_000 }, async () => {
    const out = "64 hex digits stand for the name that was typed\nAuditUnavailableError\n";
    expect(await run(place, [...NODE, "try.ts"])).toEqual({ code: 0, out, err: "" });
  });

  test("its application records, and the log proves it", { timeout: 60_000 }, async () => {
    const { code, out, err } = await run(place, [...NODE, "main.ts"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    // stream.start, the log-in, the attempt and the outcome of the export.
    expect(out).toBe("u_81 ann\nok 4\n");
    expect((await runCommand(folder, ["audit"])).out).toMatch(/^VERIFIED {2}/);
  });
});

describe("docs/reference/client.md", () => {
  let place: string;
  let blocks: ReadonlyMap<string, string>;
  beforeAll(async () => {
    blocks = await blocksOf("docs/reference/client.md");
    place = await writeBlocks("reference", blocks);
    // The application's own library, as the reference shows it.
    await mkdir(join(place, "node_modules"));
    await symlink(join(ROOT, "packages/client/node_modules/zod"), join(place, "node_modules/zod"));
    // One writer has one sender key with dev: that of the guide's application.
    await mkdir(join(place, ".tallystick-outbox"), { mode: 0o700 });
    const key = await readFile(join(folder, "guide", ".tallystick-outbox", "sender.key"));
    await writeFile(join(place, ".tallystick-outbox", "sender.key"), key, { mode: 0o600 });
  });

  test("its TypeScript has no type error, strictly", { timeout: 60_000 }, async () => {
    expect(blocks.size).toBe(4);
    expect(await run(place, TSC)).toEqual({ code: 0, out: "", err: "" });
  });

  test("what it shows runs, but for certificates of one's own", { timeout: 120_000 }, async () => {
    for (const [file, code] of blocks) {
      if (code.includes("createHttpsFetch")) continue;
      expect({ file, ...(await run(place, [...NODE, file])) }).toEqual({ file, code: 0, out: "", err: "" });
    }
  });
});
