/**
 * The receipts on disk.
 *
 * Two files take turns: when the newer one is full, the older one is dropped. So the disk they take is bounded, and the
 * newest receipts are always there; an older one the log gives again at any time.
 */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeHex, encodeHex } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import { ClientError } from "./error.ts";
import { syncFolder } from "./files.ts";
import { Journal, type Position } from "./journal.ts";
import type { KeptReceipt, ReceiptStore, TiedReceipt } from "./receipts.ts";

interface Kept {
  position: Position;
  readonly person: string | undefined;
}

interface Generation {
  readonly journal: Journal;
  readonly kept: Map<string, Kept>;
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
  // Files change places under their names: only one of these at a time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = async <T>(step: () => Promise<T>): Promise<T> => {
    const done = last.then(step);
    last = done.catch(() => undefined);
    return done;
  };
  const keep = async (receipts: readonly TiedReceipt[]): Promise<void> => {
    if (newer.journal.bytes > bytesMax / 2) await turn();
    const { journal, kept } = newer;
    await Promise.all(
      receipts.map(async (receipt) => {
        const { id, person } = receipt;
        await journal.append(encodeReceipt(receipt), (position) => void kept.set(id, { position, person }));
      }),
    );
  };
  const forget = async (person: string): Promise<number> => {
    // Opened anew: a journal goes by the name that its file had when it was opened.
    const [formerOlder, formerNewer] = [older, newer];
    older = await openGeneration(olderPath);
    await formerOlder.journal.close();
    newer = await openGeneration(newerPath);
    await formerNewer.journal.close();
    return (await rewriteWithout(older, person)) + (await rewriteWithout(newer, person));
  };
  return {
    keep: async (receipts) => inTurn(async () => keep(receipts)),
    forget: async (person) => inTurn(async () => forget(person)),
    get: async (id) =>
      inTurn(async () => {
        for (const { journal, kept } of [newer, older]) {
          const position = kept.get(id)?.position;
          if (position !== undefined) return decodeReceipt(await journal.read(position));
        }
        return undefined;
      }),
    close: async () =>
      inTurn(async () => {
        await newer.journal.close();
        await older.journal.close();
      }),
  };
}

async function openGeneration(path: string): Promise<Generation> {
  const kept = new Map<string, Kept>();
  const journal = await Journal.open(path, (bytes, position) => {
    const { id, person } = decodeTied(bytes);
    kept.set(id, { position, person });
  });
  return { journal, kept };
}

/** Replaces a file by one that lacks a person's receipts, whole: dying on the way leaves the one or the other. */
async function rewriteWithout({ journal, kept }: Generation, person: string): Promise<number> {
  const theirs = [...kept].filter(([, entry]) => entry.person === person);
  if (theirs.length === 0) return 0;
  for (const [id] of theirs) kept.delete(id);
  const others = [...kept.values()];
  await journal.rewrite(
    () => readAll(journal, others),
    (positions) => {
      for (const [at, entry] of others.entries()) entry.position = positions[at] ?? entry.position;
    },
  );
  return theirs.length;
}

/** One after another, as they are asked for: a rewrite that fails reads no further. */
function* readAll(journal: Journal, entries: readonly Kept[]): Generator<Promise<Uint8Array>> {
  for (const { position } of entries) yield journal.read(position);
}

function encodeReceipt({ id, index, proof, person }: TiedReceipt): Uint8Array {
  return encodeCbor(person === undefined ? [id, index, proof] : [id, index, proof, decodeHex(person)]);
}

function decodeReceipt(bytes: Uint8Array): KeptReceipt {
  const { id, index, proof } = decodeTied(bytes);
  return { id, index, proof };
}

function decodeTied(bytes: Uint8Array): TiedReceipt {
  const fields = decodeCbor(bytes, { bytesMax: bytes.length });
  const [id, index, proof, person] = Array.isArray(fields) ? (fields as readonly unknown[]) : [];
  if (typeof id === "string" && typeof index === "number" && typeof proof === "string")
    return { id, index, proof, person: person instanceof Uint8Array ? encodeHex(person) : undefined };
  throw new ClientError("outbox-corrupt", "receipts: expected [id, index, proof, person?]");
}
