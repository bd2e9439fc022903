import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type CborValue,
  computeCommitment,
  computeCommitments,
  decodeOpening,
  encodeCbor,
  encodeOpening,
  encodeOpenings,
  verifyOpening,
} from "../src/index.ts";
import { flippedBits } from "./flipped-bits.ts";

const salt = new Uint8Array(32).fill(9);
const event = new Uint8Array([0xa1, 0x61, 0x61, 0x01]);
const opening = encodeOpening({ salt, event });
const commitment = computeCommitment({ salt, event });

describe("an opening", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
        expect(decodeOpening(encodeOpening({ salt, event: bytes }))).toEqual({ salt, event: bytes });
      }),
    );
  });

  test("is the same, and has the same commitment, made alone or with others", () => {
    const openings = fc.array(
      fc.record({
        salt: fc.uint8Array({ minLength: 32, maxLength: 32 }),
        event: fc.uint8Array({ minLength: 1, maxLength: 700 }),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(openings, (all) => {
        expect(encodeOpenings(all)).toEqual(all.map(encodeOpening));
        expect(computeCommitments(all)).toEqual(all.map(computeCommitment));
      }),
    );
    const tooShort = [
      { salt, event },
      { salt: salt.subarray(1), event },
    ];
    expect(() => encodeOpenings(tooShort)).toThrow(TypeError);
    expect(() => computeCommitments(tooShort)).toThrow(TypeError);
    expect(() => computeCommitments([{ salt, event: new Uint8Array() }])).toThrow(RangeError);
    // What failed leaves nothing behind.
    expect(encodeOpenings([{ salt, event }])).toEqual([opening]);
  });

  test("holds an event of 32 KiB and not a byte more", () => {
    const largest = new Uint8Array(32_768);
    expect(decodeOpening(encodeOpening({ salt, event: largest })).event).toEqual(largest);
    expect(() => encodeOpening({ salt, event: new Uint8Array(32_769) })).toThrow(RangeError);
    expect(() => computeCommitment({ salt, event: new Uint8Array(32_769) })).toThrow(RangeError);
    expect(errorCode(() => decodeOpening(encodeCbor([1, salt, new Uint8Array(32_769)])))).toBe("opening-malformed");
  });

  test.each<[string, CborValue]>([
    ["version 2", [2, salt, event]],
    ["a salt of 31 bytes", [1, salt.subarray(1), event]],
    ["a salt in text", [1, "s".repeat(32), event]],
    ["an empty event", [1, salt, new Uint8Array()]],
    ["two parts", [1, salt]],
    ["four parts", [1, salt, event, null]],
    ["a map", { salt, event }],
    ["an event as a map in place of its bytes", [1, salt, { a: {} }]],
    ["null", null],
  ])("is not %s", (_, value) => {
    expect(errorCode(() => decodeOpening(encodeCbor(value)))).toBe("opening-malformed");
  });
});

describe("verifyOpening", () => {
  test("gives salt and event", () => {
    expect(verifyOpening({ opening, commitment })).toEqual({ salt, event });
  });

  test("refuses each flipped bit of the opening", () => {
    for (const flipped of flippedBits(opening)) {
      const code = errorCode(() => verifyOpening({ opening: flipped, commitment }));
      expect(["cbor-malformed", "opening-malformed", "commitment-mismatch"]).toContain(code);
    }
  });

  test("refuses each flipped bit of the commitment", () => {
    for (const flipped of flippedBits(commitment)) {
      expect(errorCode(() => verifyOpening({ opening, commitment: flipped }))).toBe("commitment-mismatch");
    }
  });

  test("takes a commitment of another length for a caller's slip", () => {
    expect(() => verifyOpening({ opening, commitment: commitment.subarray(1) })).toThrow(TypeError);
    expect(() => computeCommitment({ salt: salt.subarray(1), event })).toThrow("salt: expected 32 bytes, got 31");
  });
});
