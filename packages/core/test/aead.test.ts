import { createCipheriv } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encryptPortably, encryptPortablyInRoom } from "../src/aead-portable.ts";
import { type AeadInput, type AeadRoom, concatBytes, encryptAll, encryptAllInRoom } from "../src/index.ts";
import { Kernel } from "../src/kernel.ts";
import { errorCode } from "../../../test/support/errors.ts";

const kernel = Kernel.create();
const inRoom = [
  ...(kernel === undefined ? [] : [{ name: "the kernel", encryptInRoom: kernel.encryptAll.bind(kernel) }]),
  {
    name: "portable code",
    encryptInRoom: (inputs: readonly AeadInput[], room: AeadRoom) =>
      inputs.map((input) => encryptPortablyInRoom(input, room)),
  },
  { name: "what core exports", encryptInRoom: encryptAllInRoom },
];
const implementations = [
  ...inRoom.map(({ name, encryptInRoom }) => ({
    name: `${name}, with room`,
    encryptAll: (inputs: readonly AeadInput[]) =>
      encryptInRoom(inputs, { before: 79, after: 17 }).map(({ bytes, start, end }) => bytes.subarray(start, end)),
  })),
  { name: "what core exports", encryptAll },
];

/** A byte string in which no two places look the same. */
function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 59 + seed * 23 + Math.floor(i / 256)) % 256);
}

function inputOf(dataBytes: number, textBytes: number, seed: number = dataBytes + 256 * textBytes): AeadInput {
  return {
    key: bytesOf(32, seed),
    nonce: bytesOf(24, seed + 1),
    associatedData: bytesOf(dataBytes, seed + 2),
    plaintext: bytesOf(textBytes, seed + 3),
  };
}

/**
 * By node:crypto, which has ChaCha20 and ChaCha20-Poly1305 but not HChaCha20. A block of ChaCha20 less the state that it
 * was made from is what the rounds made; HChaCha20 is its first and last quarter. draft-irtf-cfrg-xchacha-03 §2.2.
 */
function encryptByNode({ key, nonce, associatedData, plaintext }: AeadInput): Uint8Array {
  const block = createCipheriv("chacha20", key, nonce.subarray(0, 16)).update(new Uint8Array(64));
  const constants = Buffer.from("expand 32-byte k");
  const less = (at: number, words: Uint8Array): Uint8Array => {
    const state = Buffer.from(words);
    const rounds = Buffer.alloc(16);
    for (let i = 0; i < 16; i += 4) {
      const difference = block.readUInt32LE(at + i) - state.readUInt32LE(i);
      rounds.writeUInt32LE(difference < 0 ? difference + 2 ** 32 : difference, i);
    }
    return rounds;
  };
  const subkey = concatBytes(less(0, constants), less(48, nonce.subarray(0, 16)));
  const rest = concatBytes(new Uint8Array(4), nonce.subarray(16));
  const cipher = createCipheriv("chacha20-poly1305", subkey, rest, { authTagLength: 16 });
  cipher.setAAD(associatedData, { plaintextLength: plaintext.length });
  const ciphertext = concatBytes(cipher.update(plaintext), cipher.final());
  return concatBytes(ciphertext, cipher.getAuthTag());
}

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

const anyInput: fc.Arbitrary<AeadInput> = fc.record({
  key: bytes(32),
  nonce: bytes(24),
  associatedData: fc.uint8Array({ maxLength: 70 }),
  plaintext: fc.uint8Array({ maxLength: 400 }),
});

