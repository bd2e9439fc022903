/** Which published heads are kept. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryStorage, indexKey } from "@tallystick/storage";
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

/** The rule read head by head: by which later one of its period could it be replaced? */
function mayBeKept(heads: readonly Head[], nowMs: number): number[] {
  return heads
    .filter(({ signedAt }, at) => {
      const next = heads[at + 1];
      if (next === undefined || signedAt >= nowMs - 10 * MINUTE_MS) return true;
      const period = signedAt >= nowMs - DAY_MS ? MINUTE_MS : HOUR_MS;
      return Math.floor(next.signedAt / period) !== Math.floor(signedAt / period);
    })
    .map(({ size }) => size);
}

test("a pass leaves all heads of ten minutes, one a minute of a day, one an hour of the time before, and the newest", async () => {
  const gap = fc.oneof(fc.nat(2000), fc.nat(2 * MINUTE_MS), fc.nat(3 * HOUR_MS), fc.nat(2 * DAY_MS));
  const round = fc.record({ gaps: fc.array(gap, { maxLength: 40 }), waitMs: gap });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const storage = createMemoryStorage();
      const heads: Head[] = [];
      let nowMs = START_MS;
      const thinning = new Thinning({ storage, now: () => nowMs, publishedSize: () => heads.at(-1)?.size ?? 0 });
      for (const { gaps, waitMs } of rounds) {
        for (const gapMs of gaps) {
          nowMs += gapMs;
          const head = { size: heads.length, signedAt: nowMs, rootHash: new Uint8Array(32), note: "note" };
          heads.push(head);
          const key = indexKey(head.size);
          await storage.putRows([{ table: TABLE.checkpoint, key, value: encodeSignedHead(head) }]);
        }
        nowMs += waitMs;
        await thinning.pass();
      }
      const kept: number[] = [];
      for await (const { key } of storage.scanRows(TABLE.checkpoint)) kept.push(Number.parseInt(key, 16));
      expect(kept).toEqual(mayBeKept(heads, nowMs));
      expect(await thinning.pass()).toBe(0);
      const anew = new Thinning({ storage, now: () => nowMs, publishedSize: () => heads.at(-1)?.size ?? 0 });
      expect(await anew.pass()).toBe(0);
    }),
  );
});
