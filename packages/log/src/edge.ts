/**
 * The partial tile at the right edge of a level, as rows: a row for each sixteen hashes, so that a commit of one entry
 * writes the quarter kilobyte around it. The whole tile, 4 kB on average, was three quarters of all that such a commit
 * wrote. docs/decisions/0070-what-a-small-commit-writes.md
 */
import { HASH_BYTES, TILE_WIDTH, concatBytes, equalBytes } from "@tallystick/core";
import { type CborValue, EventError, decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { bytesOf, corrupt, listOf, numberOf } from "./heads.ts";
import { TABLE } from "./rows.ts";
import { type Tree, hashesAtLevel } from "./tree.ts";

const PIECE_HASHES = 16;
const PIECE_BYTES = PIECE_HASHES * HASH_BYTES;
const PIECES = TILE_WIDTH / PIECE_HASHES;
/** A tree of 2^53 leaves has seven tile levels. */
const KEY = /^([0-6])(?:\/[\da-f])?$/;

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

/** A row that is there. */
export interface EdgeRow extends Row {
  readonly value: Uint8Array;
}

/**
 * What to write where a level has this edge from now on.
 *
 * @param before - The edge that its rows have. Without it all of them are written, or taken away: whatever is there.
 */
export function edgeRows(level: number, edge: Edge, before?: Edge): Row[] {
  const isSame = before?.index === edge.index;
  const rows: Row[] = edgePieces(level, edge, isSame ? Math.floor(before.hashes.length / PIECE_BYTES) : 0);
  const countBefore = before === undefined ? PIECES : pieceCount(before);
  for (let at = pieceCount(edge); at < countBefore; at += 1)
    rows.push({ table: TABLE.edge, key: pieceKey(level, at), value: null });
  if (before === undefined) rows.push({ table: TABLE.edge, key: formerKey(level), value: null });
  return rows;
}

/** All rows of an edge, or those from the `first` on. */
export function edgePieces(level: number, { index, hashes }: Edge, first = 0): EdgeRow[] {
  const rows: EdgeRow[] = [];
  for (let at = first; at * PIECE_BYTES < hashes.length; at += 1) {
    const piece = hashes.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES);
    rows.push({ table: TABLE.edge, key: pieceKey(level, at), value: encodeCbor([index, piece]) });
  }
  return rows;
}

/** The one row that an edge has in earlier versions, though it be empty. */
export function formerEdgeRow(level: number, { index, hashes }: Edge): EdgeRow {
  return { table: TABLE.edge, key: formerKey(level), value: encodeCbor([index, hashes]) };
}

/** Under which keys {@link edgeFrom} finds an edge. */
export function edgeKeys(level: number): string[] {
  return [formerKey(level), ...Array.from({ length: PIECES }, (_, at) => pieceKey(level, at))];
}

/** @throws {LogError} `log-corrupt` */
export async function readEdge(storage: LogStorage, level: number): Promise<Edge | undefined> {
  return edgeFrom(await storage.getRows(TABLE.edge, edgeKeys(level)));
}

/**
 * The edge of a level from what is stored under {@link edgeKeys}, or as much of it as fits together: of rows that are read one
 * by one while the log goes on, those behind are newer.
 *
 * @throws {LogError} `log-corrupt`
 */
export function edgeFrom(rows: readonly (Uint8Array | undefined)[]): Edge | undefined {
  const [former, ...pieces] = rows.map((row, at) =>
    row === undefined ? undefined : decodeRow(row, at === 0 ? TILE_WIDTH - 1 : PIECE_HASHES),
  );
  const [first] = pieces;
  if (first === undefined) return former;
  const parts: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece?.index !== first.index) break;
    parts.push(piece.hashes);
    if (piece.hashes.length < PIECE_BYTES) break;
  }
  return { index: first.index, hashes: concatBytes(...parts) };
}

/** Whether a log of that size has this edge at a level, with no hash less and none more. */
export function isEdgeAt({ index, hashes }: Edge, level: number, size: number): boolean {
  const count = hashesAtLevel(size, level);
  const width = count % TILE_WIDTH;
  return count > 0 && index === Math.floor(count / TILE_WIDTH) && hashes.length === width * HASH_BYTES;
}

/**
 * Whether a level has the rows of an edge and no other: in pieces, or as earlier versions have it.
 *
 * @param stored - By their keys.
 */
export function isStoredAs(level: number, edge: Edge, stored: ReadonlyMap<string, Uint8Array>): boolean {
  return [edgePieces(level, edge), [formerEdgeRow(level, edge)]].some(
    (rows) => rows.length === stored.size && rows.every(({ key, value }) => isThere(stored.get(key), value)),
  );
}

function isThere(stored: Uint8Array | undefined, value: Uint8Array): boolean {
  return stored !== undefined && equalBytes(stored, value);
}

/** To which level a row of the table belongs; `undefined` for a key that is none. */
export function levelOfKey(key: string): number | undefined {
  const [, level] = KEY.exec(key) ?? [];
  return level === undefined ? undefined : Number(level);
}

function pieceCount({ hashes }: Edge): number {
  return Math.ceil(hashes.length / PIECE_BYTES);
}

function pieceKey(level: number, at: number): string {
  return `${level}/${at.toString(16)}`;
}

function formerKey(level: number): string {
  return String(level);
}

function decodeRow(row: Uint8Array, hashesMax: number): Edge {
  const [index, hashes] = listOf(decoded(row), "edge");
  const bytes = bytesOf(hashes, "edge hashes");
  if (bytes.length % HASH_BYTES !== 0 || bytes.length > hashesMax * HASH_BYTES)
    throw corrupt(`edge: ${bytes.length} bytes, which are no hashes of a row`);
  return { index: numberOf(index, "edge index"), hashes: bytes };
}

function decoded(row: Uint8Array): CborValue {
  try {
    return decodeCbor(row);
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    throw corrupt(`edge: ${error.message}`);
  }
}
