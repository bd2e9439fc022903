/**
 * The receipts that have verified, found by event id. They hold proofs and no contents.
 *
 * Two files take turns: when the newer one is full, the older one is dropped. So the disk they take is bounded, and the
 * newest receipts are always there; an older one the log gives again at any time.
 */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import { ClientError } from "./error.ts";
import { syncFolder } from "./files.ts";
import { Journal, type Position } from "./journal.ts";

export interface KeptReceipt {
  readonly id: string;
  readonly index: number;
  /** The tlog-proof. */
  readonly proof: string;
}

/** One writer; reads at any time. */
export interface ReceiptStore {
  /** Keeps receipts; durable on return, where the store is. */
  keep(receipts: readonly KeptReceipt[]): Promise<void>;
  get(id: string): Promise<KeptReceipt | undefined>;
  close(): Promise<void>;
}

interface Generation {
  readonly journal: Journal;
  readonly positions: Map<string, Position>;
}

/**
 * Opens the receipts in a folder; `bytesMax` bounds both files together.
 *
 * @throws {ClientError} `outbox-corrupt`: a file is damaged.
 */
export async function openReceiptStore(folder: string, bytesMax: number): Promise<ReceiptStore> {
  const newerPath = join(folder, "receipts");
  const olderPath = join(folder, "receipts.old");
  let older = await openGeneration(olderPath);
  let newer: Generation;
  try {
    newer = await openGeneration(newerPath);
  } catch (error) {
    await older.journal.close();
    throw error;
  }
  // Open files keep what they hold under any name. Dying between two of these lines loses the older ones at most; where
  // the next file cannot be made, nothing has changed.
  const turn = async (): Promise<void> => {
    const nextPath = `${newerPath}.new`;
    await rm(nextPath, { force: true });
    const next = await openGeneration(nextPath);
    const dropped = older;
    await rename(newerPath, olderPath);
    older = newer;
    newer = next;
    await rename(nextPath, newerPath);
    await syncFolder(folder);
    await dropped.journal.close();
  };
  return {
    keep: async (receipts) => {
      if (newer.journal.bytes > bytesMax / 2) await turn();
      const { journal, positions } = newer;
      await Promise.all(
        receipts.map(async ({ id, index, proof }) => {
          await journal.append(encodeCbor([id, index, proof]), (position) => void positions.set(id, position));
        }),
      );
    },
    get: async (id) => {
      for (const { journal, positions } of [newer, older]) {
        const position = positions.get(id);
        if (position !== undefined) return decodeReceipt(await journal.read(position));
      }
      return undefined;
    },
    close: async () => {
      await newer.journal.close();
      await older.journal.close();
    },
  };
}

async function openGeneration(path: string): Promise<Generation> {
  const positions = new Map<string, Position>();
  const journal = await Journal.open(path, (bytes, position) => positions.set(decodeReceipt(bytes).id, position));
  return { journal, positions };
}

function decodeReceipt(bytes: Uint8Array): KeptReceipt {
  const fields = decodeCbor(bytes, { bytesMax: bytes.length });
  const [id, index, proof] = Array.isArray(fields) ? (fields as readonly unknown[]) : [];
  if (typeof id === "string" && typeof index === "number" && typeof proof === "string") return { id, index, proof };
  throw new ClientError("outbox-corrupt", "receipts: expected [id, index, proof]");
}

/** Receipts in memory, the newest `countMax` of them. */
export function createMemoryReceiptStore(countMax: number): ReceiptStore {
  const kept = new Map<string, KeptReceipt>();
  return {
    keep: async (receipts) => {
      for (const receipt of receipts) {
        kept.set(receipt.id, receipt);
        const [oldest] = kept.keys();
        if (kept.size > countMax && oldest !== undefined) kept.delete(oldest);
      }
    },
    get: async (id) => kept.get(id),
    close: async () => kept.clear(),
  };
}
