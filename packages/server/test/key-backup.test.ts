/** Backups of the key stores of a server: where they go, when, and how it is told that one failed. */
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { KeyBackups, listKeyBackups, openKeyStore } from "@tallystick/storage";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { parseConfig } from "../src/config.ts";
import { type ServedLogs, initServer, serveLogs } from "../src/index.ts";
import { KeyBackupSchedule, keyBackupFolders } from "../src/key-backup.ts";

const masterKey = new Uint8Array(32).fill(3);

async function serverWith(keyBackup: object): Promise<string> {
  const dir = temporaryFolder();
  const { configPath } = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  const before = JSON.parse(readFileSync(configPath, "utf8")) as object;
  writeFileSync(configPath, JSON.stringify({ ...before, keyBackup }));
  return dir;
}

async function serve(dir: string): Promise<ServedLogs> {
  const served = await serveLogs({ dir });
  onTestFinished(async () => served.close());
  return served;
}

interface Readiness {
  readonly logs: readonly { readonly state: string; readonly reasons: readonly { readonly code: string }[] }[];
}

async function reasonsOf(served: ServedLogs): Promise<string[]> {
  const [log] = ((await (await fetch(`${served.url}/readyz`)).json()) as Readiness).logs;
  return log?.reasons.map(({ code }) => code) ?? [];
}

describe("a server with keyBackup", () => {
  test("backs up each key store at its start, and not again before the interval is over", async () => {
    const dir = await serverWith({ target: "backups", keys: "backup-keys" });
    const folders = { target: join(dir, "backups/app"), keys: join(dir, "backup-keys/app") };
    const first = await serve(dir);
    await vi.waitFor(async () => expect(await listKeyBackups(folders)).toHaveLength(1), { timeout: 20_000 });
    const [backup] = await listKeyBackups(folders);
    expect(backup).toMatchObject({ origin: "log.example/app", epoch: 1, isReadable: true });
    const told = async (): Promise<number> => {
      const metrics = await (await fetch(`${first.url}/metrics`)).text();
      return 1000 * Number(/tallystick_log_key_backup_time_seconds\{log="app"\} ([\d.]+)/.exec(metrics)?.[1]);
    };
    await vi.waitFor(async () => expect(await told()).toBeCloseTo(backup?.time ?? 0, 0), { timeout: 20_000 });
    await first.close();
    const second = await serve(dir);
    await vi.waitFor(async () => expect(await reasonsOf(second)).toEqual([]), { timeout: 20_000 });
    await second.close();
    expect(await listKeyBackups(folders)).toEqual([backup]);
  });

  test("goes on without the place for them, and says so in /readyz until there is a backup", async () => {
    const dir = await serverWith({ target: "backups", keys: "backup-keys" });
    writeFileSync(join(dir, "backups"), "in the way");
    const served = await serve(dir);
    await vi.waitFor(async () => expect(await reasonsOf(served)).toEqual(["key-backup-failed"]), { timeout: 20_000 });
    expect((await fetch(`${served.url}/readyz`)).status).toBe(200);
    await served.close();
    rmSync(join(dir, "backups"));
    const again = await serve(dir);
    await vi.waitFor(async () => expect(await reasonsOf(again)).toEqual([]), { timeout: 20_000 });
  });
});

describe("a schedule of backups", () => {
  async function schedule(
    intervalMs: number,
    now = Date.now,
  ): Promise<{ target: string; keys: string; path: string; schedule: KeyBackupSchedule }> {
    const folder = temporaryFolder();
    const [target, keys, path] = [join(folder, "target"), join(folder, "keys"), join(folder, "keystore")];
    await (await openKeyStore({ path, masterKey })).close();
    const backups = new KeyBackups({ path, target, keys, masterKey, origin: "log.example/app", intervalMs, now });
    const made = new KeyBackupSchedule({ backups, intervalMs, log: "app", now });
    onTestFinished(async () => made.close());
    return { target, keys, path, schedule: made };
  }

  test("writes one each interval, and finishes the one under way when it is closed", async () => {
    const { target, keys, schedule: running } = await schedule(20);
    await vi.waitFor(async () => expect((await listKeyBackups({ target, keys })).length).toBeGreaterThan(2), {
      timeout: 20_000,
    });
    await running.close();
    const after = await listKeyBackups({ target, keys });
    expect(after.every(({ isReadable }) => isReadable)).toBe(true);
    expect(readdirSync(target).filter((name) => name.endsWith(".next"))).toEqual([]);
  });

  test("tries again after a failure, and then there is no trouble any more", async () => {
    const { path, target, keys, schedule: running } = await schedule(50);
    await vi.waitFor(() => expect(running.lastAt).toBeDefined(), { timeout: 20_000 });
    renameSync(join(path, "epoch"), join(path, "epoch.aside"));
    await vi.waitFor(() => expect(running.trouble()?.code).toBe("key-backup-failed"), { timeout: 20_000 });
    expect((await listKeyBackups({ target, keys })).length).toBeGreaterThan(0);
    renameSync(join(path, "epoch.aside"), join(path, "epoch"));
    await vi.waitFor(() => expect(running.trouble()).toBeUndefined(), { timeout: 20_000 });
  });

  test("says that a backup is late an hour after it was due", async () => {
    let now = Date.UTC(2026, 0, 1);
    const { schedule: running } = await schedule(3_600_000, () => now);
    await vi.waitFor(() => expect(running.lastAt).toBe(now), { timeout: 20_000 });
    now += 7_200_000;
    expect(running.trouble()).toBeUndefined();
    now += 1;
    expect(running.trouble()?.code).toBe("key-backup-late");
  });
});

describe("the configuration", () => {
  const config = (server: object, log: object = {}): string =>
    JSON.stringify({ logs: [{ name: "app", origin: "log.example/app", ...log }], ...server });

  test.each([
    ["one folder for both", { target: "a", keys: "a" }],
    ["keys within the target", { target: "a", keys: "a/keys" }],
    ["the target within the folder of keys", { target: "/a/b/../c/d", keys: "/a/c" }],
    ["more than a week between two", { target: "a", keys: "b", intervalHours: 169 }],
  ])("refuses %s", (_, keyBackup) => {
    expect(() => parseConfig(config({ keyBackup }), "server.json")).toThrow(/keyBackup/);
    expect(() => parseConfig(config({}, { keyBackup }), "server.json")).toThrow(/keyBackup/);
  });

  test("gives each log a folder of its own, from the server's folder, a log's setting before the server's", () => {
    const parsed = parseConfig(
      config(
        { keyBackup: { target: "a", keys: "/b" } },
        { keyBackup: { target: "/mnt/c", keys: "d", intervalHours: 6 } },
      ),
      "server.json",
    );
    const [log] = parsed.logs;
    if (log === undefined) throw new Error("expected a log");
    expect(keyBackupFolders("/srv", parsed, log)).toEqual({
      target: "/mnt/c/app",
      keys: "/srv/d/app",
      intervalMs: 21_600_000,
    });
    expect(keyBackupFolders("/srv", parsed, { name: "x" })).toEqual({
      target: "/srv/a/x",
      keys: "/b/x",
      intervalMs: 86_400_000,
    });
    expect(keyBackupFolders("/srv", {}, { name: "x" })).toBeUndefined();
  });
});
