import { Point } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as native from "../src/crypto-node.ts";
import * as portable from "../src/crypto-portable.ts";
import { isStrictEd25519, littleEndian } from "../src/ed25519-strict.ts";
import { concatBytes, decodeHex, encodeHex, sha256, utf8 } from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";

const implementations = [
  { name: "node:crypto", ...native },
  { name: "portable code", ...portable },
] as const;

interface WycheproofTest {
  readonly tcId: number;
  readonly comment: string;
  readonly msg: string;
  readonly ctx?: string;
  readonly sig: string;
  readonly result: "valid" | "invalid";
}

interface Wycheproof<Key> {
  readonly numberOfTests: number;
  readonly testGroups: readonly ({ readonly tests: readonly WycheproofTest[] } & Key)[];
}

describeWithVectors("Wycheproof", () => {
  test("C-40 Ed25519: all 151 verdicts, of both implementations", () => {
    const file = readVectorJson<Wycheproof<{ publicKey: { pk: string } }>>("crypto/ed25519-wycheproof.json");
    let count = 0;
    for (const { publicKey, tests } of file.testGroups) {
      for (const { tcId, comment, msg, sig, result } of tests) {
        for (const { name, ed25519Verify } of implementations) {
          const verdict = ed25519Verify(decodeHex(publicKey.pk), decodeHex(msg), decodeHex(sig));
          expect(verdict, `${tcId} ${comment}, ${name}`).toBe(result === "valid");
        }
        count += 1;
      }
    }
    expect([count, file.numberOfTests]).toEqual([151, 151]);
  });

  test("C-71 ML-DSA-44: all 180 verdicts, of both implementations; another context is another signature", () => {
    const file = readVectorJson<Wycheproof<{ publicKey: string }>>("crypto/mldsa44-verify-wycheproof.json");
    let count = 0;
    for (const { publicKey, tests } of file.testGroups) {
      for (const { tcId, comment, msg, ctx = "", sig, result } of tests) {
        for (const { name, mldsa44Verify } of implementations) {
          const verdict = mldsa44Verify(decodeHex(publicKey), decodeHex(msg), decodeHex(sig));
          expect(verdict, `${tcId} ${comment}, ${name}`).toBe(result === "valid" && ctx === "");
        }
        count += 1;
      }
    }
    expect([count, file.numberOfTests]).toEqual([180, 180]);
  });
});

