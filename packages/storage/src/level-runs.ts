/**
 * Runs of rows in LevelDB: few large values in place of many small ones.
 *
 * A run is cut at each multiple of 256 and into pieces of up to 16 KiB, so that damage to one hides few rows; each lies
 * under the key of its first row, among those of its group. So the piece that has a row is the last one that begins at or
 * before it, in the same window of 256. A row that was written by itself lies over the run.
 */
import { decodeRowOfRun, decodeRun, encodeRun } from "./run-codec.ts";
import { compareUtf8 } from "./compare-utf8.ts";
import { StorageError } from "./error.ts";
import { indexKey, parseIndexKey } from "./index-key.ts";
import { GROUPS, type Group, type LevelOrder, RUNS, endOf, groupsIn } from "./level-order.ts";
import type { Run, ScanRange, StoredRow } from "./storage.ts";

/** What this needs of the database below: values are checked, keys are the database's own. */
export interface RunStore {
  /** The first values of a range of keys in their order, or in the reverse one. */
  entries(range: ScanRange): AsyncIterable<readonly [key: string, value: Uint8Array]>;
  keys(range: ScanRange): AsyncIterable<string>;
  /** @throws {StorageError} `storage-corrupt` */
  value(key: string): Promise<Uint8Array | undefined>;
}

/** A value to write under a key of the database's own. */
export interface Piece {
  readonly key: string;
  readonly value: Uint8Array | null;
}

const WINDOW = 256;
const PIECE_BYTES_MAX = 16_384;
/** Digits of an index key that name its window. */
const WINDOW_DIGITS = 12;
const INDEX_KEY_DIGITS = 14;
/** Of which is known where their pieces begin: four million rows, in some megabytes. */
const KNOWN_WINDOWS_MAX = 16_384;
/** Of a safe integer: 2^53 - 1 is 1fffffffffffff. */
const INDEX_KEY = /^[01][0-9a-f]{13}$/;

/** The pieces that a run is kept in. */
export function piecesOf({ table, first, values }: Run, order: LevelOrder): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  while (from < values.length) {
    const end = Math.min(values.length, from + WINDOW - ((first + from) % WINDOW));
    let to = from + 1;
    let bytes = values[from]?.length ?? 0;
    while (to < end && bytes + (values[to]?.length ?? 0) <= PIECE_BYTES_MAX) bytes += values[to++]?.length ?? 0;
    pieces.push({ key: order.pieceKey(table, indexKey(first + from)), value: encodeRun(values.slice(from, to)) });
    from = to;
  }
  return pieces;
}

/** Which tables have runs, and what is in these. */
export class LevelRuns {
  readonly #store: RunStore;
  readonly #order: LevelOrder;
  readonly #tables: Set<string>;
  /** Those whose name this process wrote. */
  readonly #named = new Set<string>();
  /** By table and window: where pieces begin that were found before, as they were found. */
  #starts = new Map<string, readonly string[]>();

  private constructor(store: RunStore, order: LevelOrder, tables: Set<string>) {
    this.#store = store;
    this.#order = order;
    this.#tables = tables;
  }

  /** Looks which tables have runs: by their names, and by the oldest and the newest pieces, since damage may hide a name. */
  static async open(store: RunStore, order: LevelOrder): Promise<LevelRuns> {
    const tables = new Set<string>();
    for await (const key of store.keys({ gte: RUNS, lt: endOf(RUNS) })) tables.add(key.slice(RUNS.length));
    for (const reverse of [false, true]) {
      const [key] = await collect(store.keys({ gte: GROUPS, lt: endOf(GROUPS), reverse, limit: 1 }));
      if (key === undefined) continue;
      for await (const table of tablesOf(order.pieces(order.groupOfKey(key)), store)) tables.add(table);
    }
    return new LevelRuns(store, order, tables);
  }

  has(table: string): boolean {
    return this.#tables.has(table);
  }

