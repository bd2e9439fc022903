/**
 * A key store in a folder: rows wrapped by an epoch key, which the master key wraps. docs/reference/storage-layout.md
 *
 * The folder belongs apart from all data, and out of its backups.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "./error.ts";
import { closedFailure, laterFailure, storageFailure } from "./failure.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";
import { readFileIfThere, shredFile, syncFolder, writeFileDurably, writeNewFile } from "./files.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";
import { decodeEpoch, encodeEpoch, firstEpoch, type KeyEpoch, nextEpoch } from "./key-epoch.ts";
import { holdsRows, KeyFile, keyFileName, markFileName } from "./key-file.ts";
import { assertKeyName } from "./key-name.ts";
import { assertRetirement, retirementOf } from "./key-retirement.ts";
import { encodeRow, kindCode, type KeyRow, LOOKUP_BYTES } from "./key-row.ts";
import type { KeyKind, KeyName, KeyState, KeyStore } from "./key-store.ts";
import { KEY_BYTES, keyFingerprint, type RandomSource } from "./key-wrap.ts";
import { keepMasterKey, type MasterKey, type MasterKeyProvider, wipeMasterKey } from "./master-key-provider.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { SerialQueue } from "./serial-queue.ts";

export interface KeyStoreOptions {
  /** The folder; made if it is not there. */
  readonly path: string;
  /** Kept elsewhere; see `loadMasterKey`. */
  readonly masterKey: MasterKey;
  /** Default: node:crypto's. */
  readonly random?: RandomSource;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

interface Setting {
  readonly path: string;
  readonly random: RandomSource;
  readonly fileSystem: FileSystem;
}

/**
 * Opens a key store, or makes one, and takes its folder for this process alone.
 *
 * All rows are checked against the mark, and what an interrupted destruction left is completed or removed. Takes about 150
 * ms for 100,000 keys, and holds 16 to 32 bytes of each in memory.
 *
 * A folder that is replaced as a whole by an older copy looks right from within.
 *
 * @throws {StorageError} `master-key-wrong`: another master key wraps this store.
 * @throws {StorageError} `key-store-corrupt`: a file is damaged. `key-store-rolled-back`: files are of different ages.
 * @throws {StorageError} `storage-locked`: another process has the folder open.
 * @throws {StorageError} `storage-unavailable`, `storage-full`: a file could not be read or written.
 */
export async function openKeyStore(options: KeyStoreOptions): Promise<KeyStore> {
  const { path, random = randomBytes, fileSystem = nodeFileSystem } = options;
  const masterKey = keepMasterKey(options.masterKey, random);
  const setting: Setting = { path, random, fileSystem };
  let lock: FolderLock | undefined;
  try {
    await fileSystem.makeFolder(path, 0o700);
    lock = await lockFolder(path);
    const epoch = (await readEpoch(setting, masterKey)) ?? (await createEpoch(setting, masterKey));
    const keyFile = await KeyFile.open(path, epoch, fileSystem);
    await removeLeftovers(setting, epoch);
    return new FileKeyStore(setting, { masterKey, keyFile, lock });
  } catch (cause) {
    wipeMasterKey(masterKey);
    await lock?.release();
    throw storageFailure(`could not open the key store ${path}`, cause);
  }
}

async function readEpoch({ path }: Setting, masterKey: MasterKeyProvider): Promise<KeyEpoch | undefined> {
  const epochPath = join(path, "epoch");
  const bytes = await readFileIfThere(epochPath);
  if (bytes === undefined) return undefined;
  const epoch = await decodeEpoch(bytes, masterKey, epochPath);
  if (readdirSync(path).includes(keyFileName(epoch))) return epoch;
  const message = `${epochPath} belongs to ${keyFileName(epoch)}, which is not there: it is of another age than the keys; restore the key store as a whole from its newest backup`;
  throw new StorageError("key-store-rolled-back", message, { details: { path: epochPath, epoch: epoch.number } });
}

