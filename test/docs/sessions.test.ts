/** The programs of docs/reference/sessions.md: the first runs over a real log, the port is the one that there is. */
import { execFile } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Dev, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

const page = await readFile(join(ROOT, "docs/reference/sessions.md"), "utf8");
const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block = ""]) => block);

let folder: string;
let dev: Dev;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), `{"type":"module"}`);
}, 60_000);

afterAll(async () => {
  await (dev as Dev | undefined)?.stop();
  await removeFolder(folder);
});

test("the first program makes sessions that outlive it and report to the log", { timeout: 60_000 }, async () => {
  await writeFile(join(folder, "sessions.ts"), blocks[0] ?? "");
  const use = `
    import { sessions } from "./sessions.ts";
    const [token] = process.argv.slice(2);
    if (token === undefined) {
      const started = await sessions.start({ user: "u_1", factors: ["password"] });
      process.stdout.write(started.token);
    } else {
      const checked = await sessions.check(token, { class: "high" });
      process.stdout.write(checked.kind + " " + checked.remainingSeconds + " " + (await sessions.end(checked.token)).kind);
    }
    await sessions.close();
    process.exit();`;
  await writeFile(join(folder, "use.ts"), use);
  const { url, tokens } = dev.file.log;
  const env = {
    ...process.env,
    TALLYSTICK_URL: url,
    TALLYSTICK_TOKEN: tokens.writer,
    TALLYSTICK_POLICY: dev.file.policy,
  };
  const run = async (...args: string[]): Promise<string> => {
    const flags = ["--conditions=ws-source", "--disable-warning=ExperimentalWarning", "use.ts", ...args];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, flags, { cwd: folder, env });
    expect(stderr).toBe("");
    return stdout;
  };
  const token = await run();
  expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
  expect(await run(token)).toBe("ok 300 ended");
});

test("the port of stores is the one that the package has", async () => {
  const source = await readFile(join(ROOT, "packages/sessions/src/store.ts"), "utf8");
  const methods = /export interface SessionStore \{([\s\S]*?)\n\}/.exec(source)?.[1] ?? "";
  const signatures = methods
    .replaceAll(/\/\*\*[\s\S]*?\*\//g, "")
    .replaceAll("StoredEntry", "{ value: string; version: number }");
  const lines = (text: string): string[] =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line.includes("("));
  expect(lines(blocks[1] ?? "")).toEqual(lines(signatures));
});

test("every option and call of the page is one that there is, and none is left out", async () => {
  const [sessions, policy, limits] = await Promise.all(
    ["sessions", "policy", "limits"].map(async (name) =>
      readFile(join(ROOT, `packages/sessions/src/${name}.ts`), "utf8"),
    ),
  );
  const membersOf = (source: string | undefined, name: string): string[] => {
    const body = new RegExp(`export interface ${name}\\b[^{]*\\{([\\s\\S]*?)\\n\\}`).exec(source ?? "")?.[1] ?? "";
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?(:]/gm)].map(([, member = ""]) => member);
  };
  const options = [
    ...membersOf(policy, "SessionPolicyOptions"),
    ...membersOf(limits, "LimitsOptions"),
    ...membersOf(sessions, "SessionsOptions"),
  ];
  const rows = (heading: string): string[] => {
    const section = page.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
    return [...section.matchAll(/^\| `(\w+)/gm)].map(([, name = ""]) => name);
  };
  expect(rows("Options").toSorted()).toEqual(options.toSorted());
  expect(rows("Calls").toSorted()).toEqual(membersOf(sessions, "Sessions").toSorted());
});