  /** From now on these tables have runs. Gives what has to be written with their pieces, so that who opens the store knows. */
  add(runs: readonly Run[]): Piece[] {
    const unnamed = runs.map(({ table }) => table).filter((table) => !this.#named.has(table));
    for (const table of unnamed) {
      this.#named.add(table);
      this.#tables.add(table);
    }
    return unnamed.map((table) => ({ key: RUNS + table, value: new Uint8Array() }));
  }

  /** The row, or `undefined` where no run has it. */
  async get(table: string, key: string): Promise<Uint8Array | undefined> {
    return (await this.#fromKnownPiece(table, key)) ?? (await this.#pieceWith(table, key))?.valueOf(key);
  }

  /**
   * From the piece in which it should be by what is known: a single look-up in place of a search. No row is in two
   * pieces; what is not found there, or is damaged, is left to the search.
   */
  async #fromKnownPiece(table: string, key: string): Promise<Uint8Array | undefined> {
    let start: string | undefined;
    for (const known of this.#starts.get(windowOf(table, key)) ?? [])
      if (known <= key && (start === undefined || known > start)) start = known;
    if (start === undefined) return undefined;
    try {
      const piece = this.#order.pieceKey(table, start);
      const value = await this.#store.value(piece);
      return value === undefined ? undefined : new OpenPiece(piece, value).valueOf(key);
    } catch {
      return undefined;
    }
  }

  #remember(table: string, piece: string): void {
    const start = piece.slice(-INDEX_KEY_DIGITS);
    const known = this.#starts.get(windowOf(table, start)) ?? [];
    if (known.includes(start)) return;
    if (this.#starts.size >= KNOWN_WINDOWS_MAX) this.#starts = new Map();
    this.#starts.set(windowOf(table, start), [...known, start]);
  }

  /** The rows in the order of `keys`. */
  async getMany(table: string, keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const windows = new Map<string, string[]>();
    for (const key of keys) {
      if (!INDEX_KEY.test(key)) continue;
      const window = key.slice(0, WINDOW_DIGITS);
      const wanted = windows.get(window);
      if (wanted === undefined) windows.set(window, [key]);
      else wanted.push(key);
    }
    const found = new Map<string, Uint8Array | undefined>();
    for (const wanted of windows.values()) await this.#findIn(table, wanted, found);
    return keys.map((key) => found.get(key));
  }

  /** Finds keys of one window. */
  async #findIn(table: string, keys: readonly string[], found: Map<string, Uint8Array | undefined>): Promise<void> {
    const [only] = keys;
    if (keys.length === 1 && only !== undefined) {
      found.set(only, await this.get(table, only));
      return;
    }
    const last = keys.reduce((a, b) => (a > b ? a : b));
    const first = keys.reduce((a, b) => (a < b ? a : b));
    const wanted = new Set(keys);
    for await (const { key, value } of this.scan(table, { gte: first, lte: last })) {
      if (wanted.has(key)) found.set(key, value);
    }
  }

  /** The rows of a range in their order, as `store` has them. */
  async *scan(table: string, range: ScanRange, store: RunStore = this.#store): AsyncGenerator<StoredRow> {
    const { reverse = false, limit = Infinity } = range;
    const { first, last } = indexesIn(range);
    let left = limit;
    if (left <= 0 || first > last) return;
    const [firstKey, lastKey] = [indexKey(first), indexKey(last)];
    for await (const group of groupsIn({ first, last, reverse }, this.#order, (keys) => store.keys(keys))) {
      const gte = await this.#startOf(table, indexKey(Math.max(first, group.first)), store);
      const lte = this.#order.pieceKey(table, indexKey(Math.min(last, group.last)));
      for await (const [key, value] of this.#entries(table, { gte, lte, reverse }, store)) {
        const rows = new OpenPiece(key, value).rows();
        for (const row of reverse ? rows.reverse() : rows) {
          if (row.key < firstKey || row.key > lastKey) continue;
          yield row;
          left -= 1;
          if (left <= 0) return;
        }
      }
    }
  }

  /** Of the piece that has a row, if one has it: no later piece has it. */
  async #startOf(table: string, key: string, store: RunStore): Promise<string> {
    const end = this.#order.pieceKey(table, key);
    if (key === windowStart(key)) return end;
    const range = { gte: this.#order.pieceKey(table, windowStart(key)), lte: end, reverse: true, limit: 1 };
    const [start = end] = await collect(store.keys(range));
    return start;
  }

  /** What has to be written so that runs do not have these rows any more. */
  async without(table: string, keys: readonly string[]): Promise<Piece[]> {
    const touched = new Map<string, OpenPiece>();
    for (const key of keys) {
      const piece = await this.#pieceWith(table, key);
      if (piece?.valueOf(key) === undefined) continue;
      touched.set(piece.key, touched.get(piece.key) ?? piece);
      touched.get(piece.key)?.remove(key);
    }
    return [...touched.values()].map((piece) => piece.encode());
  }

  async #pieceWith(table: string, key: string): Promise<OpenPiece | undefined> {
    if (!INDEX_KEY.test(key)) return undefined;
    const [gte, lte] = [this.#order.pieceKey(table, windowStart(key)), this.#order.pieceKey(table, key)];
    const [piece] = await collect(this.#entries(table, { gte, lte, reverse: true, limit: 1 }, this.#store));
    if (piece === undefined) return undefined;
    this.#remember(table, piece[0]);
    return new OpenPiece(...piece);
  }

  /** Pieces, as {@link RunStore.entries} gives them. @throws {StorageError} `storage-corrupt`: as {@link LevelRuns.#damaged} says. */
  async *#entries(
    table: string,
    range: ScanRange,
    store: RunStore,
  ): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    try {
      yield* store.entries(range);
    } catch (cause) {
      throw await this.#damaged(table, cause, store);
    }
  }

  /** The error for a damaged piece: it names the rows that the piece may have had, so that a reader can go on behind them. */
  async #damaged(table: string, cause: unknown, store: RunStore): Promise<unknown> {
    const first = cause instanceof StorageError ? cause.details["key"] : undefined;
    if (!(cause instanceof StorageError) || typeof first !== "string" || !INDEX_KEY.test(first)) return cause;
    const end = windowEnd(first);
    const [gt, lte] = [this.#order.pieceKey(table, first), this.#order.pieceKey(table, end)];
    const [next] = await collect(store.keys({ gt, lte, limit: 1 }));
    const key = next === undefined ? end : indexKey(parseIndexKey(next.slice(-INDEX_KEY_DIGITS)) - 1);
    const message = `${cause.message} (a run of rows, up to key "${key}" at most)`;
    return new StorageError(cause.code, message, { cause, details: { table, key, firstKey: first } });
  }
}

/** The tables whose pieces lie below a prefix. */
async function* tablesOf(prefix: string, store: RunStore): AsyncGenerator<string> {
  for (let gte = prefix; ;) {
    const [key] = await collect(store.keys({ gte, lt: endOf(prefix), limit: 1 }));
    if (key === undefined) return;
    const [table = ""] = key.slice(prefix.length).split("/");
    yield table;
    gte = `${prefix}${table}0`;
  }
}

/** A piece as read. */
class OpenPiece {
  readonly key: string;
  readonly #first: number;
  readonly #bytes: Uint8Array;
  #decoded: (Uint8Array | undefined)[] | undefined;