/** The epoch file comes last, so a folder without one is new, or its making was interrupted, or it was lost. */
async function createEpoch(setting: Setting, masterKey: MasterKeyProvider): Promise<KeyEpoch> {
  const { path, random, fileSystem } = setting;
  const lost = readdirSync(path).find((file) => /^keys\.\d+$/.test(file) && holdsRows(statSync(join(path, file)).size));
  if (lost !== undefined) {
    const message = `the file epoch of ${path} is missing, without which ${lost} is unreadable; put it back, or restore the key store as a whole from its newest backup`;
    throw new StorageError("key-store-corrupt", message, { details: { path: join(path, "epoch") } });
  }
  const epoch = firstEpoch(random);
  // Before anything is written: a master key that cannot be used leaves no half of a store.
  const epochFile = await encodeEpoch(epoch, masterKey, random);
  await KeyFile.create(path, epoch, fileSystem);
  await writeFileDurably(join(path, "epoch"), epochFile, { fileSystem });
  return epoch;
}

/**
 * Completes or undoes an interrupted destruction: the file `epoch` says which of the two it was.
 *
 * Where it died just before the new epoch took effect, `epoch.old` is a second name of `epoch` itself, which must be
 * removed without overwriting what both of them name.
 */
async function removeLeftovers({ path, fileSystem }: Setting, epoch: KeyEpoch): Promise<void> {
  const current = await readFileIfThere(join(path, "epoch"));
  for (const name of ["epoch.old", "epoch.next"]) {
    const leftover = join(path, name);
    const bytes = await readFileIfThere(leftover);
    if (bytes === undefined) continue;
    if (current !== undefined && Buffer.compare(bytes, current) === 0) await fileSystem.unlink(leftover);
    else await shredFile(leftover, bytes.length, fileSystem);
  }
  const kept = [keyFileName(epoch), markFileName(epoch)];
  for (const name of readdirSync(path)) {
    if (/^(?:keys|mark)\.\d/.test(name) && !kept.includes(name)) await fileSystem.unlink(join(path, name));
  }
  await syncFolder(path, fileSystem);
}

/** To find and unwrap a key takes forty microseconds; the persons and days of a busy hour fit. */
const CACHED_KEYS_MAX = 4096;

interface Opened {
  /** Owned by the key store. */
  readonly masterKey: MasterKeyProvider;
  readonly keyFile: KeyFile;
  readonly lock: FolderLock;
}

const WRITING = "could not write new keys";

interface EpochChange {
  /** Keys that are not taken along, as text. */
  readonly doomed: ReadonlySet<string>;
  /** Wraps the new epoch. */
  readonly masterKey: MasterKeyProvider;
}

interface Rewriting extends Pick<EpochChange, "doomed"> {
  readonly epoch: KeyEpoch;
  readonly epochFile: Uint8Array;
}

class FileKeyStore implements KeyStore {
  readonly #setting: Setting;
  readonly #lock: FolderLock;
  readonly #lookupHash: KeyedHash;
  readonly #writes = new SerialQueue();
  /** By place: keys that no completed sync covers yet. */
  readonly #pending = new Map<string, KeyRow>();
  /** By place: keys of the file, those known longest first. */
  readonly #cache = new Map<string, Uint8Array>();
  #masterKey: MasterKeyProvider;
  #keyFile: KeyFile;
  /** The sync that has not begun yet; all callers until then share it. */
  #waiting: Promise<void> | undefined;
  #failure: StorageError | undefined;
  #closing: Promise<void> | undefined;

  constructor(setting: Setting, { masterKey, keyFile, lock }: Opened) {
    this.#setting = setting;
    this.#masterKey = masterKey;
    this.#keyFile = keyFile;
    this.#lock = lock;
    this.#lookupHash = new KeyedHash(keyFile.epoch.lookupKey);
  }

  get epoch(): number {
    return this.#keyFile.epoch.number;
  }

  get(kind: KeyKind, name: string): Uint8Array | undefined {
    this.#assertUsable();
    assertKeyName(kind, name);
    const place = placeOf(kind, name);
    const known = this.#pending.get(place)?.secret ?? this.#cache.get(place);
    if (known !== undefined) return known;
    const row = this.#findRow(this.#lookupOf(kind, name));
    return row?.state === "live" ? this.#remember(place, row.secret) : undefined;
  }

