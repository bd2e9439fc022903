/** `keys backups`, `back-up` and `restore`: the backups of a log's key store. `keys rewrap`: another master key for all. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  type KeyBackupFolders,
  type MasterKeyConfig,
  ServerError,
  createMasterKey,
  keyBackupFolders,
  layoutOf,
  logLayoutOf,
  masterKeyOf,
  parseConfig,
  readConfig,
  readServer,
  rewrapKeyStores,
} from "@tallystick/server";
import { KeyBackups, listKeyBackups, restoreKeyStore } from "@tallystick/storage";
import { EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { folderOf, logOf } from "../server-folder.ts";
import { bold } from "../terminal.ts";

interface Place {
  readonly dir: string;
  readonly name: string;
  readonly origin: string;
  readonly folders: KeyBackupFolders;
}

/** @throws {ServerError} `config-malformed`: no backups are configured. */
async function placeOf(invocation: Invocation): Promise<Place> {
  const [dir, log] = [folderOf(invocation), await logOf(invocation)];
  const { config } = await readServer(dir);
  const folders = keyBackupFolders(dir, config, log);
  if (folders === undefined) throw new ServerError("config-malformed", notConfigured(dir, log.name));
  return { dir, name: log.name, origin: log.origin, folders };
}

function notConfigured(dir: string, name: string): string {
  const setting = `"keyBackup": {"target": FOLDER, "keys": FOLDER}`;
  const where = "one for the backups, and another one, elsewhere, for the keys that open them";
  return `log ${name} has no backups of its key store: write ${setting} into ${layoutOf(dir).config}, ${where}`;
}

export async function listBackupsAction(invocation: Invocation): Promise<ExitCode> {
  const { folders } = await placeOf(invocation);
  const backups = await listKeyBackups(folders);
  for (const { path, time, count, epoch, isReadable } of backups) {
    const state = isReadable ? "readable" : "its key is gone";
    invocation.terminal.line(`${new Date(time).toISOString()}  ${count} keys, epoch ${epoch}, ${state}  ${path}`);
  }
  invocation.terminal.value(backups);
  return EXIT.ok;
}

export async function backUpAction(invocation: Invocation): Promise<ExitCode> {
  const { dir, name, origin, folders } = await placeOf(invocation);
  const path = logLayoutOf(dir, name).keyStore;
  const backup = await new KeyBackups({ ...folders, path, origin, masterKey: await masterKeyOf(dir) }).run();
  invocation.terminal.line(bold(backup.path), `  ${backup.count} keys, epoch ${backup.epoch}`);
  invocation.terminal.value(backup);
  return EXIT.ok;
}

export async function restoreAction(invocation: Invocation): Promise<ExitCode> {
  const { dir, name, origin, folders } = await placeOf(invocation);
  const from = invocation.text("from") ?? (await listKeyBackups(folders)).find(({ isReadable }) => isReadable)?.path;
  if (from === undefined)
    throw new UsageError(`--from: expected a backup; ${folders.target} has none that can be read`);
  const path = logLayoutOf(dir, name).keyStore;
  const restored = await restoreKeyStore({ from, keys: folders.keys, path, origin, masterKey: await masterKeyOf(dir) });
  const time = new Date(restored.time).toISOString();
  invocation.terminal.line(bold(path), `  as it was at ${time}: ${restored.count} keys, epoch ${restored.epoch}`);
  invocation.terminal.line("keys that were made since are not in it: the log names their entries at its next start");
  invocation.terminal.line("keys that were destroyed since are in it: the log destroys them again at its next start");
  invocation.terminal.value({ ...restored, from, path });
  return EXIT.ok;
}

export async function rewrapAction(invocation: Invocation): Promise<ExitCode> {
  const [dir, path] = [folderOf(invocation), invocation.text("before")];
  if (path === undefined)
    throw new UsageError("rewrap: expected --before FILE, a copy of server.json as it was before");
  const before = parseConfig(await readFile(path, "utf8"), path);
  const { masterKey } = await readConfig(layoutOf(dir).config);
  await makeMasterKey(masterKey, { dir, isToBeMade: invocation.flag("make") });
  const rewrapped = await rewrapKeyStores({ dir, before });
  for (const { name, changed, epoch } of rewrapped)
    invocation.terminal.line(
      bold(name),
      `  ${changed ? "is wrapped by the new master key" : "was already"}, epoch ${epoch}`,
    );
  invocation.terminal.value(rewrapped);
  return EXIT.ok;
}

/** @throws {UsageError} The new one is there already, or is not there; nothing says where it is to be. */
async function makeMasterKey(
  masterKey: MasterKeyConfig | undefined,
  { dir, isToBeMade }: { readonly dir: string; readonly isToBeMade: boolean },
): Promise<void> {
  const file = masterKey?.file === undefined ? undefined : resolve(dir, masterKey.file);
  const isThere = file !== undefined && existsSync(file);
  if (isToBeMade && masterKey === undefined)
    throw new UsageError("--make: server.json does not say where the new master key lies");
  if (isToBeMade && isThere)
    throw new UsageError(`--make: ${file} is there already: leave out --make to go on with it`);
  if (!isToBeMade && file !== undefined && !isThere)
    throw new UsageError(`rewrap: there is no master key ${file}: --make makes it`);
  if (isToBeMade && masterKey !== undefined) await createMasterKey(masterKey, dir);
}
