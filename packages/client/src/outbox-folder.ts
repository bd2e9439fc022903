/** The folder of a durable outbox: its lock, its secrets, its journal, its receipts. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeHex, ed25519PublicKey, encodeHex, equalBytes } from "@tallystick/core";
import { ClientError } from "./error.ts";
import { createFile, readIfThere } from "./files.ts";
import { lockFolder } from "./folder-lock.ts";
import { Journal, type Position } from "./journal.ts";
import type { OpenedOutbox, OutboxOptions } from "./opened-outbox.ts";
import { Outbox } from "./outbox.ts";
import { randomBytes } from "./random.ts";
import { openReceiptStore } from "./receipt-folder.ts";

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
    const { senderKey = join(folder, "sender.key") } = options;
    const seed = typeof senderKey === "string" ? await readOrCreateSecret(senderKey) : senderKey;
    const secret = options.sessionSecret ?? (await readOrCreateSecret(join(folder, "session.key")));
    const outbox = new Outbox(options.bytesMax);
    const replay = (bytes: Uint8Array, position: Position): void => outbox.replay(bytes, position);
    const journal = await Journal.open(join(folder, "outbox"), replay, { marked: true });
    opened.push(async () => journal.close());
    outbox.attach(journal);
    assertKeyOfStream(folder, outbox, seed);
    const receipts = await openReceiptStore(folder, options.receiptBytesMax);
    opened.push(async () => receipts.close());
    return { outbox, receipts, seed, secret, durable: true, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The 32 bytes in a file of 64 hex digits, made where there is none. @throws {ClientError} `outbox-corrupt` */
export async function readOrCreateSecret(path: string): Promise<Uint8Array> {
  const known = await readIfThere(path);
  if (known !== undefined) return parseSecret(path, known);
  const secret = randomBytes(32);
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
