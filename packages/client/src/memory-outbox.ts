/** An outbox for where there is no disk: it dies with the process, and so does its stream. */
import { readSeed } from "#platform";
import { createMemoryJournal } from "./memory-journal.ts";
import type { OpenedOutbox, OutboxOptions } from "./opened-outbox.ts";
import { Outbox } from "./outbox.ts";
import { randomBytes } from "./random.ts";
import { createMemoryReceiptStore } from "./receipts.ts";

/** A receipt, in memory. */
const RECEIPT_BYTES = 4096;

export async function createMemoryOutbox({
  bytesMax,
  receiptBytesMax,
  sessionSecret,
  senderKey,
}: OutboxOptions): Promise<OpenedOutbox> {
  const outbox = new Outbox(bytesMax);
  outbox.attach(createMemoryJournal());
  return {
    outbox,
    receipts: createMemoryReceiptStore(Math.ceil(receiptBytesMax / RECEIPT_BYTES)),
    seed: typeof senderKey === "string" ? await readSeed(senderKey) : (senderKey ?? randomBytes(32)),
    secret: sessionSecret ?? randomBytes(32),
    durable: false,
    close: async () => outbox.close(),
  };
}
