/** Which published heads are kept. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { tilePath, tilesForSize } from "@tallystick/core";
import { type LogStorage, createMemoryStorage, indexKey, parseIndexKey } from "@tallystick/storage";
import { encodeSignedHead } from "../src/heads.ts";
import { TABLE } from "../src/rows.ts";
import { Thinning } from "../src/thinning.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const START_MS = 1_760_000_000_000;

interface Head {
  readonly size: number;
  readonly signedAt: number;
}

/** The heads that end a period: those that stay whatever else there is. */
function endsOfPeriods(heads: readonly Head[], nowMs: number): Head[] {
  return heads.filter(({ signedAt }, at) => {
    const next = heads[at + 1];
    if (next === undefined || signedAt >= nowMs - 10 * MINUTE_MS) return true;
    const period = signedAt >= nowMs - DAY_MS ? MINUTE_MS : HOUR_MS;
    return Math.floor(next.signedAt / period) !== Math.floor(signedAt / period);
  });
}

const pathsOf = (size: number): string[] => tilesForSize(size).map(tilePath);
/** Of the tiles that heads of these sizes end with, those that are partial and not full in the tree of `published`. */
function partialPaths(sizes: readonly number[], published: number): Set<string> {
  const full = new Set(pathsOf(published));
  const partial = sizes.flatMap(pathsOf).filter((path) => path.includes(".p/"));
  return new Set(partial.filter((path) => !full.has(path.replace(/\.p\/.*/, ""))));
}

const gap = fc.oneof(fc.nat(2000), fc.nat(2 * MINUTE_MS), fc.nat(3 * HOUR_MS), fc.nat(2 * DAY_MS));
const growth = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9000 }));
const round = fc.record({ heads: fc.array(fc.tuple(gap, growth), { maxLength: 40 }), waitMs: gap });

test("C-101 all heads of ten minutes stay, one a minute of a day, one an hour of the time before, and what partial tiles need", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const storage = createMemoryStorage();
      const heads: Head[] = [];
      let nowMs = START_MS;
      const publishedSize = (): number => heads.at(-1)?.size ?? 0;
      const options = { storage, now: () => nowMs, publishedSize };
      const thinning = new Thinning(options);
      for (const { heads: published, waitMs } of rounds) {
        for (const [gapMs, entries] of published) {
          nowMs += gapMs;
          const head = { size: publishedSize() + entries, signedAt: nowMs, rootHash: new Uint8Array(32), note: "note" };
          heads.push(head);
          const key = indexKey(head.size);
          await storage.putRows([{ table: TABLE.checkpoint, key, value: encodeSignedHead(head) }]);
        }
        nowMs += waitMs;
        await thinning.pass();
      }
      const kept = await keptSizes(storage);
      const sizes = heads.map(({ size }) => size);
      expect(partialPaths(kept, publishedSize())).toEqual(partialPaths(sizes, publishedSize()));
      expect(kept).toEqual(expect.arrayContaining(endsOfPeriods(heads, nowMs).map(({ size }) => size)));
      // A pass that begins anew leaves no head that neither ends a period nor has a partial tile for itself.
      await new Thinning(options).pass();
      const left = await keptSizes(storage);
      const ends = new Set(endsOfPeriods(heads, nowMs).map(({ size }) => size));
      for (const [at, size] of left.entries()) {
        const own = partialPaths([size], publishedSize());
        const next = partialPaths(left.slice(at + 1, at + 2), publishedSize());
        expect(ends.has(size) || [...own].some((path) => !next.has(path))).toBe(true);
      }
      expect(partialPaths(left, publishedSize())).toEqual(partialPaths(sizes, publishedSize()));
    }),
  );
});

async function keptSizes(storage: LogStorage): Promise<number[]> {
  const sizes: number[] = [];
  for await (const { key } of storage.scanRows(TABLE.checkpoint)) sizes.push(parseIndexKey(key));
  return sizes;
}
