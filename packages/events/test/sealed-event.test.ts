import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type CborValue,
  computeCommitment,
  decodeCbor,
  decodeSealed,
  encodeCbor,
  encodeOpening,
  keyFingerprint,
  openSealed,
  sealKey,
  sealOpening,
} from "../src/index.ts";
import { flippedBits } from "./flipped-bits.ts";

const classDayKey = new Uint8Array(32).fill(1);
const personKey = new Uint8Array(32).fill(2);
const nonce = new Uint8Array(24).fill(3);
const salt = new Uint8Array(32).fill(4);
const event = new Uint8Array([0xa1, 0x61, 0x61, 0x01]);
const opening = encodeOpening({ salt, event });
const commitment = computeCommitment({ salt, event });
const key = sealKey({ classDayKey, personKey });
const sealed = sealOpening({ class: "auth", day: 20_413, nonce, key, commitment, opening });

function openWith(changes: Partial<Parameters<typeof openSealed>[0]>): string | undefined {
  return errorCode(() => openSealed({ sealed, key, commitment, ...changes }));
}

describe("a sealed event", () => {
  test("opens with its key and its commitment, encoded or decoded", () => {
    expect(openSealed({ sealed, key, commitment })).toEqual(opening);
    expect(openSealed({ sealed: decodeSealed(sealed), key, commitment })).toEqual(opening);
  });

  test("opens with no other key", () => {
    const others = [
      sealKey({ classDayKey, personKey: null }),
      sealKey({ classDayKey: personKey, personKey: classDayKey }),
      sealKey({ classDayKey: personKey, personKey }),
      personKey,
    ];
    for (const other of others) expect(openWith({ key: other })).toBe("sealed-unopenable");
  });

  test("opens for no other leaf, even where both were sealed with one key", () => {
    expect(openWith({ commitment: new Uint8Array(32) })).toBe("sealed-unopenable");
  });

  test("does not open to contents that the leaf does not commit to, though the log itself sealed them", () => {
    const forged = encodeOpening({ salt, event: new Uint8Array([0xa0]) });
    const other = sealOpening({ class: "auth", day: 20_413, nonce, key, commitment, opening: forged });
    expect(openWith({ sealed: other })).toBe("commitment-mismatch");
    const noOpening = sealOpening({ class: "auth", day: 20_413, nonce, key, commitment, opening: event });
    expect(openWith({ sealed: noOpening })).toBe("opening-malformed");
  });

  test("is refused with any bit flipped, or asks for the key of another class or day", () => {
    const flips = [...flippedBits(sealed)];
    const codes = new Set(flips.map((flipped) => openWith({ sealed: flipped })));
    expect(codes).toEqual(new Set([undefined, "cbor-malformed", "sealed-malformed", "sealed-unopenable"]));
    const opened = flips.filter((flipped) => openWith({ sealed: flipped }) === undefined);
    expect(opened.map(nameOf)).not.toContainEqual(["auth", 20_413]);
  });

  test.each<[string, number, CborValue]>([
    ["version 2", 0, 2],
    ["a class in capitals", 1, "AUTH"],
    ["a negative day", 2, -1],
    ["day 2^32", 2, 2 ** 32],
    ["a nonce of 12 bytes", 3, new Uint8Array(12)],
    ["a ciphertext of a tag alone", 4, new Uint8Array(16)],
    ["a ciphertext in text", 4, "x".repeat(60)],
  ])("has not %s", (_, at, part) => {
    const parts = [...(decodeCbor(sealed) as CborValue[])];
    parts[at] = part;
    expect(errorCode(() => decodeSealed(encodeCbor(parts)))).toBe("sealed-malformed");
  });

  test("is not made from keys, nonces and days of another size", () => {
    const good = { class: "auth", day: 0, nonce, key, commitment, opening };
    expect(() => sealOpening({ ...good, nonce: nonce.subarray(1) })).toThrow("nonce: expected 24 bytes, got 23");
    expect(() => sealOpening({ ...good, key: key.subarray(1) })).toThrow(TypeError);
    expect(() => sealOpening({ ...good, day: 0.5 })).toThrow(RangeError);
    expect(() => sealOpening({ ...good, class: "A" })).toThrow(TypeError);
    expect(() => sealKey({ classDayKey, personKey: new Uint8Array() })).toThrow(TypeError);
    expect(() => keyFingerprint(new Uint8Array(16))).toThrow("key: expected 32 bytes, got 16");
  });
});

function nameOf(bytes: Uint8Array): [string, number] {
  const decoded = decodeSealed(bytes);
  return [decoded.class, decoded.day];
}
