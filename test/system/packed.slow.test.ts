/** Packs every package as for publishing and uses it as a stranger would: installed by npm, without this workspace. */
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

const INSTALL_TIMEOUT_MS = 180_000;

const root = fileURLToPath(new URL("../../", import.meta.url));
const manifests = readdirSync(join(root, "packages")).map(
  (name) => JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8")) as Manifest,
);
const names = manifests.map(({ name }) => name);
/** Of use only beside a library that whoever wants it installs: here it is not. */
const WITH_PEER = { module: "@tallystick/sessions/better-auth", peer: "better-auth" };
/** Everything else that can be imported: "@tallystick/core", "@tallystick/client/node". */
const modules = manifests
  .flatMap(({ name, exports }) =>
    Object.keys(exports)
      .filter((path) => path !== "./package.json")
      .map((path) => name + path.slice(1)),
  )
  .filter((module) => module !== WITH_PEER.module);

let folder: string;
let app: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tallystick-packed-"));
  app = join(folder, "app");
  mkdirSync(app);
  await run("node", [".config/pack.ts", folder], root);
  const tarballs = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  expect(tarballs).toHaveLength(names.length);
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  const files = tarballs.map((name) => join(folder, name));
  await run("npm", ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", ...files], app);
}, INSTALL_TIMEOUT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command outside of npm's and the workspace's settings; says what it wrote if it fails. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^(npm_(?!config_(cache|registry))|NODE_OPTIONS|VITEST)/.test(key)),
  );
  const { stdout } = await promisify(execFile)(command, args, {
    cwd,
    env: { ...env, PATH: `${join(root, "node_modules/.bin")}:${env["PATH"] ?? ""}` },
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

describe("a packed package", () => {
  test.each(modules)("%s can be imported", async (name) => {
    const code = `console.log(typeof await import(${JSON.stringify(name)}))`;
    expect(await run("node", ["--input-type=module", "--eval", code], app)).toBe("object\n");
  });

  test("the plugin for a library names that library where it is not installed", async () => {
    const code = `await import(${JSON.stringify(WITH_PEER.module)}).catch(({ message }) => console.log(message))`;
    expect(await run("node", ["--input-type=module", "--eval", code], app)).toContain(`'${WITH_PEER.peer}'`);
  });

  test("the SDK can be loaded by require() from CommonJS", async () => {
    const code = `const { createTallystick, defineEvents } = require("@tallystick/client");
      const { createTestTallystick } = require("@tallystick/testing");
      console.log([createTallystick, defineEvents, createTestTallystick].map((each) => typeof each).join());`;
    expect(await run("node", ["--input-type=commonjs", "--eval", code], app)).toBe("function,function,function\n");
  });

  test("the SDK needs no native module, and nothing that is compiled or run when it is installed", () => {
    const needed = new Set<string>();
    const visit = (name: string): void => {
      if (needed.has(name)) return;
      needed.add(name);
      const text = readFileSync(join(app, "node_modules", name, "package.json"), "utf8");
      const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
      for (const below of Object.keys(dependencies)) visit(below);
    };
    visit("@tallystick/client");
    expect(
      [...needed].filter((name) => !/^(@tallystick\/(client|core|events)|@noble\/[a-z0-9-]+|zod)$/.test(name)),
    ).toEqual([]);
  });

  test.each(names)("%s holds its dist, and nothing of the workspace", (name) => {
    const installed = join(app, "node_modules", name);
    const manifest = readFileSync(join(installed, "package.json"), "utf8");
    expect(readdirSync(installed)).toEqual(expect.arrayContaining(["dist", "package.json"]));
    expect(readdirSync(installed)).not.toEqual(expect.arrayContaining(["src"]));
    expect((JSON.parse(manifest) as Manifest).exports).not.toHaveProperty([".", "ws-source"]);
    expect(manifest).not.toMatch(/"(workspace|catalog):/);
  });

  test("the types are complete under a strict compiler that checks libraries too", async () => {
    const imports = modules.map((name, index) => `import * as m${index} from ${JSON.stringify(name)};`);
    const uses = modules.map((_name, index) => `m${index}`);
    writeFileSync(
      join(app, "index.ts"),
      `${imports.join("\n")}\nexport const modules: unknown[] = [${uses.join()}];\n`,
    );
    symlinkSync(join(root, "node_modules/@types"), join(app, "node_modules/@types"), "dir");
    const options = { strict: true, module: "NodeNext", target: "ES2024", noEmit: true, types: ["node"] };
    writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["index.ts"] }));
    expect(await run("tsc", ["-p", "."], app)).toBe("");
  });

  test("the command runs", async () => {
    expect(await run("npx", ["--no-install", "tallystick", "--help"], app)).toMatch(/tallystick/);
  });

  test("the SDK's example of docs/start is typed and works, against the packed log and witnesses", async () => {
    const page = readFileSync(join(root, "docs/start.md"), "utf8");
    writeFileSync(join(app, "example.ts"), /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "");
    const options = { strict: true, module: "NodeNext", target: "ES2024", noEmit: true, types: ["node"] };
    writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["example.ts"] }));
    expect(await run("tsc", ["-p", "."], app)).toBe("");
    const dev = spawn(process.execPath, [join(app, "node_modules/.bin/tallystick"), "dev", "--port", "0"], {
      cwd: app,
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await new Promise<void>((resolve, reject) => {
        dev.stdout.on("data", (part: Buffer) => {
          if (part.toString().includes("Ctrl-C stops")) resolve();
        });
        dev.once("close", (code) => reject(new Error(`dev ended with ${code}`)));
      });
      expect(await run("node", ["example.ts"], app)).toMatch(/(is entry \d+, proved in \d+ bytes\n.*){3}/);
      expect(await run("npx", ["--no-install", "tallystick", "audit"], app)).toMatch(/^VERIFIED {2}/);
    } finally {
      dev.kill("SIGINT");
      await new Promise((resolve) => dev.once("close", resolve));
    }
  }, 60_000);
});