  getOrCreate(kind: KeyKind, name: string): Uint8Array {
    const found = this.get(kind, name);
    if (found !== undefined) return found;
    const secret = new Uint8Array(this.#setting.random(KEY_BYTES));
    const row: KeyRow = { lookup: this.#lookupOf(kind, name), kind: kindCode(kind), state: "live", secret };
    this.#pending.set(placeOf(kind, name), row);
    return secret;
  }

  state(kind: KeyKind, name: string): KeyState {
    this.#assertUsable();
    assertKeyName(kind, name);
    if (this.#pending.has(placeOf(kind, name))) return "pending";
    return this.#findRow(this.#lookupOf(kind, name))?.state ?? "absent";
  }

  sync(): Promise<void> {
    // A promise that rejects, as for every other failure.
    if (this.#failure !== undefined) return Promise.reject(laterFailure(this.#failure));
    if (this.#closing !== undefined) return Promise.reject(closedFailure("key store"));
    return this.#sync();
  }

  async retire(from: KeyName, to: KeyName): Promise<void> {
    this.#assertUsable();
    assertRetirement(from, to);
    return this.#writes.run(() => this.#retire(from, to));
  }

  async destroy(names: readonly KeyName[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertUsable();
    for (const { kind, name } of names) assertKeyName(kind, name);
    const lookups = names.map(({ kind, name }) => this.#lookupOf(kind, name));
    return this.#writes.run(() => this.#destroy(lookups));
  }

  async rotateMasterKey(next: MasterKey): Promise<void> {
    this.#assertUsable();
    const { random } = this.#setting;
    const masterKey = keepMasterKey(next, random);
    return this.#writes.run(() => this.#rotate(masterKey));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.#sync();
      await this.#writes.idle();
    } finally {
      this.#cache.clear();
      this.#pending.clear();
      this.#lookupHash.wipe();
      wipeMasterKey(this.#masterKey);
      await this.#keyFile.close();
      wipe(this.#keyFile.epoch);
      await this.#lock.release();
    }
  }

  #sync(): Promise<void> {
    this.#waiting ??= this.#writes.run(() => {
      this.#waiting = undefined;
      return this.#guarded(WRITING, () => this.#writePending());
    });
    return this.#waiting;
  }

  async #writePending(): Promise<void> {
    const entries = [...this.#pending];
    const { epoch } = this.#keyFile;
    await this.#keyFile.append(entries.map(([, row]) => encodeRow(row, epoch, this.#setting.random)));
    for (const [place, row] of entries) {
      this.#pending.delete(place);
      this.#remember(place, row.secret);
    }
  }

  async #retire(from: KeyName, to: KeyName): Promise<void> {
    await this.#guarded(WRITING, () => this.#writePending());
    const row = this.#findRow(this.#lookupOf(from.kind, from.name));
    const [fromPlace, toPlace] = [from, to].map(({ kind, name }) => placeOf(kind, name)) as [string, string];
    const step = retirementOf(row, this.#pending.get(toPlace) ?? this.#findRow(this.#lookupOf(to.kind, to.name)));
    if (step === "done" || row === undefined) return;
    // Whoever asks for the new name from now on is not given another key, which would take the place of this one.
    this.#remember(toPlace, row.secret);
    const moved: KeyRow = { ...row, lookup: this.#lookupOf(to.kind, to.name) };
    // The key is under its new name before it is gone from the old one: dying between the two rows leaves it under both.
    const rows = step === "move" ? [moved, tombstoneOf(row)] : [tombstoneOf(row)];
    const { epoch } = this.#keyFile;
    await this.#guarded("could not retire a key", () =>
      this.#keyFile.append(rows.map((fresh) => encodeRow(fresh, epoch, this.#setting.random))),
    );
    this.#cache.delete(fromPlace);
  }

  async #destroy(lookups: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    await this.#guarded(WRITING, () => this.#writePending());
    const rows = lookups.map((lookup) => this.#findRow(lookup));
    const doomed = new Set(rows.flatMap((row) => (row?.state === "live" ? [textOf(row.secret)] : [])));
    if (doomed.size > 0) await this.#startEpoch("could not destroy keys", { doomed, masterKey: this.#masterKey });
    return rows.map((row) => row && tombstoneOf(row).secret);
  }

  async #rotate(masterKey: MasterKeyProvider): Promise<void> {
    await this.#guarded(WRITING, () => this.#writePending());
    await this.#startEpoch("could not change the master key", { doomed: new Set(), masterKey });
    wipeMasterKey(this.#masterKey);
    this.#masterKey = masterKey;
  }

  async #startEpoch(what: string, { doomed, masterKey }: EpochChange): Promise<void> {
    const { random } = this.#setting;
    const epoch = nextEpoch(this.#keyFile.epoch, random);
    // Before anything is written: a master key that cannot be used now leaves the store as it was, and in use.
    const epochFile = await encodeEpoch(epoch, masterKey, random);
    await this.#guarded(what, () => this.#rewrite({ epoch, epochFile, doomed }));
  }

  /**
   * Writes the store under another epoch, with tombstones for the keys that are doomed, and destroys the epoch before. A
   * key that an interrupted retirement left under two names goes from both.
   */
  async #rewrite({ epoch, epochFile, doomed }: Rewriting): Promise<void> {
    const { path, random, fileSystem } = this.#setting;
    const old = this.#keyFile;
    await KeyFile.create(path, epoch, fileSystem);
    const fresh = await KeyFile.open(path, epoch, fileSystem);
    try {
      for (const rows of old.chunks()) {
        const kept = rows.map((row) => (doomed.has(textOf(row.secret)) ? tombstoneOf(row) : row));
        await fresh.append(kept.map((row) => encodeRow(row, epoch, random)));
      }
      await this.#replaceEpoch(epochFile);
    } catch (cause) {
      await fresh.close();
      throw cause;
    }
    this.#keyFile = fresh;
    this.#cache.clear();
    await old.close();
    wipe(old.epoch);
    await this.#removeEpoch(old.epoch);
  }

  async #replaceEpoch(bytes: Uint8Array): Promise<void> {
    const { path, fileSystem } = this.#setting;
    const [current, next, old] = ["epoch", "epoch.next", "epoch.old"].map((name) => join(path, name)) as [
      string,
      string,
      string,
    ];
    await writeNewFile(fileSystem, { path: next, bytes, mode: 0o600 });
    // A second name, under which the old file can be overwritten once the new one has taken its place.
    await fileSystem.link(current, old);
    // Dying before this line leaves the old store as it was; dying after it, the new one.
    await fileSystem.rename(next, current);
    await syncFolder(path, fileSystem);
  }

  async #removeEpoch(epoch: KeyEpoch): Promise<void> {
    const { path, fileSystem } = this.#setting;
    const old = join(path, "epoch.old");
    await shredFile(old, statSync(old).size, fileSystem);
    await fileSystem.unlink(join(path, keyFileName(epoch)));
    await fileSystem.unlink(join(path, markFileName(epoch)));
    await syncFolder(path, fileSystem);
  }

  async #guarded<T>(what: string, step: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw laterFailure(this.#failure);
    try {
      return await step();
    } catch (cause) {
      this.#failure = storageFailure(what, cause);
      throw this.#failure;
    }
  }

  #findRow(lookup: Uint8Array): KeyRow | undefined {
    try {
      return this.#keyFile.find(lookup);
    } catch (cause) {
      throw storageFailure("could not read the key store", cause);
    }
  }

