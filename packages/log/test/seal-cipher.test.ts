import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeHex, encodeHex, utf8 } from "@tallystick/core";
import { computeCommitment, encodeOpening, openSealed, portableSealCipher, sealOpening } from "@tallystick/events";
import { loadSealCipher } from "../src/seal-cipher.ts";

const ciphers = [
  { name: "libsodium", cipher: await loadSealCipher() },
  { name: "portable code", cipher: portableSealCipher },
] as const;

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

test.each(ciphers)("$name encrypts as draft-irtf-cfrg-xchacha-03 appendix A.3.1 does", ({ cipher }) => {
  const input = {
    key: decodeHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    nonce: decodeHex("404142434445464748494a4b4c4d4e4f5051525354555657"),
    associatedData: decodeHex("50515253c0c1c2c3c4c5c6c7"),
  };
  const plaintext = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const sealed = encodeHex(cipher(input, plaintext));
  expect(sealed.slice(0, 32)).toBe("bd6d179d3e83d43b9576579493c0e939");
  expect(sealed.slice(-32)).toBe("c0875924c1c7987947deafd8780acf49");
  expect(sealed).toHaveLength(2 * (plaintext.length + 16));
});

test("both give the same bytes for whatever is sealed", () => {
  const [native, portable] = ciphers;
  const input = fc.record({ key: bytes(32), nonce: bytes(24), associatedData: fc.uint8Array({ maxLength: 100 }) });
  fc.assert(
    fc.property(input, fc.uint8Array({ maxLength: 33_000, size: "max" }), (parts, plaintext) => {
      expect(native.cipher(parts, plaintext)).toEqual(portable.cipher(parts, plaintext));
    }),
    { numRuns: 50 },
  );
});

test("what libsodium sealed, portable code opens", () => {
  const [{ cipher }] = ciphers;
  const contents = { salt: new Uint8Array(32).fill(4), event: decodeHex("a1616101") };
  const [opening, commitment] = [encodeOpening(contents), computeCommitment(contents)];
  const [key, nonce] = [new Uint8Array(32).fill(2), new Uint8Array(24).fill(3)];
  const sealed = sealOpening({ class: "auth", day: 20_413, nonce, key, commitment, opening, cipher });
  expect(openSealed({ sealed, key, commitment })).toEqual(opening);
  expect(sealed).toEqual(sealOpening({ class: "auth", day: 20_413, nonce, key, commitment, opening }));
});