/** The kinds of "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko), made here from their description. */
describe("C-40 what RFC 8032 leaves open for Ed25519", () => {
  const P = 2n ** 255n - 19n;
  const L = Point.CURVE().n;
  /** A point of order 8 from the paper. */
  const T8 = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa");
  const torsion = Array.from({ length: 8 }, (_, i) => T8.multiplyUnsafe(BigInt(i)));
  const [a, r] = [0x1234_5678_9abc_def0n ** 3n % L, 0xfeed_beefn ** 7n % L];

  const encode = (value: bigint): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, i) => Number((value / 256n ** BigInt(i)) % 256n));

  /** S for a nonce point of discrete logarithm `nonce` that is encoded as `R`. */
  function signature(R: Uint8Array, nonce: bigint, A: Uint8Array, secret: bigint, message: Uint8Array): Uint8Array {
    const k = littleEndian(sha512(concatBytes(R, A, message))) % L;
    return concatBytes(R, encode((nonce + k * secret) % L));
  }

  function expectVerdict(verdict: boolean, A: Uint8Array, message: Uint8Array, signed: Uint8Array): void {
    for (const { name, ed25519Verify } of implementations) {
      expect(ed25519Verify(A, message, signed), `${name}: ${encodeHex(A)} ${encodeHex(signed)}`).toBe(verdict);
    }
  }

  const messages = Array.from({ length: 12 }, (_, i) => utf8(`message ${i}`));

  test("the torsion points are eight, of orders 1, 2, 4 and 8", () => {
    expect(new Set(torsion.map((point) => point.toHex())).size).toBe(8);
    expect(torsion.every((point) => point.isSmallOrder())).toBe(true);
  });

  test("decides without the cofactor where A and R have torsion parts", () => {
    let accepted = 0;
    for (const [i, inKey] of torsion.entries()) {
      for (const [j, inNonce] of torsion.entries()) {
        const A = Point.BASE.multiplyUnsafe(a).add(inKey).toBytes();
        const R = Point.BASE.multiplyUnsafe(r).add(inNonce).toBytes();
        for (const message of messages.slice(0, 4)) {
          const k = littleEndian(sha512(concatBytes(R, A, message))) % L;
          // S·B = R + k·A without the cofactor only when the torsion parts cancel; times 8 it always holds.
          const holds = (BigInt(j) + k * BigInt(i)) % 8n === 0n;
          expectVerdict(holds, A, message, signature(R, r, A, a, message));
          if (holds) accepted += 1;
        }
      }
    }
    expect([accepted > 8, accepted < 200]).toEqual([true, true]);
  });

  test("refuses R of small order, which node:crypto does where its equation holds", () => {
    let holding = 0;
    for (const [i, inKey] of torsion.entries()) {
      for (const [j, inNonce] of torsion.entries()) {
        const A = Point.BASE.multiplyUnsafe(a).add(inKey).toBytes();
        for (const message of messages) {
          const R = inNonce.toBytes();
          const k = littleEndian(sha512(concatBytes(R, A, message))) % L;
          if ((BigInt(j) + k * BigInt(i)) % 8n === 0n) holding += 1;
          expectVerdict(false, A, message, signature(R, 0n, A, a, message));
        }
      }
    }
    expect(holding).toBeGreaterThan(20);
  });

  test("refuses a key of small order, whatever the equation says", () => {
    for (const inKey of torsion) {
      const A = inKey.toBytes();
      for (const inNonce of torsion) {
        for (const message of messages) {
          const R = Point.BASE.multiplyUnsafe(r).add(inNonce).toBytes();
          expectVerdict(false, A, message, signature(R, r, A, 0n, message));
        }
        expectVerdict(false, A, utf8("S is 0"), concatBytes(inNonce.toBytes(), new Uint8Array(32)));
      }
    }
  });

  /** Encodings that name a point by y + p, or with the sign bit of x = 0: of small order, and of others. */
  const nonCanonical = Array.from({ length: 19 }, (_, y) => [P + BigInt(y), P + BigInt(y) + 2n ** 255n])
    .flat()
    .concat([1n + 2n ** 255n, P - 1n + 2n ** 255n])
    .map(encode);

  test("refuses every encoding of R that is not canonical", () => {
    const A = Point.BASE.multiplyUnsafe(a).toBytes();
    for (const R of nonCanonical) {
      for (const message of messages.slice(0, 2)) expectVerdict(false, A, message, signature(R, 0n, A, a, message));
    }
  });

  test("refuses every encoding of A that is not canonical", () => {
    const R = Point.BASE.multiplyUnsafe(r).toBytes();
    for (const A of nonCanonical) {
      for (const message of messages) expectVerdict(false, A, message, signature(R, r, A, 0n, message));
    }
  });

  test("refuses S of L or more", () => {
    const seed = sha256(utf8("seed"));
    const A = native.ed25519PublicKey(seed);
    const signed = native.ed25519Sign(seed, utf8("text"));
    expectVerdict(true, A, utf8("text"), signed);
    const S = littleEndian(signed.subarray(32));
    for (const added of Array.from({ length: 15 }, (_, i) => L * BigInt(i + 1))) {
      if (S + added < 2n ** 256n) {
        expectVerdict(false, A, utf8("text"), concatBytes(signed.subarray(0, 32), encode(S + added)));
      }
    }
    expectVerdict(false, A, utf8("text"), concatBytes(signed.subarray(0, 32), encode(L)));
  });

  test("what is looked at all is what the bounds say as whole numbers", () => {
    const top = 2n ** 256n - 1n;
    const smallOrderYs = new Set(torsion.map((point) => littleEndian(point.toBytes()) % 2n ** 255n));
    const bounds = [0n, L, P, 2n ** 252n, 2n ** 255n, L + 2n ** 255n, P + 2n ** 255n, top, ...smallOrderYs];
    const near = bounds.flatMap((bound) =>
      [-257n, -256n, -255n, -2n, -1n, 0n, 1n, 2n, 255n, 256n].map((away) => bound + away),
    );
    const values = near.filter((value) => value >= 0n && value <= top);
    const isPoint = (value: bigint): boolean => value % 2n ** 255n < P && !smallOrderYs.has(value % 2n ** 255n);
    for (const value of values) {
      const [fitPoint, fitS] = [encode(9n), encode(1n)];
      const encoded = encode(value);
      expect(isStrictEd25519(encoded, concatBytes(fitPoint, fitS))).toBe(isPoint(value));
      expect(isStrictEd25519(fitPoint, concatBytes(encoded, fitS))).toBe(isPoint(value));
      expect(isStrictEd25519(fitPoint, concatBytes(fitPoint, encoded))).toBe(value < L);
    }
  });

  test("refuses keys that are no point, and keys and signatures of another length", () => {
    const seed = sha256(utf8("seed"));
    const A = native.ed25519PublicKey(seed);
    const signed = native.ed25519Sign(seed, utf8("text"));
    let noPoint = 0;
    for (let y = 2n; y < 20n; y += 1n) {
      if (pointOf(encode(y)) !== undefined) continue;
      noPoint += 1;
      expectVerdict(false, encode(y), utf8("text"), signed);
    }
    expect(noPoint).toBeGreaterThan(5);
    for (const length of [0, 31, 33, 64]) expectVerdict(false, new Uint8Array(length).fill(7), utf8("text"), signed);
    for (const length of [0, 32, 63, 65]) expectVerdict(false, A, utf8("text"), new Uint8Array(length));
  });

  function pointOf(bytes: Uint8Array): Point | undefined {
    try {
      return Point.fromBytes(bytes);
    } catch {
      return undefined;
    }
  }

  test("both give one verdict on arbitrary keys and signatures, and on altered ones", () => {
    const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ maxLength: 40 }), fc.nat(511), bytes(32), (seed, message, bit, other) => {
        const A = native.ed25519PublicKey(seed);
        const signed = native.ed25519Sign(seed, message);
        const altered = signed.slice();
        const at = Math.floor(bit / 8);
        altered[at] = Number(altered[at]) ^ (2 ** (bit % 8));
        expectVerdict(true, A, message, signed);
        expectVerdict(false, A, message, altered);
        expectVerdict(portable.ed25519Verify(other, message, signed), other, message, signed);
      }),
      { numRuns: 100 },
    );
  });
});

