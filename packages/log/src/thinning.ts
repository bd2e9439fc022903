/**
 * Which published heads are kept: with post-quantum cosignatures of three witnesses each has 13 kB, and a busy log
 * publishes five a second, or up to twenty where writers wait for them.
 *
 * All of the last ten minutes; then the last one of each minute, for a day; then the last one of each hour, for ever. The
 * newest head always stays, and so does one that ends with a partial tile which no later one has and which is not full
 * yet: at most one for 256 entries. What was dropped proves nothing that a later head does not prove: receipts hold the
 * heads that they were made under, and the log's own `log.head` entries those of each minute.
 */
import { TILE_WIDTH } from "@tallystick/core";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { decodeSignedHead } from "./heads.ts";
import { pause } from "./pause.ts";
import { TABLE } from "./rows.ts";
import { hashesAtLevel } from "./tree.ts";

const RULES = [
  { olderThanMs: 600_000, periodMs: 60_000 },
  { olderThanMs: 86_400_000, periodMs: 3_600_000 },
] as const;
/** Between two passes. */
const INTERVAL_MS = 60_000;
const KEYS_PER_WRITE = 256;

export interface ThinningOptions {
  readonly storage: LogStorage;
  /** Size of the published head. */
  readonly publishedSize: () => number;
  /** In ms since 1970. */
  readonly now: () => number;
}

/** Drops heads once a minute until the signal fires. @throws {StorageError} */
export async function thinHeads(options: ThinningOptions & { readonly signal: AbortSignal }): Promise<void> {
  const thinning = new Thinning(options);
  while (!options.signal.aborted) {
    await thinning.pass();
    await pause(INTERVAL_MS, options.signal);
  }
}

export class Thinning {
  readonly #options: ThinningOptions;
  /** By rule: the key up to which nothing is left to drop. */
  readonly #cursors: string[] = RULES.map(() => indexKey(0));

  constructor(options: ThinningOptions) {
    this.#options = options;
  }

  /** Drops what may be dropped by now; gives how many. The first pass reads all heads, later ones what came since. */
  async pass(): Promise<number> {
    let dropped = 0;
    for (const [at, rule] of RULES.entries()) dropped += await this.#apply(at, rule);
    return dropped;
  }

  /** A head is dropped when the next one is of the same period and has its partial tiles. */
  async #apply(at: number, { olderThanMs, periodMs }: (typeof RULES)[number]): Promise<number> {
    const { storage, publishedSize, now } = this.#options;
    const before = now() - olderThanMs;
    const drop: string[] = [];
    const published = publishedSize();
    let last: { readonly key: string; readonly size: number; readonly period: number } | undefined;
    const range = { gte: this.#cursors[at] ?? "", lte: indexKey(published) };
    for await (const { key, value } of storage.scanRows(TABLE.checkpoint, range)) {
      const { size, signedAt } = decodeSignedHead(value);
      const period = Math.floor(signedAt / periodMs);
      if (last?.period === period && isReplaced({ size: last.size, by: size, published })) drop.push(last.key);
      if (signedAt >= before) break;
      last = { key, size, period };
      this.#cursors[at] = key;
    }
    for (let from = 0; from < drop.length; from += KEYS_PER_WRITE)
      await storage.deleteRows(TABLE.checkpoint, drop.slice(from, from + KEYS_PER_WRITE));
    return drop.length;
  }
}

/** Whether each partial tile that the tree of `size` ends with is full by now, or one of the other tree too. */
function isReplaced({ size, by, published }: Readonly<Record<"size" | "by" | "published", number>>): boolean {
  for (let level = 0; hashesAtLevel(size, level) > 0; level += 1) {
    const hashes = hashesAtLevel(size, level);
    const fullAt = Math.ceil(hashes / TILE_WIDTH) * TILE_WIDTH;
    const isThere = hashesAtLevel(by, level) === hashes || hashesAtLevel(published, level) >= fullAt;
    if (!isThere) return false;
  }
  return true;
}
