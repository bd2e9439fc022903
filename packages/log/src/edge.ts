/**
 * The partial tile at the right edge of a level, as rows: a row for each sixteen hashes, so that a commit of one entry
 * writes the quarter kilobyte around it. The whole tile, 4 kB on average, was three quarters of all that such a commit
 * wrote. docs/decisions/0070-what-a-small-commit-writes.md
 */
import { HASH_BYTES, TILE_WIDTH, concatBytes } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { Row } from "@tallystick/storage";
import { bytesOf, corrupt, listOf, numberOf } from "./heads.ts";
import { TABLE } from "./rows.ts";
import { type Tree, hashesAtLevel } from "./tree.ts";

const PIECE_HASHES = 16;
const PIECE_BYTES = PIECE_HASHES * HASH_BYTES;
const PIECES = TILE_WIDTH / PIECE_HASHES;

/** A tile that is not full yet. */
export interface Edge {
  /** On its level. */
  readonly index: number;
  /** One after the other. */
  readonly hashes: Uint8Array;
}

export function edgeOf({ range, edge }: Tree, level: number): Edge {
  return { index: hashesAtLevel(range.size, level + 1), hashes: edge[level] ?? new Uint8Array() };
}

/**
 * What to write where a level has this edge from now on.
 *
 * @param before - The edge that its rows have. Without it all of them are written, or taken away: whatever is there.
 */
export function edgeRows(level: number, { index, hashes }: Edge, before?: Edge): Row[] {
  const isSame = before?.index === index;
  const count = piecesOf(hashes);
  const rows: Row[] = [];
  for (let at = isSame ? Math.floor(before.hashes.length / PIECE_BYTES) : 0; at < count; at += 1) {
    const piece = hashes.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES);
    rows.push({ table: TABLE.edge, key: pieceKey(level, at), value: encodeCbor([index, piece]) });
  }
  const countBefore = before === undefined ? PIECES : piecesOf(before.hashes);
  for (let at = count; at < countBefore; at += 1)
    rows.push({ table: TABLE.edge, key: pieceKey(level, at), value: null });
  if (before === undefined) rows.push({ table: TABLE.edge, key: wholeKey(level), value: null });
  return rows;
}

/** Under which keys {@link edgeFrom} finds an edge. */
export function edgeKeys(level: number): string[] {
  return [wholeKey(level), ...Array.from({ length: PIECES }, (_, at) => pieceKey(level, at))];
}

/**
 * The edge of a level from what is stored under {@link edgeKeys}, or as much of it as fits together: of rows that are read one
 * by one while the log goes on, those behind are newer.
 *
 * @throws {LogError | EventError} `log-corrupt`, `cbor-malformed`
 */
export function edgeFrom(rows: readonly (Uint8Array | undefined)[]): Edge | undefined {
  const [whole, ...pieces] = rows.map((row) => (row === undefined ? undefined : decodeRow(row)));
  const [first] = pieces;
  if (first === undefined) return whole;
  const parts: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece?.index !== first.index) break;
    parts.push(piece.hashes);
    if (piece.hashes.length < PIECE_BYTES) break;
  }
  return { index: first.index, hashes: concatBytes(...parts) };
}

/** Whether these are the rows of an edge, and all of them: in pieces, or as earlier versions have it. By key. */
export function isStoredAs(level: number, edge: Edge, stored: ReadonlyMap<string, Uint8Array>): boolean {
  if (stored.size === 1 && stored.has(wholeKey(level))) return true;
  const pieces = edgeRows(level, edge).filter(({ value }) => value !== null);
  return stored.size === pieces.length && pieces.every(({ key }) => stored.has(key));
}

/** To which level a row of the table belongs; `undefined` for a key that is none. */
export function levelOfKey(key: string): number | undefined {
  const [, level] = /^(0|[1-9]\d?)(?:\/[\da-f])?$/.exec(key) ?? [];
  return level === undefined ? undefined : Number(level);
}

function piecesOf(hashes: Uint8Array): number {
  return Math.ceil(hashes.length / PIECE_BYTES);
}

function pieceKey(level: number, at: number): string {
  return `${level}/${at.toString(16)}`;
}

/** Where earlier versions have the whole of it. */
function wholeKey(level: number): string {
  return String(level);
}

function decodeRow(row: Uint8Array): Edge {
  const [index, hashes] = listOf(decodeCbor(row), "edge");
  const bytes = bytesOf(hashes, "edge hashes");
  if (bytes.length % HASH_BYTES !== 0) throw corrupt(`edge: ${bytes.length} bytes`);
  return { index: numberOf(index, "edge index"), hashes: bytes };
}
