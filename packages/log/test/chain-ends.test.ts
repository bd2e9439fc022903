/** Ends of chains that the disk lags behind with. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Leaf, decodeLeaf, encodeLeaf } from "@tallystick/events";
import { type LogStorage, createMemoryStorage } from "@tallystick/storage";
import { ChainEnds, readLaggingFrom } from "../src/chain-ends.ts";
import { fsckLog } from "../src/index.ts";
import { type ChainEnd, TABLE, chainKey, decodeChainEnd } from "../src/rows.ts";
import { ORIGIN, createSite, login } from "./site.ts";

const STREAM = new Uint8Array(16);

function tagOf(person: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, at) => (person >> (8 * (at % 4))) & 255);
}

/** The entries of one person after the other, as a log would chain them. */
class Chained {
  readonly storage: LogStorage = createMemoryStorage();
  readonly ends = new Map<string, ChainEnd>();
  size = 0;
  #version = 0;
  chainEnds: ChainEnds;

  private constructor(chainEnds: (storage: LogStorage) => ChainEnds) {
    this.chainEnds = chainEnds(this.storage);
  }

  static async create(): Promise<Chained> {
    const opened = await ChainEnds.open(createMemoryStorage(), 0);
    const chained = new Chained(() => opened);
    chained.chainEnds = await ChainEnds.open(chained.storage, 0);
    return chained;
  }

  /** One commit, of an entry for each of these persons. */
  async commit(persons: readonly number[]): Promise<void> {
    const first = this.size;
    const keys = new Set(persons.map((person) => chainKey("actor", tagOf(person))));
    const changed = await this.chainEnds.read(keys);
    const values = persons.map((person, at) => {
      const key = chainKey("actor", tagOf(person));
      const end = changed.get(key);
      expect(end).toEqual(this.ends.get(key));
      const next = { count: (end?.count ?? 0) + 1, last: first + at };
      changed.set(key, next);
      this.ends.set(key, next);
      return encodeLeaf(leafOf({ tag: tagOf(person), n: end?.count ?? 0, prev: end?.last ?? null }));
    });
    this.size += persons.length;
    const rows = this.chainEnds.commit(changed, { first, size: this.size });
    await this.storage.commit({
      head: { name: "integrated", expected: this.#version, bytes: new Uint8Array() },
      rows,
      runs: [{ table: TABLE.leaf, first, values }],
    });
    this.#version += 1;
  }

  /** The process died, and another one opens what is on disk. */
  async reopen(): Promise<void> {
    this.chainEnds = await ChainEnds.open(this.storage, this.size);
  }

  async rows(): Promise<Map<string, ChainEnd>> {
    const rows = new Map<string, ChainEnd>();
    for await (const { key, value } of this.storage.scanRows(TABLE.chain)) rows.set(key, decodeChainEnd(value));
    return rows;
  }
}

function leafOf(actor: Leaf["actor"]): Leaf {
  const commitment = new Uint8Array(32);
  const rest = { session: null, subject: null, tenant: null, signature: null, sequence: null };
  return { loggedAt: 1, stream: STREAM, class: "auth", commitment, actor, ...rest };
}

test("whatever is replayed after a kill, chains go on where they ended", async () => {
  const commits = fc.array(fc.array(fc.nat(12), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(commits, { minLength: 1, maxLength: 4 }), fc.boolean(), async (lives, isClosed) => {
      const chained = await Chained.create();
      for (const life of lives) {
        for (const persons of life) await chained.commit(persons);
        if (isClosed) await chained.storage.putRows(chained.chainEnds.flush(chained.size));
        const lagging = (await readLaggingFrom(chained.storage)) ?? 0;
        expect(lagging).toBe(isClosed ? chained.size : 0);
        expect(await chained.rows()).toEqual(isClosed ? chained.ends : new Map());
        await chained.reopen();
        expect(await chained.chainEnds.read(new Set(chained.ends.keys()))).toEqual(chained.ends);
      }
    }),
    { numRuns: 30 },
  );
});

test("what waits longest is written, so that neither memory nor the replay grows with the log", async () => {
  const chained = await Chained.create();
  // Nobody twice: 40,000 persons, of whom 8,192 wait at most.
  for (let from = 0; from < 40_000; from += 1000)
    await chained.commit(Array.from({ length: 1000 }, (_, at) => from + at));
  expect((await chained.rows()).size).toBe(40_000 - 8192);
  expect(await readLaggingFrom(chained.storage)).toBeGreaterThanOrEqual(40_000 - 8192 - 1000);
  // One person only: what is replayed is bounded all the same.
  for (let commits = 0; commits < 30; commits += 1) await chained.commit(Array.from({ length: 1000 }, () => -1));
  const lagging = (await readLaggingFrom(chained.storage)) ?? 0;
  expect(chained.size - lagging).toBeLessThanOrEqual(16_384);
  await chained.reopen();
  expect(await chained.chainEnds.read(new Set(chained.ends.keys()))).toEqual(chained.ends);
});

test("a log that was not closed is whole to fsck, and goes on", async () => {
  const site = await createSite();
  const log = await site.open();
  const actor = { type: "user", id: "u" };
  await log.appendEvents({ writer: "app", events: Array.from({ length: 5 }, (_, at) => login(at, { actor })) });
  const check = { storage: site.storage, keyStore: site.keyStore, origin: ORIGIN };
  const verifiers = site.keys.signers.map(({ verifier }) => verifier);
  // It is still open, and has written no end of a chain.
  expect(await fsckLog({ ...check, verifiers })).toMatchObject({ ok: true });
  await log.close();
  const again = await site.open();
  const [answer] = await again.appendEvents({ writer: "app", events: [login(9, { actor })] });
  expect(decodeLeaf(answer?.leaf ?? new Uint8Array()).actor?.n).toBe(5);
  await again.close();
  expect(await fsckLog({ ...check, verifiers })).toMatchObject({ ok: true });
});
