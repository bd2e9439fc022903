/** Sealing an entry's opening anew, under other keys, so that those it was sealed under can be destroyed. */
import { decodeHex } from "@tallystick/core";
import { equalBytes } from "@tallystick/core";
import { type Leaf, NONCE_BYTES, dayOf } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import { TABLE } from "../rows.ts";
import type { LogSecrets } from "../keys.ts";

export interface SealAnewInput {
  readonly secrets: LogSecrets;
  readonly random: (bytes: number) => Uint8Array;
  /** The sealed row as it is. */
  readonly row: Uint8Array;
  readonly leaf: Leaf;
  /** The class under whose key it is sealed from now on. */
  readonly class: string;
  /** Whether the person's key goes on being needed to open it. */
  readonly keepPerson: boolean;
  /** What the key store calls the person under whose key it is to be from now on, whoever's it was. */
  readonly person?: string;
}

/** The new row; `undefined` where the entry does not open. New keys are the caller's to sync before it is written. */
export function sealAnew({
  secrets,
  random,
  row,
  leaf,
  class: name,
  keepPerson,
  person,
}: SealAnewInput): Uint8Array | undefined {
  const { commitment } = leaf;
  const contents = secrets.examine({ row, commitment });
  if (contents.kind !== "opened") return undefined;
  return secrets.sealAnew({
    class: name,
    day: dayOf(leaf.loggedAt),
    person: person === undefined ? (keepPerson ? contents.person : null) : decodeHex(person),
    nonce: random(NONCE_BYTES),
    commitment,
    opening: contents.opening,
  });
}

/** An entry that was sealed anew, and is not written yet. */
export interface Resealed {
  readonly index: number;
  /** The sealed row that was read. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/**
 * Writes what was sealed anew, where the row is still the one that was read; gives those where it is not. To be called
 * within a turn: so a hold and a duty that seal one entry anew at the same time never undo each other.
 */
export async function writeResealed(
  storage: LogStorage,
  resealed: readonly Resealed[],
  beside: (index: number) => readonly Row[] = () => [],
): Promise<Resealed[]> {
  const keys = resealed.map(({ index }) => indexKey(index));
  const now = await storage.getRows(TABLE.sealed, keys);
  const isSame = resealed.map(({ before }, at) => {
    const row = now[at];
    return row !== undefined && equalBytes(row, before);
  });
  const rows = resealed.flatMap(({ index, after }, at) =>
    isSame[at] === true ? [...beside(index), { table: TABLE.sealed, key: indexKey(index), value: after }] : [],
  );
  if (rows.length > 0) await storage.putRows(rows);
  return resealed.filter((_, at) => isSame[at] !== true);
}
