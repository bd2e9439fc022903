/** docs/guides/rotate-keys.md and the key store in recover.md: their commands do what the pages say, on a log with witnesses. */
import { copyFile, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { formatKeyId, parsePolicy, parseVkey } from "@tallystick/core";
import { layoutOf, listTokens, parseConfig } from "@tallystick/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ran, runHere } from "../../packages/cli/test/support/run-here.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const guide = await readFile(join(ROOT, "docs/guides/rotate-keys.md"), "utf8");
const recover = await readFile(join(ROOT, "docs/guides/recover.md"), "utf8");

let log: SmallLog;
beforeAll(async () => {
  log = await createSmallLog(1);
}, 60_000);
afterAll(async () => log.remove(), 60_000);

/** Runs a shell block of a section, line by line; gives what it printed. */
async function follow(
  page: string,
  section: string,
  { block = 0, env = {} }: { readonly block?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const text = page.split(`\n## ${section}\n`)[1]?.split("\n## ")[0] ?? "";
  const script = [...text.matchAll(/```sh\n([\s\S]*?)```/g)][block]?.[1];
  if (script === undefined) throw new Error(`section ${section} has no block ${block}`);
  const values: Readonly<Record<string, string>> = { DIR: log.logDir, ...env };
  let printed = "";
  for (const line of script.trim().split("\n")) {
    const { code, out, err } = await runLine(wordsOf(line, values));
    expect({ line, code, err }).toEqual({ line, code: 0, err: "" });
    printed += out;
  }
  return printed;
}

async function runLine([program = "", ...words]: readonly string[]): Promise<Pick<Ran, "code" | "out" | "err">> {
  if (program === "tallystick") return runHere(words);
  if (program !== "mv") throw new Error(`a program that this test cannot run: ${program}`);
  await rename(words[0] ?? "", words[1] ?? "");
  return { code: 0, out: "", err: "" };
}

/** The words of a line as a shell has them. */
function wordsOf(line: string, values: Readonly<Record<string, string>>): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = ""]) =>
    (quoted ?? plain).replaceAll(
      /\$([A-Z_]+)/g,
      (_, name: string) => values[name] ?? expect.fail(`no value for ${name}`),
    ),
  );
}

async function editConfig(fields: object): Promise<void> {
  const { config } = layoutOf(log.logDir);
  await writeFile(config, JSON.stringify({ ...(JSON.parse(await readFile(config, "utf8")) as object), ...fields }));
}

test("a token is replaced with an overlap", async () => {
  const { tokens } = layoutOf(log.logDir);
  const [old] = await listTokens(tokens);
  const out = await follow(guide, "Tokens", { env: { TOKEN_ID: old?.id ?? "" } });
  expect(out).toContain(`replaces ${old?.id}, which ends at `);
  const ends = (await listTokens(tokens)).map(({ expiresAt }) => expiresAt !== undefined);
  expect(ends).toEqual([true, ...ends.slice(1).map(() => false)]);
}, 60_000);

test("the keys of a log are replaced in two steps, each printed for the witnesses", async () => {
  const section = "The keys of a log";
  await log.report(1);
  const made = await follow(guide, section);
  const [witness] = log.witnesses;
  const added = [...made.matchAll(/tallystick witness add-log (\S+)/g)].map(([, vkey = ""]) => vkey);
  expect(added).toHaveLength(2);
  for (const vkey of added)
    await follow(guide, section, { block: 1, env: { WITNESS: witness?.dir ?? "", NEW_KEY: vkey } });
  await witness?.served.reload();
  await log.stop();
  await log.start();
  await log.report(1);
  for (const vkey of log.made.vkeys) {
    const out = await follow(guide, section, {
      block: 2,
      env: { OLD_KEY_ID: formatKeyId(parseVkey(vkey).keyId) },
    });
    expect(out).toContain("is retired from the log's next start on");
  }
  await log.stop();
  await log.start();
  await log.report(1);
  const policy = parsePolicy(await readFile(log.made.policyPath));
  expect(policy.logs.map(({ verifier }) => verifier.vkey)).toEqual(added);
  expect(
    (await readdir(join(log.logDir, "policies"))).filter((name) => /\.before-[0-9a-f]{8}\.txt$/.test(name)),
  ).not.toEqual([]);
}, 60_000);

test("its samples of a configuration are ones", () => {
  const [senders = "", backup = ""] = [...guide.matchAll(/```json\n([^`]*)```/g)].map(([, text]) => text);
  const log = { name: "app", origin: "log.example/app", ...(JSON.parse(senders) as object) };
  const parsed = parseConfig(JSON.stringify({ logs: [log], ...(JSON.parse(backup) as object) }), "rotate-keys.md");
  expect(parsed.logs[0]?.senderKeys).toHaveLength(2);
  expect(parsed.keyBackup?.intervalHours).toBe(24);
});

test("a key store is backed up, lost, and restored; the log goes on and reads what it had", async () => {
  await log.stop();
  await editConfig({ keyBackup: { target: join(log.folder, "backups"), keys: "backup-keys" } });
  await log.start();
  await log.report(1);
  const listed = await follow(guide, "Backups of the key store");
  expect(listed).toMatch(/^\S+\.backup {2}\d+ keys, epoch 1\n/);
  expect(listed).toMatch(/readable/);
  const before = log.served.logs[0]?.log?.size() ?? 0;
  await log.stop();
  const restored = await follow(recover, "The key store is lost");
  expect(restored).toMatch(/as it was at .*epoch 1/);
  await log.start();
  const [entry] = await log.report(1);
  expect(entry?.index).toBeGreaterThan(before);
  const read = await log.served.logs[0]?.log?.readEvent({ index: 0, reader: "test" });
  expect(read?.event.actor?.id).toBe("u_0");
}, 60_000);

test("the master key is replaced by another one, and the log notes it", async () => {
  await log.stop();
  const before = join(log.folder, "server.before.json");
  await copyFile(layoutOf(log.logDir).config, before);
  await editConfig({ masterKey: { file: "master.2.key" } });
  const out = await follow(guide, "The master key", { env: { BEFORE: before } });
  expect(out).toMatch(/^app {2}is wrapped by the new master key, epoch 2\n$/);
  await rm(layoutOf(log.logDir).masterKey);
  await log.start();
  await log.report(1);
  const hosted = log.served.logs[0]?.log;
  await expect
    .poll(async () => lastChange(hosted), { timeout: 20_000 })
    .toMatchObject({ change: "rewrapped", key: "master" });
  // The backups are under the new one too.
  await log.stop();
  await rm(join(log.logDir, "keystore/app.set-aside"), { recursive: true });
  await follow(recover, "The key store is lost");
  await log.start();
  await log.report(1);
}, 60_000);

type Hosted = SmallLog["served"]["logs"][number]["log"];

/** The newest entry about keys. */
async function lastChange(hosted: Hosted): Promise<unknown> {
  for (let index = (hosted?.size() ?? 0) - 1; index >= 0; index -= 1) {
    const read = await hosted?.readEvent({ index, reader: "test" });
    if (read?.event.type === "log.key" && read.event.context?.["key"] === "master") return read.event.context;
  }
  return undefined;
}
