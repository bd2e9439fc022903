/** An outbox that is open, wherever it lies, and what it is opened with. */
import type { Outbox } from "./outbox.ts";
import type { ReceiptStore } from "./receipts.ts";

export interface OpenedOutbox {
  readonly outbox: Outbox;
  readonly receipts: ReceiptStore;
  /** The sender key's seed, 32 bytes. */
  readonly seed: Uint8Array;
  /** Keys the hashes of session ids, of login names that nobody proved, and of whose receipt it is. */
  readonly secret: Uint8Array;
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
