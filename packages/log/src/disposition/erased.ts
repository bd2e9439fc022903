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

/** @throws {LogError | EventError} It is no such row. */
export function decodeErased(row: Uint8Array): { readonly certificate: number; readonly before: number } {
  const [certificate, before] = listOf(decodeCbor(row), "erased");
  return { certificate: numberOf(certificate, "erased certificate"), before: numberOf(before, "erased before") };
}

/** Of each class-day, whether it is destroyed, or ordered to be. */
export async function areErased(
  storage: LogStorage,
  classDays: readonly { readonly class: string; readonly day: number }[],
): Promise<boolean[]> {
  const places = classDays.map(({ class: retentionClass, day }) => placeOfClassDay(retentionClass, day));
  return (await storage.getRows(TABLE.erased, places)).map((row) => row !== undefined);
}

/** What stands before the key of a class-day. */
export const CLASS_DAY_PLACE = "day:";

function placeOfClassDay(retentionClass: string, day: number): string {
  return `${CLASS_DAY_PLACE}${classDayKey(retentionClass, day)}`;
}

function placeOfTag(tag: Uint8Array): string {
  return `tag:${encodeHex(tag)}`;
}

/** Of a sealed row: of which class-day's key, and whether of a person's too. */
interface SealedUnder {
  readonly class: string;
  readonly day: number;
  readonly hasPerson: boolean;
}

/**
 * What destroyed an entry's contents; `undefined` where nothing did. An entry that was sealed anew before, for a hold or
 * a duty, is not destroyed with the keys that it was sealed under first, but with those that it is under now.
 *
 * @param row - Its sealed row; `undefined` where there is none any more.
 * @throws {LogError | EventError} It is no sealed row.
 */
export async function findErased(
  storage: LogStorage,
  { index, leaf, row }: { readonly index: number; readonly leaf: Leaf; readonly row: Uint8Array | undefined },
): Promise<ErasedBy | undefined> {
  const first = { class: leaf.class, day: dayOf(leaf.loggedAt), hasPerson: true };
  const under = row === undefined ? first : sealedUnder(row);
  const tag = under.hasPerson ? (leaf.subject ?? leaf.actor)?.tag : undefined;
  const classDay = placeOfClassDay(under.class, under.day);
  const rows = await storage.getRows(TABLE.erased, [classDay, ...(tag === undefined ? [] : [placeOfTag(tag)])]);
  for (const [at, kind] of (["class-day", "person"] as const).entries()) {
    const found = rows[at];
    if (found === undefined) continue;
    const { certificate, before } = decodeErased(found);
    if (index < before) return { kind, certificate };
  }
  return undefined;
}

/**
 * What destroyed the key of a person's tag in a leaf, whoever its contents are about: also where these open, since a duty
 * keeps them or they are about another.
 */
export async function findErasedTag(
  storage: LogStorage,
  { index, leaf }: { readonly index: number; readonly leaf: Leaf },
): Promise<ErasedBy | undefined> {
  const tags = [leaf.subject, leaf.actor].flatMap((chain) => (chain === null ? [] : [placeOfTag(chain.tag)]));
  if (tags.length === 0) return undefined;
  for (const found of await storage.getRows(TABLE.erased, tags)) {
    if (found === undefined) continue;
    const { certificate, before } = decodeErased(found);
    if (index < before) return { kind: "person", certificate };
  }
  return undefined;
}

function sealedUnder(row: Uint8Array): SealedUnder {
  const { bytes, mask } = decodeSealedRow(row);
  const { class: retentionClass, day } = decodeSealed(bytes);
  return { class: retentionClass, day, hasPerson: mask !== null };
}
