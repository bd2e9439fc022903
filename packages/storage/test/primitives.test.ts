/** The small parts that the drivers are made of. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, property, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { sealValue, sealValues, unsealValue } from "../src/checked-value.ts";
import { createMasterKeyFile, indexKey, loadMasterKey, parseIndexKey } from "../src/index.ts";
import { KeyIndex } from "../src/key-index.ts";
import { KeyedHash } from "../src/keyed-hash.ts";
import { expectCode } from "./expect-code.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

describe("indexKey", () => {
  test("sorts as the numbers do, and comes back", () => {
    const numbers = [0, 1, 15, 16, 255, 256, 65_535, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER];
    const keys = numbers.map(indexKey);
    expect(keys.toSorted()).toEqual(keys);
    expect(keys.map(parseIndexKey)).toEqual(numbers);
    expect(indexKey(255)).toBe("000000000000ff");
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("refuses %d", (number) => {
    expect(() => indexKey(number)).toThrow(RangeError);
  });

  test.each(["", "ff", "000000000000FF", "20000000000000", "0000000000000g"])("parseIndexKey refuses %j", (key) => {
    expect(() => parseIndexKey(key)).toThrow(RangeError);
  });
});

describe("a checked value", () => {
  test("is read under its own key alone", () => {
    const sealed = sealValue({ key: "r/leaf/a", value: Buffer.from("value") });
    expect(unsealValue("r/leaf/a", sealed)).toEqual(new Uint8Array(Buffer.from("value")));
    expect(unsealValue("r/leaf/b", sealed)).toBeUndefined();
    expect(unsealValue("r/lea/fa", sealed)).toBeUndefined();
  });

  test.each(["", "some value", "a value of sixteen", "a longer value, of more than 16 bytes"])(
    "of %j is refused with any bit flipped, and at any shorter or longer size",
    (text) => {
      const sealed = sealValue({ key: "k", value: Buffer.from(text) });
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const flipped = Uint8Array.from(sealed, (byte, at) =>
          at === Math.floor(bit / 8) ? byte ^ (1 << (bit % 8)) : byte,
        );
        expect(unsealValue("k", flipped)).toBeUndefined();
      }
      for (let size = 0; size < sealed.length; size++)
        expect(unsealValue("k", sealed.subarray(0, size))).toBeUndefined();
      expect(unsealValue("k", Buffer.concat([sealed, Buffer.alloc(1)]))).toBeUndefined();
    },
  );

  test("has a digest of 8 bytes up to 16, and of 16 above", () => {
    const sizes = [0, 1, 16, 17, 24, 1000];
    const beside = sizes.map((size) => sealValue({ key: "k", value: new Uint8Array(size) }).length - size);
    expect(beside).toEqual([8, 8, 8, 16, 16, 16]);
  });

  test("is read with a digest of 16 bytes as well, as small ones had it before", () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
    const others = [0, 7, 8, 9, 16].map((size) => new Uint8Array(randomBytes(size)));
    for (const value of [...bytes, ...others]) {
      const key = "r/id/a";
      const digest = createHash("sha256").update(
        Buffer.concat([Uint8Array.of(0, key.length), Buffer.from(key), value]),
      );
      const former = Buffer.concat([digest.digest().subarray(0, 16), value]);
      expect(unsealValue(key, former)).toEqual(value);
      for (let bit = 0; bit < former.length * 8; bit++) {
        const flipped = former.map((byte, at) => (at === Math.floor(bit / 8) ? byte ^ (1 << (bit % 8)) : byte));
        expect(unsealValue(key, flipped)).toBeUndefined();
      }
      // Where the value stands in its digest too, behind the first 8 bytes, these are enough: an empty one always does.
      const whole = Buffer.compare(former.subarray(8, 8 + value.length), value) === 0 ? [8 + value.length] : [];
      for (let cut = 0; cut < former.length; cut++) {
        expect(unsealValue(key, former.subarray(0, cut))).toEqual(whole.includes(cut) ? value : undefined);
      }
    }
  });

  test("is the same, sealed alone or with others", () => {
    const sizes = [0, 1, 9, 16, 17, 30, 64, 4000, 200_000, 5];
    const entries = sizes.map((size, at) => ({ key: `r/id/${at} ключ`, value: new Uint8Array(randomBytes(size)) }));
    expect(sealValues(entries).map((sealed) => Buffer.from(sealed).toString("hex"))).toEqual(
      entries.map((entry) => Buffer.from(sealValue(entry)).toString("hex")),
    );
    expect(sealValues([])).toEqual([]);
  });

  test("has any size", () => {
    for (const size of [0, 1, 4000, 5000, 131_000, 131_072, 1_000_000]) {
      const value = new Uint8Array(randomBytes(size));
      expect(Buffer.compare(unsealValue("ключ", sealValue({ key: "ключ", value })) ?? Buffer.alloc(0), value)).toBe(0);
    }
  });
});

test("KeyedHash is HMAC-SHA-256", () => {
  assert(
    property(uint8Array({ minLength: 32, maxLength: 32 }), uint8Array({ maxLength: 300 }), (key, message) => {
      const expected = createHmac("sha256", key).update(message).digest("hex");
      expect(new KeyedHash(key).digest(message).toString("hex")).toBe(expected);
    }),
  );
});

describe("KeyIndex", () => {
  test("finds what a Map finds, also where many lookups begin with the same eight bytes", () => {
    const index = new KeyIndex();
    const rows: string[] = [];
    const expected = new Map<string, number>();
    const lookupOf = (n: number): Buffer => {
      const lookup = Buffer.alloc(16);
      lookup.writeUInt32BE(n % 97, 0);
      lookup.writeUInt32BE(n, 12);
      return lookup;
    };
    for (let step = 0; step < 3000; step++) {
      const lookup = lookupOf((step * 7) % 2000);
      index.set(lookup, step, (row) => rows[row] === lookup.toString("hex"));
      rows.push(lookup.toString("hex"));
      expected.set(lookup.toString("hex"), step);
    }
    expect(index.size).toBe(expected.size);
    for (let n = 0; n < 2100; n++) {
      const lookup = lookupOf(n);
      expect(index.find(lookup, (row) => rows[row] === lookup.toString("hex"))).toBe(
        expected.get(lookup.toString("hex")),
      );
    }
  });
});

describe("the master key", () => {
  test("is made once, in a file of its owner, and read back from there or from the environment", async () => {
    const path = join(temporaryFolder(), "master-key");
    const key = await createMasterKeyFile(path);
    expect(await loadMasterKey({ file: path })).toEqual(key);
    expect(await loadMasterKey({ env: { TALLYSTICK_MASTER_KEY: Buffer.from(key).toString("hex") } })).toEqual(key);
    await expectCode("storage-unavailable", () => createMasterKeyFile(path));
    expect(await loadMasterKey({ file: path })).toEqual(key);
  });

  test.each(["", "ab", "A".repeat(64), ` ${"a".repeat(63)}`, "a".repeat(65), `${"a".repeat(64)}\n\n`])(
    "refuses %j without showing it",
    async (text) => {
      const path = join(temporaryFolder(), "master-key");
      writeFileSync(path, text, { mode: 0o600 });
      const inFile = await expectCode("master-key-malformed", () => loadMasterKey({ file: path }));
      const inEnvironment = await expectCode("master-key-malformed", () =>
        loadMasterKey({ env: { TALLYSTICK_MASTER_KEY: text } }),
      );
      expect(inFile.message + inEnvironment.message).not.toContain(text.padEnd(20, "?").slice(0, 20));
    },
  );

  test("that is missing from the environment is refused by the name of the variable", async () => {
    const error = await expectCode("master-key-malformed", () => loadMasterKey({ env: {} }));
    expect(error.message).toContain("TALLYSTICK_MASTER_KEY");
  });
});