describe.each(implementations)("XChaCha20-Poly1305 by $name", ({ encryptAll }) => {
  test("gives what node:crypto and noble give for every text to 400 bytes, in one batch and alone", () => {
    const inputs = Array.from({ length: 401 }, (_, length) => inputOf(length % 37, length));
    const expected = inputs.map(encryptByNode);
    expect(inputs.map(encryptPortably)).toEqual(expected);
    expect(encryptAll(inputs)).toEqual(expected);
    for (const [i, input] of inputs.entries()) expect(encryptAll([input])).toEqual([expected[i]]);
  });

  test("gives what node:crypto gives for every length of associated data to 70", () => {
    const inputs = Array.from({ length: 71 }, (_, length) => inputOf(length, 33));
    expect(encryptAll(inputs)).toEqual(inputs.map(encryptByNode));
  });

  test("gives what node:crypto gives for every number of texts to 20", () => {
    for (let count = 0; count <= 20; count += 1) {
      const inputs = Array.from({ length: count }, (_, i) => inputOf(30, 10 * i, i));
      expect(encryptAll(inputs)).toEqual(inputs.map(encryptByNode));
    }
  });

  test("gives what node:crypto and noble give for any texts, and what decrypts to them", () => {
    fc.assert(
      fc.property(fc.array(anyInput, { maxLength: 12 }), (inputs) => {
        const encrypted = encryptAll(inputs);
        expect(encrypted).toEqual(inputs.map(encryptByNode));
        for (const [i, { key, nonce, associatedData, plaintext }] of inputs.entries()) {
          const cipher = xchacha20poly1305(key, nonce, associatedData);
          expect(cipher.encrypt(plaintext)).toEqual(encrypted[i]);
          expect(cipher.decrypt(encrypted[i] ?? plaintext)).toEqual(plaintext);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("carries where sums are largest: keys, texts and data of all ones", () => {
    const ones = (length: number): Uint8Array => new Uint8Array(length).fill(255);
    const inputs = Array.from({ length: 50 }, (_, i) => ({
      key: ones(32),
      nonce: ones(24),
      associatedData: ones(16 * i),
      plaintext: ones(16 * i),
    }));
    expect(encryptAll(inputs)).toEqual(inputs.map(encryptByNode));
  });

  test("is right for more than the kernel's memory holds at once, and for texts that alone do not fit", () => {
    const inputs = [
      ...Array.from({ length: 2500 }, (_, i) => inputOf(i % 50, i % 60, i)),
      ...[262_016, 262_032, 262_033, 262_144, 300_000, 0, 65_535, 65_535].map((length) => inputOf(0, length)),
      inputOf(262_144, 1),
      inputOf(262_000, 1),
    ];
    const encrypted = encryptAll(inputs);
    const differs = inputs.filter(
      (input, i) => Buffer.compare(encryptByNode(input), encrypted[i] ?? Buffer.of()) !== 0,
    );
    expect(differs).toEqual([]);
  });

  test("leaves its input as it is", () => {
    const input = inputOf(7, 100);
    const before = structuredClone(input);
    encryptAll([input, input]);
    expect(input).toEqual(before);
  });
});

test("encryptAll refuses a key or nonce of another length, says which, and does not show it", () => {
  const input = inputOf(3, 3);
  const wrong = (change: Partial<AeadInput>) => () => encryptAll([input, { ...input, ...change }]);
  for (const length of [0, 31, 33]) expect(errorCode(wrong({ key: new Uint8Array(length) }))).toBe("RangeError");
  for (const length of [0, 12, 23, 25]) expect(errorCode(wrong({ nonce: new Uint8Array(length) }))).toBe("RangeError");
  expect(wrong({ key: new Uint8Array(31) })).toThrow("inputs[1].key: expected 32 bytes, got 31");
});

describe.each(inRoom)("room around ciphertexts by $name", ({ encryptInRoom }) => {
  test.each([
    { before: 0, after: 0 },
    { before: 96, after: 0 },
    { before: 0, after: 96 },
    { before: 79, after: 17 },
  ])("is its caller's, $before bytes before and $after behind: nothing else is there", (room) => {
    const inputs = [
      ...Array.from({ length: 40 }, (_, i) => inputOf(i % 3 === 0 ? 0 : i, 7 * i, i)),
      // Of which each takes nearly all of the kernel's memory, and one does not fit.
      ...[262_016 - room.after, 262_032, 262_033, 300_000, 1].map((length) => inputOf(0, length)),
    ];
    const placed = encryptInRoom(inputs, room);
    for (const { bytes, start, end } of placed) {
      expect(start).toBeGreaterThanOrEqual(room.before);
      expect(end + room.after).toBeLessThanOrEqual(bytes.length);
      bytes.fill(0xa5, start - room.before, start);
      bytes.fill(0x5a, end, end + room.after);
    }
    const differs = inputs.filter((input, i) => {
      const { bytes, start, end } = placed[i] ?? { bytes: Buffer.of(), start: 0, end: 0 };
      return Buffer.compare(encryptByNode(input), bytes.subarray(start, end)) !== 0;
    });
    expect(differs).toEqual([]);
    for (const { bytes, start, end } of placed) {
      expect(bytes.subarray(start - room.before, start).every((byte) => byte === 0xa5)).toBe(true);
      expect(bytes.subarray(end, end + room.after).every((byte) => byte === 0x5a)).toBe(true);
    }
  });
});

test("encryptAllInRoom refuses more room than there is between two texts", () => {
  const room = (before: number, after: number) => () => encryptAllInRoom([], { before, after });
  expect(room(80, 17)).toThrow("room: expected at most 96 bytes, got 97");
  expect(room(79, 17)).not.toThrow();
});