  #remember(place: string, key: Uint8Array): Uint8Array {
    this.#cache.set(place, key);
    if (this.#cache.size > CACHED_KEYS_MAX) {
      const [oldest] = this.#cache.keys();
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    return key;
  }

  /** The kind is part of what is hashed, so that one name of two kinds has two keys. */
  #lookupOf(kind: KeyKind, name: string): Uint8Array {
    const message = Buffer.allocUnsafe(1 + Buffer.byteLength(name));
    message[0] = kindCode(kind);
    message.write(name, 1);
    return this.#lookupHash.digest(message).subarray(0, LOOKUP_BYTES);
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw laterFailure(this.#failure);
    if (this.#closing !== undefined) throw closedFailure("key store");
  }
}

function tombstoneOf(row: KeyRow): KeyRow {
  return row.state === "live" ? { ...row, state: "destroyed", secret: keyFingerprint(row.secret) } : row;
}

function placeOf(kind: KeyKind, name: string): string {
  return `${kind}/${name}`;
}

/** A key as latin1 text, to put it in a set. */
function textOf(secret: Uint8Array): string {
  return Buffer.from(secret.buffer, secret.byteOffset, secret.length).toString("latin1");
}

/** The lookup key is the next epoch's too. */
function wipe(epoch: KeyEpoch): void {
  epoch.key.fill(0);
}
