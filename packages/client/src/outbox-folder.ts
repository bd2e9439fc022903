/** The folder of a durable outbox: its lock, its secrets, its journal, its receipts. */
import { createHmac, randomBytes } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeHex, ed25519PublicKey, encodeHex, equalBytes } from "@tallystick/core";
import { ClientError } from "./error.ts";
import { createFile, readIfThere } from "./files.ts";
import { lockFolder } from "./folder-lock.ts";
import { Journal, type Position } from "./journal.ts";
import { createMemoryJournal } from "./memory-journal.ts";
import { Outbox } from "./outbox.ts";
import { type ReceiptStore, createMemoryReceiptStore, openReceiptStore } from "./receipts.ts";

export interface OpenedOutbox {
  readonly outbox: Outbox;
  readonly receipts: ReceiptStore;
  /** The sender key's seed, 32 bytes. */
  readonly seed: Uint8Array;
  /** Turns the application's session id into what may stand in an event: a keyed hash, 32 bytes. */
  readonly hashSession: (id: string) => Uint8Array;
  /** Whether what waits is still there after the process has ended. */
  readonly durable: boolean;
  readonly close: () => Promise<void>;
}

export interface OutboxOptions {
  readonly bytesMax: number;
  readonly receiptBytesMax: number;
  /** 32 bytes or more. Give the same to every instance of one application, so that a session is one chain in all. */
  readonly sessionSecret?: Uint8Array | undefined;
  /** The sender key's seed, or the file that holds it; else one of this outbox alone. */
  readonly senderKey?: Uint8Array | string | undefined;
}

/** A receipt, in memory. */
const RECEIPT_BYTES = 4096;

/**
 * Opens the outbox in a folder, makes it where there is none.
 *
 * @throws {ClientError} `outbox-locked`: another process uses it; `outbox-corrupt`: something in it is damaged.
 */
export async function openOutboxFolder(folder: string, options: OutboxOptions): Promise<OpenedOutbox> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const unlock = await lockFolder(folder);
  const opened: (() => Promise<void>)[] = [unlock];
  const close = async (): Promise<void> => {
    for (const step of opened.splice(0).toReversed()) await step();
  };
  try {
    const seed = await senderSeed(options.senderKey ?? join(folder, "sender.key"));
    const secret = options.sessionSecret ?? (await readOrCreateSecret(join(folder, "session.key")));
    const outbox = new Outbox(options.bytesMax);
    const replay = (bytes: Uint8Array, position: Position): void => outbox.replay(bytes, position);
    const journal = await Journal.open(join(folder, "outbox"), replay, { marked: true });
    opened.push(async () => journal.close());
    outbox.attach(journal);
    assertKeyOfStream(folder, outbox, seed);
    const receipts = await openReceiptStore(folder, options.receiptBytesMax);
    opened.push(async () => receipts.close());
    return { outbox, receipts, seed, hashSession: keyedHash(secret), durable: true, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** An outbox for where there is no disk: it dies with the process, and so does its stream. */
export async function createMemoryOutbox(options: OutboxOptions): Promise<OpenedOutbox> {
  const outbox = new Outbox(options.bytesMax);
  outbox.attach(createMemoryJournal());
  return {
    outbox,
    receipts: createMemoryReceiptStore(Math.ceil(options.receiptBytesMax / RECEIPT_BYTES)),
    seed: await senderSeed(options.senderKey ?? new Uint8Array(randomBytes(32))),
    hashSession: keyedHash(options.sessionSecret ?? randomBytes(32)),
    durable: false,
    close: async () => outbox.close(),
  };
}

function keyedHash(secret: Uint8Array): (id: string) => Uint8Array {
  return (id) => new Uint8Array(createHmac("sha256", secret).update(id, "utf8").digest());
}

async function senderSeed(key: Uint8Array | string): Promise<Uint8Array> {
  return typeof key === "string" ? readOrCreateSecret(key) : key;
}

async function readOrCreateSecret(path: string): Promise<Uint8Array> {
  const known = await readIfThere(path);
  if (known !== undefined) return parseSecret(path, known);
  const secret = new Uint8Array(randomBytes(32));
  if (await createFile(path, `${encodeHex(secret)}\n`)) return secret;
  return parseSecret(path, (await readIfThere(path)) ?? "");
}

function parseSecret(path: string, text: string): Uint8Array {
  const hex = text.trimEnd();
  if (/^[0-9a-f]{64}$/.test(hex)) return decodeHex(hex);
  throw new ClientError("outbox-corrupt", `${path}: expected 64 hex digits; a new key means a new outbox folder`, {
    details: { path },
  });
}

/** The stream's number belongs to its key: events that wait cannot be signed under another one. */
function assertKeyOfStream(folder: string, { stream }: Outbox, seed: Uint8Array): void {
  if (stream === undefined || equalBytes(stream.publicKey, ed25519PublicKey(seed))) return;
  const text = `${folder}: the sender key is not that of the stream in it; restore it, or move the folder away to begin a new stream`;
  throw new ClientError("outbox-corrupt", text, { details: { folder } });
}
