import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
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
