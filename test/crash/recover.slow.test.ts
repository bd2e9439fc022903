/** docs/guides/recover.md: each case is made, the start refuses it, and the commands of its section bring the log back. */
import { spawn } from "node:child_process";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { initWitness, serveWitness } from "@tallystick/witness";
import { openLog } from "@tallystick/log";
import { logLayoutOf, masterKeyOf, readLogKeys, readLogPolicy, readServer } from "@tallystick/server";
import { openKeyStore, openLevelStorage } from "@tallystick/storage";
import { parseVkey } from "@tallystick/core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MAIN = join(ROOT, "packages/cli/src/main.ts");
const HOUR_MS = 3_600_000;
const page = await readFile(join(ROOT, "docs/guides/recover.md"), "utf8");

/** Three states of one log, in folders beside it. */
let log: SmallLog;
let yesterday: string;
let newest: string;
let dir: string;
let sizes: { readonly yesterday: number; readonly newest: number };

beforeAll(async () => {
  log = await createSmallLog(3);
  dir = log.logDir;
  [yesterday, newest] = [join(log.folder, "yesterday"), join(log.folder, "newest")];
  await log.report(5);
  await log.stop();
  await cp(dir, yesterday, { recursive: true });
  await log.start();
  await log.report(7);
  sizes = { yesterday: await sizeOf(yesterday), newest: 0 };
  await log.stop();
  await cp(dir, newest, { recursive: true });
  sizes = { ...sizes, newest: await sizeOf(newest) };
}, 60_000);
afterAll(async () => log.remove(), 60_000);

beforeEach(async () => {
  await log.stop();
  await rm(dir, { recursive: true });
  await cp(newest, dir, { recursive: true });
});

/** Puts yesterday's copy of a file or folder in place of today's. */
async function putBack(path: string): Promise<void> {
  await rm(join(dir, path), { recursive: true });
  await cp(join(yesterday, path), join(dir, path), { recursive: true });
}

async function sizeOf(folder: string): Promise<number> {
  const copy = `${folder}.look`;
  await cp(folder, copy, { recursive: true });
  const storage = await openLevelStorage({ path: logLayoutOf(copy, "app").data });
  let size = 0;
  for await (const _row of storage.scanRows("leaf")) size += 1;
  await storage.close();
  await rm(copy, { recursive: true });
  return size;
}

/** Starts the server; why its log does not run, or `undefined`. */
async function refusal(): Promise<string | undefined> {
  await log.start();
  const [hosted] = log.served.logs;
  if (hosted?.log === undefined) return hosted?.failure?.code;
  const { log: opened } = hosted;
  while (opened.status().state === "starting") await new Promise((done) => setTimeout(done, 5));
  const { state, reasons } = opened.status();
  return state === "stopped" ? reasons[0]?.code : undefined;
}

/** The start refuses, and the table at the beginning of the page leads from its code to this section. */
async function expectRefused(code: string, section: string): Promise<void> {
  expect(await refusal()).toBe(code);
  const row = page.split("\n").find((line) => line.startsWith("|") && line.includes(`(#${anchorOf(section)})`));
  expect(row?.split("|")[1]).toContain(`\`${code}\``);
}

const anchorOf = (section: string): string => section.toLowerCase().replaceAll(" ", "-");

/** Runs a shell block of a section; gives what it printed. */
async function follow(section: string, block: number, env: Readonly<Record<string, string>> = {}): Promise<string> {
  await log.stop();
  const text = page.split(`\n## ${section}\n`)[1]?.split("\n## ")[0] ?? "";
  const script = [...text.matchAll(/```sh\n([\s\S]*?)```/g)][block]?.[1];
  if (script === undefined) throw new Error(`section ${section} has no block ${block}`);
  const command = `tallystick() { ${process.execPath} --conditions=ws-source ${MAIN} "$@"; }\nset -e\n${script}`;
  const child = spawn("bash", ["-c", command], { env: { ...process.env, DIR: dir, NEWEST: newest, ...env } });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  const code = await new Promise((done) => child.once("close", done));
  expect([code, err]).toEqual([0, ""]);
  return out;
}

/** The log starts, has everything, and takes more. */
async function expectGoesOn(): Promise<void> {
  expect(await refusal()).toBeUndefined();
  const [entry] = await log.report(1);
  expect(entry?.state).toBe("witnessed");
  expect(entry?.index).toBeGreaterThanOrEqual(sizes.newest);
  // From here on this is the newest state that there is.
  await log.stop();
  await rm(newest, { recursive: true });
  await cp(dir, newest, { recursive: true, filter: (path) => !path.endsWith(".set-aside") });
}

describe("C-257 what the disk tells", () => {
  test.each(["data/app/leveldb", "data/app/head", "data/app/high-water", "data/app/published"])(
    "an older %s alone is refused, and the whole newest folder starts",
    async (path) => {
      await putBack(path);
      await expectRefused("storage-rolled-back", "One part is older");
      expect(await follow("One part is older", 0)).toMatch(/^WHOLE /);
      await expectGoesOn();
    },
    30_000,
  );

  test("the head record with the marks older than the database is refused too", async () => {
    for (const path of ["head", "high-water", "published"]) await putBack(`data/app/${path}`);
    await expectRefused("storage-rolled-back", "One part is older");
  });

  test.each([
    // Its own mark tells.
    ["keys.1", "key-store-rolled-back"],
    // The newest entry is about a person whom it does not know.
    [".", "log-corrupt"],
  ])(
    "an older key store (%s) is refused, and its newest copy starts",
    async (path, code) => {
      await putBack(join("keystore/app", path));
      await expectRefused(code, "The key store is older");
      expect(await follow("The key store is older", 0)).toMatch(/^WHOLE /);
      await expectGoesOn();
    },
    30_000,
  );
});

