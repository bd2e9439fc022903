import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { writeItem } from "../src/cbor-encoder.ts";
import { encodeAllWith } from "../src/cbor-writer.ts";
import { type CborValue, encodeCbor } from "../src/index.ts";
import { referenceCbor } from "./reference-cbor.ts";

function expectReference(value: CborValue): void {
  expect(Buffer.from(encodeCbor(value)).equals(Buffer.from(referenceCbor(value)))).toBe(true);
}

describe("encodeCbor", () => {
  test("writes every integer near a size of its head as the reference does", () => {
    for (const near of [0, 24, 256, 65_536, 2 ** 32, 2 ** 53 - 65]) {
      for (let offset = -64; offset <= 64; offset += 1) {
        expectReference(near + offset);
        expectReference(-(near + offset));
      }
    }
  });

  test("writes text of every length near a size of its head as the reference does, in every script", () => {
    const lengths = [...Array(300).keys(), ...Array.from({ length: 3 }, (_, i) => 65_534 + i)];
    for (const unit of ["a", "\u007f", "\u0080", "\u07ff", "\u0800", "\ufeff", "\uffff", "\u{10000}", "\u{10ffff}"]) {
      for (const length of lengths) {
        expectReference(unit.repeat(length));
        expectReference(`${"x".repeat(length)}${unit}`);
      }
    }
  });

  test("writes byte strings and arrays of every size near that of a head as the reference does", () => {
    for (const size of [0, 1, 23, 24, 25, 255, 256, 257, 1023, 1024, 1025, 65_535, 65_536]) {
      expectReference(new Uint8Array(size).fill(7));
      expectReference(Array.from({ length: size }, () => null));
    }
  });

  test("writes maps of every size near that of a head as the reference does", () => {
    for (const size of [0, 1, 23, 24, 25, 255, 256, 257]) {
      expectReference(Object.fromEntries(Array.from({ length: size }, (_, i) => [`k${(i * 7919) % 65_537}`, i])));
    }
  });

  test("keeps what it wrote when its buffer grows at any item, in text, bytes or heads", () => {
    for (let filled = 960; filled <= 1030; filled += 1) {
      const filler = new Uint8Array(filled);
      for (const next of [
        "",
        "short",
        "x".repeat(47),
        "é",
        "é".repeat(30),
        "x".repeat(100),
        new Uint8Array(64),
        2 ** 40,
        [],
        {},
      ]) {
        expectReference([filler, next, "after"]);
        // A buffer of more than 64 KiB is not kept, so that each of these begins with a small one.
        encodeCbor(new Uint8Array(70_000));
      }
    }
  });

  test("sorts keys as the reference does", () => {
    const keys = fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 4 }), { maxLength: 30 });
    fc.assert(
      fc.property(keys, (keys) => {
        expectReference(Object.fromEntries(keys.map((key) => [key, 0])));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("encodeAllWith", () => {
  test("gives what encodeCbor gives of each, however much of it there is", () => {
    const sizes = [0, 1, 300, 31_000, 1000, 40_000, 70_000, 5];
    const values = Array.from({ length: 400 }, (_, at) => [at, new Uint8Array(sizes[at % sizes.length] ?? 0).fill(at)]);
    for (const count of [0, 1, 2, 7, 400]) {
      const some = values.slice(0, count);
      const encoded = encodeAll(some);
      expect(encoded).toHaveLength(count);
      for (const [at, bytes] of encoded.entries()) expect(Buffer.compare(bytes, encodeCbor(some[at] ?? null))).toBe(0);
    }
  });

  test("keeps together what is small only: who keeps one keeps no more than 32 KiB and one other alive", () => {
    const encoded = encodeAll(Array.from({ length: 1000 }, (_, at) => new Uint8Array(at)));
    for (const { buffer } of encoded) expect(buffer.byteLength).toBeLessThan(32_768 + 1003);
  });

  test("gives nothing where one cannot be encoded, and encodes the next as ever", () => {
    expect(encodeAllWith(writeItem, [1, Number.NaN, 2])).toBeUndefined();
    expect(encodeAll([[1], [2]])).toEqual([Uint8Array.of(0x81, 1), Uint8Array.of(0x81, 2)]);
    const failing = (): never => {
      throw new Error("no such value");
    };
    expect(() => encodeAllWith(failing, [1])).toThrow("no such value");
    expect(encodeAll([[1], [2]])).toEqual([Uint8Array.of(0x81, 1), Uint8Array.of(0x81, 2)]);
  });
});

function encodeAll(values: readonly CborValue[]): Uint8Array[] {
  return encodeAllWith(writeItem, values) ?? [];
}
