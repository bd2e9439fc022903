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
import { Journal, type Position, syncFolder } from "./journal.ts";

export interface KeptReceipt {
  readonly id: string;
  readonly index: number;
  /** The tlog-proof. */
  readonly proof: string;
}

export interface ReceiptStore {
  keep(receipts: readonly KeptReceipt[]): Promise<void>;
  get(id: string): Promise<KeptReceipt | undefined>;
  close(): Promise<void>;
}

interface Generation {
  readonly journal: Journal;
  readonly positions: Map<string, Position>;
}

/** Opens the receipts in a folder; `bytesMax` bounds both files together. */
export async function openReceiptStore(folder: string, bytesMax: number): Promise<ReceiptStore> {
  const newer = join(folder, "receipts");
  const older = join(folder, "receipts.old");
  let generations: Generation[] = [await openGeneration(newer), await openGeneration(older)];
  const turn = async (): Promise<void> => {
    for (const { journal } of generations) await journal.close();
    await rm(older, { force: true });
    await rename(newer, older);
    await syncFolder(folder);
    generations = [await openGeneration(newer), await openGeneration(older)];
  };
  return {
    keep: async (receipts) => {
      const current = generations[0];
      if (current === undefined) throw new ClientError("client-closed", "the receipts are closed");
      await Promise.all(receipts.map(async (receipt) => await keepOne(current, receipt)));
      if (current.journal.bytes > bytesMax / 2) await turn();
    },
    get: async (id) => {
      for (const { journal, positions } of generations) {
        const position = positions.get(id);
        if (position !== undefined) return decodeReceipt(await journal.read(position));
      }
      return undefined;
    },
    close: async () => {
      for (const { journal } of generations.splice(0)) await journal.close();
    },
  };
}

async function keepOne({ journal, positions }: Generation, receipt: KeptReceipt): Promise<void> {
  positions.set(receipt.id, await journal.append(encodeCbor([receipt.id, receipt.index, receipt.proof])));
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
