/**
 * Where values lie in LevelDB's order of keys. docs/decisions/0067-what-is-new-lies-together.md
 *
 * LevelDB keeps what it has in sorted files, and merges a file of new values with all files whose keys lie between its
 * first one and its last. So what is new lies together: on the left ids, which grow towards the middle; in the middle
 * what is small or has no order; on the right entries and their tiles, in groups of which the newest comes first.
 */
import { parseIndexKey } from "./index-key.ts";
import type { HeadName } from "./storage.ts";

/** Indexes whose pieces and tiles lie together. */
export interface Group {
  readonly first: number;
  readonly last: number;
}

/** A range of LevelDB's keys. */
export interface KeyRange {
  readonly gte: string;
  readonly lt: string;
}

export interface LevelOrder {
  headKey(name: HeadName): string;
  /** Of a row that was written by itself. */
  rowKey(table: string, key: string): string;
  blobKey(key: string): string;
  /** Of the piece of a run that begins with the row under this index key. */
  pieceKey(table: string, key: string): string;
  groupOf(index: number): Group;
  /** The group that a key below {@link GROUPS} is in. */
  groupOfKey(key: string): Group;
  /** Where all groups after this one lie, or all before it. */
  keysBeyond(group: Group, which: "after" | "before"): KeyRange;
  /** What the keys of a group's pieces begin with, before their table. */
  pieces(group: Group): string;
  /** What the keys of a group's blobs begin with. */
  blobs(group: Group): string;
}

/** Below it lie all groups. */
export const GROUPS = "s/";
/** Below it lie the names of the tables that have runs. */
export const RUNS = "runs/";

/** Entries of a group: some megabytes. Each scan begins anew with each group; a merge that touches a group touches all of it. */
const GROUP_ENTRIES = 4096;
const GROUP_DIGITS = 11;
const LAST_GROUP = 16 ** GROUP_DIGITS - 1;
/** The table whose keys grow: those of ids begin with their times. */
const GROWING_TABLE = "id";
/** Tiles of the lowest level, of which each is of so many entries. They lie with these. */
export const LOWEST_TILES = "tile/0/";
const LOWEST_TILE = /^tile\/0\/([0-9a-f]{14})$/;
const TILE_ENTRIES = 256;

export const LEVEL_ORDER: LevelOrder = {
  headKey: (name) => `head/${name}`,
  rowKey: (table, key) => (table === GROWING_TABLE ? `a/${table}/${key}` : `r/${table}/${key}`),
  blobKey(key) {
    const [, tile] = LOWEST_TILE.exec(key) ?? [];
    const first = tile === undefined ? Infinity : Number.parseInt(tile, 16) * TILE_ENTRIES;
    return Number.isSafeInteger(first) ? `${groupPrefix(first)}b/${key}` : `b/${key}`;
  },
  pieceKey: (table, key) => `${groupPrefix(parseIndexKey(key))}r/${table}/${key}`,
  groupOf(index) {
    const first = index - (index % GROUP_ENTRIES);
    return { first, last: first + GROUP_ENTRIES - 1 };
  },
  groupOfKey(key) {
    const number = LAST_GROUP - Number.parseInt(key.slice(GROUPS.length, GROUPS.length + GROUP_DIGITS), 16);
    return LEVEL_ORDER.groupOf(number * GROUP_ENTRIES);
  },
  keysBeyond({ first }, which) {
    const prefix = groupPrefix(first);
    return which === "after" ? { gte: GROUPS, lt: prefix } : { gte: endOf(prefix), lt: endOf(GROUPS) };
  },
  pieces: ({ first }) => `${groupPrefix(first)}r/`,
  blobs: ({ first }) => `${groupPrefix(first)}b/`,
};

/** Of stores that were made before there were groups: all of them is one. */
export const FORMER_ORDER: LevelOrder = {
  headKey: (name) => `h/${name}`,
  rowKey: (table, key) => `r/${table}/${key}`,
  blobKey: (key) => `b/${key}`,
  pieceKey: (table, key) => `${GROUPS}${table}/${key}`,
  groupOf: () => ({ first: 0, last: Number.MAX_SAFE_INTEGER }),
  groupOfKey: () => FORMER_ORDER.groupOf(0),
  keysBeyond: () => ({ gte: GROUPS, lt: GROUPS }),
  pieces: () => GROUPS,
  // No table has no name.
  blobs: () => `${GROUPS}/`,
};

/** The newest group first. */
function groupPrefix(index: number): string {
  const fromLast = LAST_GROUP - Math.floor(index / GROUP_ENTRIES);
  return `${GROUPS}${fromLast.toString(16).padStart(GROUP_DIGITS, "0")}/`;
}

/** Those that have one of the indexes, in their order: as many steps as there are groups. */
export async function* groupsIn(
  { first, last, reverse = false }: Group & { readonly reverse?: boolean },
  order: LevelOrder,
  keys: (range: KeyRange & { readonly reverse: boolean; readonly limit: number }) => AsyncIterable<string>,
): AsyncGenerator<Group> {
  let group = order.groupOf(reverse ? last : first);
  while (group.first <= last && group.last >= first) {
    yield group;
    if (reverse ? group.first <= first : group.last >= last) return;
    const beyond = order.keysBeyond(group, reverse ? "before" : "after");
    let next: string | undefined;
    for await (const key of keys({ ...beyond, reverse: !reverse, limit: 1 })) next = key;
    if (next === undefined) return;
    group = order.groupOfKey(next);
  }
}

/** What a key of either order is of. */
export type Place =
  | { readonly kind: "head"; readonly name: string }
  | { readonly kind: "blob"; readonly key: string }
  | { readonly kind: "row"; readonly table: string; readonly key: string };

export function placeOf(stored: string): Place {
  const [kind = "", ...rest] = stored.replace(GROUP, "").split("/");
  if (kind === "b") return { kind: "blob", key: rest.join("/") };
  if (kind === "h" || kind === "head") return { kind: "head", name: rest.join("/") };
  const [table = "", ...key] = rest;
  return { kind: "row", table, key: key.join("/") };
}

const GROUP = /^s\/[0-9a-f]{11}\/(?=[rb]\/)/;

/** What follows all keys that begin with a prefix, which ends in "/". */
export function endOf(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}