describe("keys and signatures", () => {
  test("Ed25519: both make the same key and the same signature of a seed", () => {
    for (let i = 0; i < 20; i += 1) {
      const seed = sha256(Uint8Array.of(i));
      const message = utf8("x".repeat(i * 17));
      expect(native.ed25519PublicKey(seed)).toEqual(portable.ed25519PublicKey(seed));
      expect(native.ed25519Sign(seed, message)).toEqual(portable.ed25519Sign(seed, message));
    }
  });

  test("C-71 ML-DSA-44: both make the same key; what one signs the other verifies, hedged or deterministic", () => {
    const message = utf8("text");
    for (let i = 0; i < 5; i += 1) {
      const seed = sha256(Uint8Array.of(i));
      const publicKey = native.mldsa44PublicKey(seed);
      expect(publicKey).toEqual(portable.mldsa44PublicKey(seed));
      const { secretKey } = ml_dsa44.keygen(seed);
      const signatures = [
        native.mldsa44Sign(seed, message),
        portable.mldsa44Sign(seed, message),
        ml_dsa44.sign(message, secretKey, { extraEntropy: false }),
      ];
      for (const signed of signatures) {
        for (const { mldsa44Verify } of implementations) {
          expect(mldsa44Verify(publicKey, message, signed)).toBe(true);
          expect(mldsa44Verify(publicKey, utf8("test"), signed)).toBe(false);
        }
      }
      expect(native.mldsa44Sign(seed, message)).not.toEqual(signatures[0]);
    }
  });

  test("one seed may serve both algorithms", () => {
    const seed = new Uint8Array(32).fill(9);
    for (const { ed25519PublicKey, mldsa44PublicKey } of implementations) {
      expect([ed25519PublicKey(seed).length, mldsa44PublicKey(seed).length]).toEqual([32, 1312]);
    }
  });

  test("verifies under more keys than are kept parsed", () => {
    const seeds = Array.from({ length: 300 }, (_, i) => sha256(utf8(`seed ${i}`)));
    const signed = seeds.map((seed) => native.ed25519Sign(seed, seed));
    for (const [i, seed] of seeds.entries()) {
      expect(native.ed25519Verify(native.ed25519PublicKey(seed), seed, signed[i] ?? new Uint8Array())).toBe(true);
    }
  });

  test("a key is what its bytes are when it is used, whatever they were before", () => {
    const [first, second, message] = [sha256(utf8("first")), sha256(utf8("second")), utf8("text")];
    for (const { ed25519PublicKey, ed25519Sign, ed25519Verify } of implementations) {
      const [bySecond, key] = [ed25519Sign(second, message), new Uint8Array(ed25519PublicKey(first))];
      expect(ed25519Verify(key, message, ed25519Sign(first, message))).toBe(true);
      expect(ed25519Verify(key, message, bySecond)).toBe(false);
      key.set(ed25519PublicKey(second));
      expect(ed25519Verify(key, message, bySecond)).toBe(true);
      // The point of order 1, under which a signature of anything by S = 0 would hold.
      key.fill(0).set([1]);
      expect(ed25519Verify(key, message, bySecond)).toBe(false);
    }
  });

  test.each([0, 31, 33, 64])("refuses a seed of %i bytes without showing it", (length) => {
    const seed = new Uint8Array(length).fill(0xab);
    for (const { ed25519PublicKey, ed25519Sign, mldsa44PublicKey, mldsa44Sign } of implementations) {
      for (const use of [ed25519PublicKey, mldsa44PublicKey]) {
        expect(() => use(seed)).toThrow(new RangeError(`seed: expected 32 bytes, got ${length}`));
      }
      for (const use of [ed25519Sign, mldsa44Sign]) expect(errorCode(() => use(seed, utf8("text")))).toBe("RangeError");
    }
  });

  test("SHA-256 of both is the same at every length to 300", () => {
    for (let length = 0; length <= 300; length += 1) {
      const data = new Uint8Array(length).fill(length % 256);
      expect(native.sha256(data)).toEqual(new Uint8Array(portable.sha256(data)));
    }
  });
});

describe.each([
  { name: "node:crypto", codeUnitsOf: native.codeUnitsOf },
  { name: "portable code", codeUnitsOf: portable.codeUnitsOf },
])("code units by $name", ({ codeUnitsOf }) => {
  test("are those of the text, whatever is in it, and however long it is", () => {
    const texts = [
      "",
      "a",
      "\u0000\u007f\u0080\u00ff\u0100—\u{1f38b}\ud800",
      "\udc00",
      "é".repeat(4096),
      "x—".repeat(2049),
    ];
    for (const text of texts) {
      const units = codeUnitsOf(text);
      expect(String.fromCharCode(...units.subarray(0, text.length))).toBe(text);
    }
  });
});
