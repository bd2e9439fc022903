/** The folder of a durable outbox: its lock, its secrets, its journal, its receipts. */
import { createHmac, randomBytes } from "node:crypto";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeHex, encodeHex } from "@tallystick/core";
import { ClientError } from "./error.ts";
import { Journal, syncFolder } from "./journal.ts";
import { Outbox, createMemoryJournal } from "./outbox.ts";
import { type ReceiptStore, createMemoryReceiptStore, openReceiptStore } from "./receipts.ts";

export interface OpenedOutbox {
  readonly outbox: Outbox;
  readonly receipts: ReceiptStore;
  /** The sender key's seed, 32 bytes. */
  readonly seed: Uint8Array;
  /** Turns the application's session id into what may stand in an event: a keyed hash, 64 hex digits. */
  readonly sessionIdOf: (id: string) => string;
  readonly close: () => Promise<void>;
}

export interface OutboxOptions {
  readonly bytesMax: number;
  readonly receiptBytesMax: number;
  /** 32 bytes or more. Give the same to every instance of one application, so that a session is one chain in all. */
  readonly sessionSecret?: Uint8Array;
}

/**
 * Opens the outbox in a folder, makes it where there is none.
 *
 * @throws {ClientError} `outbox-locked`: another process uses it; `outbox-corrupt`: something in it is damaged.
 */
export async function openOutboxFolder(folder: string, options: OutboxOptions): Promise<OpenedOutbox> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unlock = await lock(folder);
  try {
    const outbox = new Outbox(options.bytesMax);
    const seed = await readOrCreateSecret(folder, "sender.key");
    const secret = options.sessionSecret ?? (await readOrCreateSecret(folder, "session.key"));
    const journal = await Journal.open(join(folder, "outbox"), (bytes, position) => outbox.replay(bytes, position));
    outbox.attach(journal);
    const receipts = await openReceiptStore(folder, options.receiptBytesMax);
    const close = async (): Promise<void> => {
      await receipts.close();
      await outbox.close();
      await unlock();
    };
    return { outbox, receipts, seed, sessionIdOf: keyedHash(secret), close };
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** An outbox for where there is no disk: it dies with the process, and so does its stream. */
export function createMemoryOutbox(options: OutboxOptions): OpenedOutbox {
  const outbox = new Outbox(options.bytesMax);
  outbox.attach(createMemoryJournal());
  return {
    outbox,
    receipts: createMemoryReceiptStore(Math.ceil(options.receiptBytesMax / 4096)),
    seed: randomBytes(32),
    sessionIdOf: keyedHash(options.sessionSecret ?? randomBytes(32)),
    close: async () => await outbox.close(),
  };
}

function keyedHash(secret: Uint8Array): (id: string) => string {
  return (id) => createHmac("sha256", secret).update(id, "utf8").digest("hex");
}

async function readOrCreateSecret(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  const known = await readFile(path, "utf8").catch(ignoreMissing);
  if (known !== undefined) return parseSecret(path, known);
  const secret = randomBytes(32);
  // Written beside, synced and renamed by `wx` alone would leave half a key after a crash: an empty file is refused above.
  const file = await open(path, "wx", 0o600);
  await file.writeFile(`${encodeHex(secret)}\n`);
  await file.sync();
  await file.close();
  await syncFolder(folder);
  return secret;
}

function parseSecret(path: string, text: string): Uint8Array {
  const hex = text.trimEnd();
  if (/^[0-9a-f]{64}$/.test(hex)) return decodeHex(hex);
  throw new ClientError("outbox-corrupt", `${path}: expected 64 hex digits; a new key means a new outbox folder`);
}

/** One process at a time: the lock names its process, and that of a dead one is taken over. */
async function lock(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "lock");
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const file = await open(path, "wx", 0o600).catch(ignoreCode("EEXIST"));
    if (file !== undefined) {
      await file.writeFile(String(process.pid));
      await file.close();
      return async () => await rm(path, { force: true });
    }
    const holder = Number(await readFile(path, "utf8").catch(ignoreMissing));
    if (isAlive(holder)) {
      const text = `${folder}: process ${holder} uses this outbox; give each process a folder of its own`;
      throw new ClientError("outbox-locked", text, { details: { folder, holder } });
    }
    await rm(path, { force: true });
  }
  throw new ClientError("outbox-locked", `${folder}: several processes try to take this outbox at once`);
}

function isAlive(processId: number): boolean {
  if (!Number.isSafeInteger(processId) || processId <= 0) return false;
  if (processId === process.pid) return true;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function ignoreCode(code: string): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof Error && "code" in error && error.code === code) return undefined;
    throw error;
  };
}

const ignoreMissing = ignoreCode("ENOENT");