describe("C-257 what only the witnesses tell", () => {
  test("an older copy of the data folder is refused, though fsck finds it whole; the newest one starts", async () => {
    await putBack("data/app");
    await expectRefused("log-rolled-back", "All of it is older");
    expect(await follow("Something is damaged", 0)).toMatch(/^WHOLE /);
    expect(await follow("All of it is older", 0)).toMatch(/^WHOLE /);
    await expectGoesOn();
  }, 30_000);

  test("a snapshot of the whole machine with its clock is refused", async () => {
    await rm(dir, { recursive: true });
    await cp(yesterday, dir, { recursive: true });
    expect(await openAt(Date.now() - HOUR_MS)).toEqual(["stopped", "log-rolled-back"]);
    await expectRefused("log-rolled-back", "All of it is older");
    // Nothing was signed: the folder still says what it said.
    await log.stop();
    expect(await sizeOf(dir)).toBe(sizes.yesterday);
    expect(await follow("All of it is older", 0)).toMatch(/^WHOLE /);
    await expectGoesOn();
  }, 30_000);

  test("an old copy that is all that is left serves on, and another log is begun beside it", async () => {
    await putBack("data/app");
    const witness = join(log.folder, "w9");
    const { vkeys } = await initWitness({ dir: witness, name: "test.localhost/w9" });
    const served = await serveWitness({ dir: witness });
    try {
      const env = { ORIGIN: "test.localhost/app2", WITNESS: `w9=${vkeys.join(",")}@${served.url}` };
      expect(await follow("All of it is older", 1, env)).toContain("keys of the log, for its witnesses");
      await expectRefused("log-rolled-back", "All of it is older");
      expect((await fetch(`${log.url()}/checkpoint`)).status).toBe(200);
      expect(log.served.logs.map(({ name, failure }) => [name, failure])).toEqual([
        ["app", undefined],
        ["app2", undefined],
      ]);
    } finally {
      await log.stop();
      await served.close();
    }
  }, 30_000);
});

/** Opens the log at another time of day; its state and why. */
async function openAt(nowMs: number): Promise<readonly (string | undefined)[]> {
  const layout = logLayoutOf(dir, "app");
  const { config } = await readServer(dir);
  const [{ origin, witnesses } = expect.fail("no log")] = config.logs;
  const keys = await readLogKeys(layout);
  const storage = await openLevelStorage({ path: layout.data });
  const keyStore = await openKeyStore({ path: layout.keyStore, masterKey: await masterKeyOf(dir) });
  const opened = await openLog({
    origin,
    storage,
    keyStore,
    keys,
    policyText: await readLogPolicy(layout, keys),
    witnesses: witnesses.map(({ name, vkeys, url }) => ({ name, url, verifiers: vkeys.map(parseVkey) })),
    now: () => nowMs,
  });
  while (opened.status().state === "starting") await new Promise((done) => setTimeout(done, 5));
  const { state, reasons } = opened.status();
  await opened.close();
  await keyStore.close();
  await storage.close();
  return [state, reasons[0]?.code];
}

describe("C-256 what is damaged", () => {
  test("tiles that are gone are rebuilt", async () => {
    const storage = await openLevelStorage({ path: logLayoutOf(dir, "app").data });
    const rows: string[] = [];
    for await (const { key } of storage.scanRows("edge")) rows.push(key);
    await storage.deleteRows("edge", rows);
    await storage.close();
    await expectRefused("log-corrupt", "Something is damaged");
    expect(rows.length).toBeGreaterThan(0);
    const rebuilt = await follow("Something is damaged", 1);
    expect(rebuilt.split("\n")[0]).toBe(`rebuilt: ${rows.length} edge`);
    expect(rebuilt.split("\n")[1]).toMatch(/^WHOLE /);
    await expectGoesOn();
  }, 30_000);

  test("what LevelDB dropped is looked at in a copy", async () => {
    await writeFile(join(dir, "data/app/leveldb/LOG"), "dropping 12 bytes; Corruption: checksum mismatch\n");
    await expectRefused("storage-corrupt", "Something is damaged");
    expect(await follow("Something is damaged", 2)).toMatch(/^WHOLE /);
    await rm(`${dir}.try`, { recursive: true });
  }, 30_000);

  test("a damaged lock is removed", async () => {
    await writeFile(join(dir, "data/app/lock/CURRENT"), "MANIFEST-999999\n");
    await expectRefused("storage-unavailable", "Something is damaged");
    await follow("Something is damaged", 3);
    await expectGoesOn();
  }, 30_000);

  test.each([
    ["keys/app.sender.key", "config-malformed"],
    ["policies/app.txt", "config-malformed"],
  ])(
    "a damaged %s is put back",
    async (path, code) => {
      const text = await readFile(join(dir, path), "utf8");
      await writeFile(
        join(dir, path),
        text.replace(/[0-9a-f]\n/, (end) => (end === "a\n" ? "b\n" : "a\n")),
      );
      await expectRefused(code, "A small file is damaged");
      expect(await follow("A small file is damaged", 0)).toMatch(/^WHOLE /);
      await expectGoesOn();
    },
    30_000,
  );
});
