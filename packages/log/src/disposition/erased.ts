/** Which entries' contents were destroyed, and under which certificate: asked before anything is opened. */
import { encodeHex } from "@tallystick/core";
import { type Leaf, dayOf, decodeCbor, decodeSealed, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { listOf, numberOf } from "../heads.ts";
import { decodeSealedRow } from "../keys.ts";
import { TABLE } from "../rows.ts";
import { classDayKey } from "./ledger.ts";

/** What destroyed an entry's contents. */
export interface ErasedBy {
  readonly kind: "person" | "class-day";
  /** Index of the `log.erasure` entry that ordered it. */
  readonly certificate: number;
}

export function erasedClassDayRow(
  scope: { readonly class: string; readonly day: number },
  certificate: number,
  before: number,
): Row {
  return {
    table: TABLE.erased,
    key: placeOfClassDay(scope.class, scope.day),
    value: encodeCbor([certificate, before]),
  };
}

export function erasedTagRow(tag: Uint8Array, certificate: number, before: number): Row {
  return { table: TABLE.erased, key: placeOfTag(tag), value: encodeCbor([certificate, before]) };
}

function placeOfClassDay(retentionClass: string, day: number): string {
  return `day:${classDayKey(retentionClass, day)}`;
}

function placeOfTag(tag: Uint8Array): string {
  return `tag:${encodeHex(tag)}`;
}

/**
 * What covers an entry; `undefined` where nothing does. An entry that is covered may still open: if a duty to keep it
 * went on, it was sealed anew ({@link isSealedAnew}).
 */
export async function findErased(storage: LogStorage, index: number, leaf: Leaf): Promise<ErasedBy | undefined> {
  const tag = (leaf.subject ?? leaf.actor)?.tag;
  const places = [placeOfClassDay(leaf.class, dayOf(leaf.loggedAt)), ...(tag === undefined ? [] : [placeOfTag(tag)])];
  const [classDay, person] = await storage.getRows(TABLE.erased, places);
  for (const [kind, row] of [
    ["class-day", classDay],
    ["person", person],
  ] as const) {
    if (row === undefined) continue;
    const [certificate, before] = listOf(decodeCbor(row), "erased");
    if (index < numberOf(before, "erased before"))
      return { kind, certificate: numberOf(certificate, "erased certificate") };
  }
  return undefined;
}

/**
 * Whether a sealed row is not under the keys that were destroyed: under those of a hold instead of the class-day's, or
 * without the person's.
 *
 * @throws {LogError | EventError} It is no sealed row.
 */
export function isSealedAnew(row: Uint8Array, leaf: Leaf, kind: ErasedBy["kind"]): boolean {
  const { bytes, mask } = decodeSealedRow(row);
  return kind === "person" ? mask === null : decodeSealed(bytes).class !== leaf.class;
}
