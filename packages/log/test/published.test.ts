/** Waits for a published head. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { EntryState } from "../src/index.ts";
import { Published } from "../src/published.ts";

const headOf = (size: number) => ({ size, rootHash: new Uint8Array(32), note: `head of ${size}` });
const DAY_MS = 86_400_000;

function publishedWith(reached: EntryState = "witnessed"): { published: Published; closing: AbortController } {
  const closing = new AbortController();
  return { published: new Published({ reached, head: undefined, closing: closing.signal }), closing };
}

/** What has ended by now. */
function ended(waits: readonly Promise<EntryState>[]): () => (EntryState | undefined)[] {
  const states: (EntryState | undefined)[] = waits.map(() => undefined);
  for (const [at, wait] of waits.entries()) void wait.then((state) => (states[at] = state));
  return () => states;
}

describe("waitFor", () => {
  test("a head ends the waits for what it covers, all at once, and leaves the others", async () => {
    const { published } = publishedWith();
    const waits = Array.from({ length: 10 }, async (_, index) =>
      published.waitFor({ index, state: "witnessed", timeoutMs: DAY_MS }),
    );
    const states = ended(waits);
    published.set(headOf(4));
    await sleep(0);
    expect(states()).toEqual([...Array(4).fill("witnessed"), ...Array(6).fill(undefined)]);
    expect(published.waits).toBe(6);
    published.set(headOf(10));
    await Promise.all(waits);
    expect(published.waits).toBe(0);
    expect(await published.waitFor({ index: 9, state: "published", timeoutMs: DAY_MS })).toBe("witnessed");
    expect(await published.waitFor({ index: 10, state: "durable", timeoutMs: DAY_MS })).toBe("durable");
  });

  test("time, the client's leaving and the log's end each end a wait with the state as it is", async () => {
    const { published, closing } = publishedWith();
    const gone = new AbortController();
    const wait = { index: 0, state: "witnessed" as const };
    expect(await published.waitFor({ ...wait, timeoutMs: 0 })).toBe("durable");
    expect(await published.waitFor({ ...wait, timeoutMs: 5 })).toBe("durable");
    const left = published.waitFor({ ...wait, timeoutMs: DAY_MS, signal: gone.signal });
    gone.abort();
    expect(await left).toBe("durable");
    expect(await published.waitFor({ ...wait, timeoutMs: DAY_MS, signal: gone.signal })).toBe("durable");
    const closed = published.waitFor({ ...wait, timeoutMs: DAY_MS });
    expect(published.waits).toBe(1);
    closing.abort();
    expect(await closed).toBe("durable");
    expect(await published.waitFor({ ...wait, timeoutMs: DAY_MS })).toBe("durable");
    expect(published.waits).toBe(0);
  });

  test("a head is awaited while somebody waits for what it can give, and nobody else", async () => {
    const { published, closing } = publishedWith("published");
    let told = 0;
    const listening = published.awaited.wait(DAY_MS, closing.signal).then(() => (told += 1));
    const vain = published.waitFor({ index: 0, state: "witnessed", timeoutMs: DAY_MS });
    await sleep(0);
    expect([published.isAwaited, told]).toEqual([false, 0]);
    const wait = published.waitFor({ index: 0, state: "published", timeoutMs: DAY_MS });
    await listening;
    expect([published.isAwaited, told]).toEqual([true, 1]);
    published.set(headOf(1));
    await wait;
    expect(published.isAwaited).toBe(false);
    closing.abort();
    await vain;
    expect([published.isAwaited, published.waits]).toEqual([false, 0]);
  });

  test("what no head of a log without witnesses can give is waited for until the time is over", async () => {
    const { published } = publishedWith("published");
    const waits = (["published", "witnessed"] as const).map(async (state) =>
      published.waitFor({ index: 0, state, timeoutMs: 40 }),
    );
    const states = ended(waits);
    published.set(headOf(1));
    await sleep(0);
    expect(states()).toEqual(["published", undefined]);
    expect(await Promise.all(waits)).toEqual(["published", "published"]);
  });

  test("beyond 100,000 waits another one ends at once", async () => {
    const { published } = publishedWith();
    const wait = { index: 0, state: "witnessed" as const, timeoutMs: DAY_MS };
    const waits = Array.from({ length: 100_000 }, async () => published.waitFor(wait));
    expect(await published.waitFor(wait)).toBe("durable");
    published.set(headOf(1));
    expect(new Set(await Promise.all(waits))).toEqual(new Set(["witnessed"]));
  });

  test("the first who waits is told of, and whoever comes while others wait is not", async () => {
    const { published } = publishedWith();
    let told = 0;
    const listen = async (): Promise<void> => {
      for (let at = 0; at < 2; at += 1) {
        await published.awaited.wait(DAY_MS);
        told += 1;
      }
    };
    const listening = listen();
    const wait = { index: 0, state: "witnessed" as const, timeoutMs: DAY_MS };
    const waits = [published.waitFor(wait), published.waitFor(wait)];
    await sleep(0);
    expect(told).toBe(1);
    published.set(headOf(1));
    await Promise.all(waits);
    waits.push(published.waitFor({ ...wait, index: 1 }));
    await listening;
    expect(told).toBe(2);
    published.set(headOf(2));
    await Promise.all(waits);
  });
});