  constructor(key: string, bytes: Uint8Array) {
    this.key = key;
    this.#first = parseIndexKey(key.slice(-INDEX_KEY_DIGITS));
    this.#bytes = bytes;
  }

  get #values(): (Uint8Array | undefined)[] {
    return (this.#decoded ??= [...decodeRun(this.#bytes)]);
  }

  valueOf(key: string): Uint8Array | undefined {
    const at = parseIndexKey(key) - this.#first;
    return this.#decoded === undefined ? decodeRowOfRun(this.#bytes, at) : this.#decoded[at];
  }

  remove(key: string): void {
    this.#values[parseIndexKey(key) - this.#first] = undefined;
  }

  rows(): StoredRow[] {
    return this.#values.flatMap((value, at) =>
      value === undefined ? [] : [{ key: indexKey(this.#first + at), value }],
    );
  }

  /** `null` where nothing is left of it. */
  encode(): Piece {
    const isEmpty = this.#values.every((value) => value === undefined);
    return { key: this.key, value: isEmpty ? null : encodeRun(this.#values) };
  }
}

/** Two sources of rows as one, in their common order. Where both have a key, the row of the first one counts. */
export async function* mergeRows<T extends { readonly key: string }>(
  over: AsyncIterable<T>,
  under: AsyncIterable<T>,
  { reverse = false, limit = Infinity }: Pick<ScanRange, "reverse" | "limit">,
): AsyncGenerator<T> {
  const sources = [over[Symbol.asyncIterator](), under[Symbol.asyncIterator]()] as const;
  try {
    let [upper, lower] = [await sources[0].next(), await sources[1].next()];
    for (let left = limit; left > 0 && !(upper.done === true && lower.done === true); left -= 1) {
      const order = upper.done === true ? 1 : lower.done === true ? -1 : compareUtf8(upper.value.key, lower.value.key);
      const side = reverse && upper.done !== true && lower.done !== true ? -order : order;
      const row = side <= 0 ? upper : lower;
      if (row.done !== true) yield row.value;
      if (order === 0 || side < 0) upper = await sources[0].next();
      if (order === 0 || side > 0) lower = await sources[1].next();
    }
  } finally {
    for (const source of sources) await source.return?.();
  }
}

/** What tells the window of a key from all others. */
function windowOf(table: string, key: string): string {
  return `${table}/${key.slice(0, WINDOW_DIGITS)}`;
}

function windowStart(key: string): string {
  return `${key.slice(0, WINDOW_DIGITS)}00`;
}

function windowEnd(key: string): string {
  return `${key.slice(0, WINDOW_DIGITS)}ff`;
}

/** The first and the last index whose key is in a range; none is where the first one comes after the last. */
function indexesIn({ gt, gte, lt, lte }: ScanRange): Group {
  return {
    first: Math.max(gte === undefined ? 0 : countBelow(gte), gt === undefined ? 0 : countUpTo(gt)),
    last: Math.min(
      lt === undefined ? Number.MAX_SAFE_INTEGER : countBelow(lt) - 1,
      lte === undefined ? Number.MAX_SAFE_INTEGER : countUpTo(lte) - 1,
    ),
  };
}

/** How many indexes have keys below a text. Index keys against any text: both orders agree where one side is ASCII. */
function countBelow(text: string): number {
  if (INDEX_KEY.test(text)) return parseIndexKey(text);
  let [low, high] = [0, Number.MAX_SAFE_INTEGER + 1];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (indexKey(middle) < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

function countUpTo(text: string): number {
  return countBelow(text) + (INDEX_KEY.test(text) ? 1 : 0);
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
}
