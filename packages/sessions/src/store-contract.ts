/**
 * What every session store must do, as checks that any test runner can run.
 *
 * @example
 * for (const { statement, check } of sessionStoreContract) test(statement, () => check(() => openMyStores()));
 */
import assert from "node:assert/strict";
import type { SessionStore } from "./store.ts";

/** Opens stores over one and the same data, which is empty at first; each as another process would. */
export type OpenStore = () => Promise<SessionStore>;

export interface SessionStoreContractCase {
  /** What is checked, as a statement. */
  readonly statement: string;
  /** Rejects where the statement does not hold. `openEmpty` is called once, and gives the way to new, empty data. */
  readonly check: (openEmpty: () => Promise<OpenStore>) => Promise<void>;
}

function contractCase(
  statement: string,
  check: (store: SessionStore, other: SessionStore) => Promise<void>,
): SessionStoreContractCase {
  return {
    statement,
    async check(openEmpty) {
      const open = await openEmpty();
      const stores = [await open(), await open()] as const;
      try {
        await check(...stores);
      } finally {
        for (const store of stores) await store.close();
      }
    },
  };
}

export const sessionStoreContract: readonly SessionStoreContractCase[] = [
  contractCase("an empty store has nothing, and nothing is due", async (store) => {
    assert.equal(await store.get("a"), undefined);
    assert.deepEqual(await store.due(Number.MAX_SAFE_INTEGER, 10), []);
  }),

  contractCase("a put at version 0 makes an entry, which all see at once", async (store, other) => {
    assert.equal(await store.put("a", "one", 0), true);
    const { value, version } = await entryOf(other, "a");
    assert.equal(value, "one");
    assert.ok(Number.isSafeInteger(version) && version >= 1, `version ${version}`);
    assert.equal(await other.put("a", "two", version), true);
    assert.equal((await entryOf(store, "a")).value, "two");
    assert.equal(await store.get("b"), undefined);
  }),

  contractCase("a put at another version changes nothing", async (store, other) => {
    await store.put("a", "one", 0, 100);
    const { version } = await entryOf(store, "a");
    for (const wrong of [0, version + 1, version + 7]) {
      assert.equal(await other.put("a", "changed", wrong, 5), false);
      assert.equal(await other.put("a", null, wrong), false);
    }
    assert.equal(await other.put("b", "new", 1), false);
    assert.deepEqual(await store.get("a"), { value: "one", version });
    assert.deepEqual(await store.due(99, 10), []);
    assert.equal(await store.get("b"), undefined);
  }),

  contractCase("no version comes back, not even when the key does", async (store, other) => {
    const seen = new Set<number>();
    for (let round = 0; round < 6; round += 1) {
      assert.equal(await store.put("a", `${round}`, 0), true);
      const first = await entryOf(store, "a");
      assert.equal(await other.put("a", "more", first.version), true);
      const second = await entryOf(other, "a");
      for (const { version } of [first, second]) {
        assert.ok(!seen.has(version), `version ${version} came back`);
        seen.add(version);
      }
      assert.equal(await store.put("a", null, first.version), false);
      assert.equal(await store.put("a", null, second.version), true);
      assert.equal(await store.get("a"), undefined);
    }
  }),

  contractCase("of many puts at once for one version exactly one takes place", async (store, other) => {
    for (const version of [0, 1]) {
      const before = version === 0 ? 0 : (await entryOf(store, "a")).version;
      const puts = Array.from({ length: 20 }, (_, at) =>
        (at % 2 === 0 ? store : other).put("a", `${version}/${at}`, before),
      );
      const done = await Promise.all(puts);
      assert.equal(done.filter(Boolean).length, 1);
      assert.equal((await entryOf(store, "a")).value, `${version}/${done.indexOf(true)}`);
    }
  }),

  contractCase("many that count up together lose none", async (store, other) => {
    const countUp = async (by: SessionStore): Promise<void> => {
      for (;;) {
        const { value, version } = (await by.get("n")) ?? { value: "0", version: 0 };
        if (await by.put("n", `${Number(value) + 1}`, version)) return;
      }
    };
    await Promise.all(Array.from({ length: 30 }, (_, at) => countUp(at % 2 === 0 ? store : other)));
    assert.equal((await entryOf(store, "n")).value, "30");
  }),

  contractCase(
    "due names what has reached its deadline, the earliest first, and no more than asked for",
    async (store) => {
      const deadlines = { c: 300, a: 100, d: 400, b: 200 };
      for (const [key, deadline] of Object.entries(deadlines)) await store.put(key, key, 0, deadline);
      await store.put("never", "never", 0);
      assert.deepEqual(await store.due(99, 10), []);
      assert.deepEqual(await store.due(100, 10), ["a"]);
      assert.deepEqual(await store.due(399, 10), ["a", "b", "c"]);
      assert.deepEqual(await store.due(1_769_850_000_000, 3), ["a", "b", "c"]);
    },
  ),

  contractCase("a deadline moves with each put, and goes with the entry", async (store, other) => {
    await store.put("a", "one", 0, 1_769_850_000_001);
    assert.deepEqual(await other.due(1_769_850_000_000, 10), []);
    assert.deepEqual(await other.due(1_769_850_000_001, 10), ["a"]);
    await store.put("a", "two", (await entryOf(store, "a")).version, 1_769_850_009_999);
    assert.deepEqual(await other.due(1_769_850_009_998, 10), []);
    await store.put("a", "three", (await entryOf(store, "a")).version);
    assert.deepEqual(await other.due(Number.MAX_SAFE_INTEGER, 10), []);
    await store.put("a", "four", (await entryOf(store, "a")).version, 5);
    await store.put("a", null, (await entryOf(store, "a")).version);
    assert.deepEqual(await other.due(Number.MAX_SAFE_INTEGER, 10), []);
  }),

  contractCase("keys and values are any text, as long as it may be", async (store) => {
    const texts = ["é/\u{1f600}\n", "__proto__", " ", "'; DROP TABLE session_entry; --", "x".repeat(200)];
    for (const text of texts) await store.put(text, `${text}${"y".repeat(100_000)}`, 0, 7);
    for (const text of texts) assert.equal((await entryOf(store, text)).value, `${text}${"y".repeat(100_000)}`);
    assert.deepEqual((await store.due(7, 10)).toSorted(), texts.toSorted());
  }),

  contractCase("time is in whole milliseconds, and never runs back, whoever asks", async (store, other) => {
    let before = await store.now();
    assert.ok(before > 1_700_000_000_000);
    for (let turn = 0; turn < 50; turn += 1) {
      const asked = turn % 2 === 0 ? other : store;
      const now = await asked.now();
      assert.ok(Number.isSafeInteger(now) && now >= before, `${now} after ${before}`);
      if (turn % 10 === 0) await asked.put(`turn ${turn}`, "x", 0);
      before = now;
    }
  }),

  contractCase("a store that was closed refuses", async (store) => {
    await store.close();
    for (const ask of [() => store.now(), () => store.get("a"), () => store.put("a", "b", 0), () => store.due(1, 1)]) {
      await assert.rejects(ask);
    }
  }),
];

async function entryOf(store: SessionStore, key: string): Promise<{ value: string; version: number }> {
  const entry = await store.get(key);
  assert.ok(entry !== undefined, `expected an entry under ${JSON.stringify(key)}`);
  return entry;
}
