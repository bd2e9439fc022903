/** What a log signs over its whole life: heads of one history, whose tiles stay and whose receipts outlive the witnesses. */
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type Checkpoint,
  type Hash,
  createSigner,
  encodeBase64,
  formatPolicy,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseTlogProof,
  tilePath,
  tilesForSize,
  treeHash,
  verifyTlogProof,
} from "@tallystick/core";
import { errorCode } from "../../../test/support/errors.ts";
import type { Log } from "../src/index.ts";
import { ORIGIN, type Site, createSite, ed25519Signer, login, published, seed, until } from "./site.ts";
import { referenceTile } from "./tree-tiles.ts";

const DAY_MS = 86_400_000;

/** Every note that the log submits to its first witness, which answers as ever. */
function submittedTo(site: Site): string[] {
  const notes: string[] = [];
  const [witness] = site.handlers;
  site.network.hosts.set("w1.example", async (request) => {
    const body = await request.clone().text();
    if (request.method === "POST") notes.push(body.slice(body.indexOf("\n\n") + 2));
    return witness?.(request) ?? new Response(null, { status: 500 });
  });
  return notes;
}

async function leafHashesOf(log: Log): Promise<Hash[]> {
  const hashes: Hash[] = [];
  while (hashes.length < log.size()) hashes.push(hashLeaf(await log.readLeaf(hashes.length)));
  return hashes;
}

async function started(log: Log): Promise<Log> {
  await until(() => log.status().state === "ok" && log.checkpoint() !== undefined);
  return log;
}

const headOf = (note: string): Checkpoint => parseCheckpoint(parseNote(note).text);

describe("heads", () => {
  test("C-53 C-55 C-56 of one size have one root and no extension lines, signed again and again, through restarts and jumps of the clock", async () => {
    const mldsa = createSigner({ name: ORIGIN, type: "mldsa44", seed: seed("log 06") });
    const site = await createSite({ witnesses: 1, signers: [ed25519Signer("log"), mldsa] });
    const submitted = submittedTo(site);
    const heads: string[] = [];
    let n = 0;
    let hashes: Hash[] = [];
    // Time passes, once two days of it; and once the log's own clock is a day behind that of everybody else.
    for (const [passedMs, behindMs] of [
      [0, 0],
      [60_000, 0],
      [0, DAY_MS],
      [2 * DAY_MS, 0],
    ] as const) {
      site.clock.nowMs += passedMs;
      const log = await site.open({ freshnessIntervalMs: 20, now: () => site.clock.nowMs - behindMs });
      await until(() => log.status().state === "ok" || log.status().reasons[0]?.code === "clock-behind");
      await log.appendEvents({ writer: "app", events: [login(n), login(n + 1)] });
      n += 2;
      await published(log);
      const { length } = submitted;
      site.clock.nowMs += 1000;
      await until(() => submitted.length > length);
      hashes = await leafHashesOf(log);
      heads.push(...(await log.checkpoints({ limit: 1000 })).map(({ note }) => note));
      await log.close();
    }
    const rootOf = (size: bigint): string => encodeBase64(treeHash(hashes.slice(0, Number(size))));
    const wrong = [...submitted, ...heads]
      .map(headOf)
      .filter(({ size, rootHash }) => encodeBase64(rootHash) !== rootOf(size));
    expect(wrong).toEqual([]);
    expect(submitted.filter((note) => headOf(note).extensions.length > 0)).toEqual([]);
    const bySize = Map.groupBy(new Set(submitted), (note) => headOf(note).size);
    expect(bySize.size).toBeGreaterThanOrEqual(4);
    // Signed with ML-DSA-44 again, at a later time.
    expect([...bySize.values()].some((notes) => notes.length > 1)).toBe(true);
  });
});

describe("tiles", () => {
  test("C-113 C-261 of every head ever published can be read at every moment, while the log grows", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ publishIntervalMs: 2 }));
    const seen = new Map<string, string>();
    const problems: string[] = [];
    let rounds = 0;
    const readAll = async (): Promise<void> => {
      const heads = await log.checkpoints({ limit: 1000 });
      for (const { size } of heads) {
        for (const tile of tilesForSize(size)) {
          const path = tilePath(tile);
          const bytes = await log.readTile(tile);
          const text = bytes === undefined ? "missing" : encodeBase64(bytes);
          if ((seen.get(path) ?? text) !== text || bytes === undefined) problems.push(`${path} of ${size}`);
          seen.set(path, text);
        }
      }
      rounds += 1;
    };
    const grown = new AbortController();
    const reading = (async () => {
      while (!grown.signal.aborted) {
        await readAll();
        // Reads of memory alone would let nothing else run.
        await setImmediate();
      }
    })();
    const SIZES = [1, 2, 100, 150, 3, 1, 255, 1, 90, 7];
    let n = 0;
    for (const count of SIZES) {
      await log.appendEvents({ writer: "app", events: Array.from({ length: count }, (_, at) => login(n + at)) });
      n += count;
      await published(log);
    }
    grown.abort();
    await reading;
    await readAll();
    expect([problems, rounds > 2, seen.size > SIZES.length]).toEqual([[], true, true]);
    const hashes = await leafHashesOf(log);
    for (const tile of tilesForSize(log.publishedSize())) {
      expect(seen.get(tilePath(tile))).toBe(encodeBase64(referenceTile(tile, hashes)));
    }
  });
});

describe("a change of witnesses", () => {
  test("C-181 leaves old receipts valid under the policy they were made for; new ones need the new policy", async () => {
    const site = await createSite({ witnesses: 3 });
    const [first, second, third] = site.witnesses;
    const policyOf = (...witnesses: readonly (typeof first)[]): string =>
      formatPolicy({
        logs: site.keys.signers.map(({ vkey }) => ({ vkey })),
        witnesses: witnesses.flatMap((each) =>
          each === undefined ? [] : [{ name: each.name, vkeys: each.verifiers.map(({ vkey }) => vkey) }],
        ),
        quorum: witnesses.length,
      });
    const [before, after] = [policyOf(first, second), policyOf(third)];
    const verdict = (receipt: string, leafHash: Hash, policyText: string): string | undefined =>
      errorCode(() => verifyTlogProof({ proof: parseTlogProof(receipt), leafHash, policy: parsePolicy(policyText) }));

    const log = await started(await site.open({ policyText: before, witnesses: site.witnesses.slice(0, 2) }));
    const [old] = await log.appendEvents({ writer: "app", events: [login(0)] });
    await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 5000 });
    const oldReceipt = await log.receipt(0);
    await log.close();

    site.network.hosts.delete("w1.example");
    site.network.hosts.delete("w2.example");
    const changed = await started(await site.open({ policyText: after, witnesses: site.witnesses.slice(2) }));
    const [next] = await changed.appendEvents({ writer: "app", events: [login(1)] });
    const index = next?.index ?? -1;
    expect(await changed.waitFor({ index, state: "witnessed", timeoutMs: 5000 })).toBe("witnessed");
    const leaf = old?.leafHash ?? new Uint8Array();
    expect(verdict(oldReceipt, leaf, before)).toBeUndefined();
    expect(verdict(oldReceipt, leaf, after)).toBe("quorum-not-met");
    // The entry of then is in the log of now as well.
    expect(verdict(await changed.receipt(0), leaf, after)).toBeUndefined();
    expect(verdict(await changed.receipt(index), next?.leafHash ?? new Uint8Array(), before)).toBe("quorum-not-met");
  });
});
