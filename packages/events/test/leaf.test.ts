import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type CborValue,
  type Chain,
  EventError,
  type Leaf,
  claimOfLeaf,
  decodeCbor,
  decodeLeaf,
  encodeCbor,
  encodeLeaf,
  encodeLeaves,
  readLoggedAt,
} from "../src/index.ts";
import { decodeLeafGenerally, encodeLeafGenerally } from "../src/leaf.ts";
import { flippedBits } from "./flipped-bits.ts";
import { outcomeOf } from "./outcome.ts";

const MAX = Number.MAX_SAFE_INTEGER;

function bytes(length: number, fill = 1): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

const chain: Chain = { tag: bytes(16), n: 2, prev: 7 };

const signed: Leaf = {
  loggedAt: 1_763_712_000_500,
  stream: bytes(16, 2),
  sequence: 9,
  class: "auth",
  commitment: bytes(32, 3),
  session: { tag: bytes(16, 4), n: 0, prev: null },
  actor: chain,
  subject: chain,
  tenant: chain,
  signature: { count: 9, signature: bytes(64, 5) },
};
const first: Leaf = { ...signed, sequence: 1, stream: bytes(48, 2), signature: { count: 1, signature: bytes(64, 5) } };
const unsigned: Leaf = { ...signed, sequence: null, signature: null, session: null, actor: null, subject: null };

function partsOf(leaf: Leaf): CborValue[] {
  return [...(decodeCbor(encodeLeaf(leaf)) as CborValue[])];
}

/** The leaf's bytes with one part put in place of another, whether or not it belongs there. */
function withPart(leaf: Leaf, at: number, part: CborValue): Uint8Array {
  const parts = partsOf(leaf);
  parts[at] = part;
  return encodeCbor(parts);
}

function fieldOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    if (error instanceof EventError && error.code === "leaf-malformed") return error.details["field"];
    throw error;
  }
  return undefined;
}

const tag = fc.uint8Array({ minLength: 16, maxLength: 16 });
const chains: fc.Arbitrary<Chain | null> = fc.oneof(
  fc.constant(null),
  tag.map((value) => ({ tag: value, n: 0, prev: null })),
  fc.record({ tag, n: fc.integer({ min: 1, max: MAX }), prev: fc.integer({ min: 0, max: MAX }) }),
);
const leaves: fc.Arbitrary<Leaf> = fc
  .record({
    loggedAt: fc.integer({ min: 0, max: MAX }),
    sequence: fc.oneof(fc.constant(null), fc.constant(1), fc.integer({ min: 1, max: MAX })),
    class: fc.stringMatching(/^[a-z0-9-]{1,32}$/),
    commitment: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    session: chains,
    actor: chains,
    subject: chains,
    tenant: chains,
    count: fc.option(fc.integer({ min: 1, max: 1000 })),
  })
  .map(({ count, ...leaf }) => ({
    ...leaf,
    stream: bytes(leaf.sequence === 1 ? 48 : 16),
    signature:
      count === null || leaf.sequence === null ? null : { count: Math.min(count, leaf.sequence), signature: bytes(64) },
  }));

describe("encodeLeaves", () => {
  test("gives what encodeLeaf gives of each", () => {
    fc.assert(
      fc.property(fc.array(leaves, { maxLength: 20 }), (some) => {
        expect(encodeLeaves(some)).toEqual(some.map(encodeLeaf));
      }),
    );
  });

  test("refuses all where one is no leaf", () => {
    expect(errorCode(() => encodeLeaves([signed, { ...signed, sequence: 0 }, unsigned]))).toBe("leaf-malformed");
  });
});

describe("encodeLeaf", () => {
  test("writes what decodeLeaf reads", () => {
    fc.assert(
      fc.property(leaves, (leaf) => {
        expect(decodeLeaf(encodeLeaf(leaf))).toEqual(leaf);
      }),
    );
  });

  test("stays within 342 bytes", () => {
    const longest: Chain = { tag: bytes(16), n: MAX, prev: MAX };
    const all = {
      session: longest,
      actor: longest,
      subject: longest,
      tenant: longest,
      class: "c".repeat(32),
      loggedAt: MAX,
    };
    const sizes = [
      encodeLeaf({ ...first, ...all }),
      encodeLeaf({ ...signed, ...all, sequence: MAX, signature: { count: 1000, signature: bytes(64) } }),
    ].map(({ length }) => length);
    expect(Math.max(...sizes)).toBe(342);
  });

  test("refuses to write what would not be read", () => {
    expect(fieldOf(() => encodeLeaf({ ...signed, class: "Auth" }))).toBe("class");
    expect(fieldOf(() => encodeLeaf({ ...signed, stream: bytes(48) }))).toBe("stream");
    expect(fieldOf(() => encodeLeaf({ ...signed, loggedAt: -1 }))).toBe("logged-at");
    expect(fieldOf(() => encodeLeaf({ ...signed, loggedAt: 1.5 }))).toBe("logged-at");
  });
});

describe("decodeLeaf", () => {
  test.each<[string, Leaf, number, CborValue, string]>([
    ["version 0", signed, 0, 0, "version"],
    ["version 2", signed, 0, 2, "version"],
    ["a version in text", signed, 0, "1", "version"],
    ["a negative logged-at", signed, 1, -1, "logged-at"],
    ["a logged-at of null", signed, 1, null, "logged-at"],
    ["a stream of 15 bytes", signed, 2, bytes(15), "stream"],
    ["a stream of 48 bytes at sequence 9", signed, 2, bytes(48), "stream"],
    ["a stream of 16 bytes at sequence 1", first, 2, bytes(16), "stream"],
    ["a stream of 48 bytes without a sequence", unsigned, 2, bytes(48), "stream"],
    ["a stream in text", signed, 2, "a".repeat(16), "stream"],
    ["sequence 0", signed, 3, 0, "sequence"],
    ["a negative sequence", signed, 3, -9, "sequence"],
    ["a sequence of false", signed, 3, false, "sequence"],
    ["an empty class", signed, 4, "", "class"],
    ["a class of 33 characters", signed, 4, "a".repeat(33), "class"],
    ["a class in capitals", signed, 4, "Auth", "class"],
    ["a class with a line break", signed, 4, "auth\n", "class"],
    ["a class with a dot", signed, 4, "auth.login", "class"],
    ["a class of null", signed, 4, null, "class"],
    ["a commitment of 31 bytes", signed, 5, bytes(31), "commitment"],
    ["a commitment of null", signed, 5, null, "commitment"],
    ["a chain that is a map", signed, 6, {}, "session"],
    ["a chain of two parts", signed, 6, [bytes(16), 0], "session"],
    ["a chain of four parts", signed, 7, [bytes(16), 0, null, null], "actor"],
    ["a tag of 15 bytes", signed, 7, [bytes(15), 0, null], "actor.tag"],
    ["a tag of null", signed, 8, [null, 0, null], "subject.tag"],
    ["a negative n", signed, 8, [bytes(16), -1, null], "subject.n"],
    ["n 0 with a prev", signed, 9, [bytes(16), 0, 0], "tenant.prev"],
    ["n 1 without a prev", signed, 9, [bytes(16), 1, null], "tenant.prev"],
    ["a negative prev", signed, 9, [bytes(16), 1, -1], "tenant.prev"],
    ["a signature without a sequence", unsigned, 10, [1, bytes(64)], "signature"],
    ["a bare signature", signed, 10, bytes(64), "signature"],
    ["a signature of 63 bytes", signed, 10, [1, bytes(63)], "signature.signature"],
    ["a count of 0", signed, 10, [0, bytes(64)], "signature.count"],
    ["a count above the sequence", signed, 10, [10, bytes(64)], "signature.count"],
    ["a count of 1001", { ...signed, sequence: 5000 }, 10, [1001, bytes(64)], "signature.count"],
  ])("refuses %s", (_, leaf, at, part, field) => {
    expect(fieldOf(() => decodeLeaf(withPart(leaf, at, part)))).toBe(field);
  });

  test("refuses another number of parts, other CBOR, and bytes that are none", () => {
    const parts = partsOf(signed);
    expect(fieldOf(() => decodeLeaf(encodeCbor(parts.slice(0, 10))))).toBe("leaf");
    expect(fieldOf(() => decodeLeaf(encodeCbor([...parts, null])))).toBe("leaf");
    expect(fieldOf(() => decodeLeaf(encodeCbor({})))).toBe("leaf");
    expect(fieldOf(() => decodeLeaf(encodeCbor([])))).toBe("version");
    expect(errorCode(() => decodeLeaf(new Uint8Array()))).toBe("cbor-malformed");
    expect(errorCode(() => decodeLeaf(encodeLeaf(signed).subarray(1)))).toBe("cbor-malformed");
  });

  test("is total: any bytes are a leaf or an EventError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        expect([undefined, "cbor-malformed", "leaf-malformed"]).toContain(errorCode(() => decodeLeaf(input)));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["signed", signed],
    ["first", first],
    ["unsigned", unsigned],
  ])("refuses each flipped bit of a %s leaf, or reads another leaf that has just those bytes", (_, leaf) => {
    const encoded = encodeLeaf(leaf);
    for (const flipped of flippedBits(encoded)) {
      if (errorCode(() => decodeLeaf(flipped)) !== undefined) continue;
      const other = decodeLeaf(flipped);
      expect(other).not.toEqual(leaf);
      expect(encodeLeaf(other)).toEqual(flipped);
    }
  });
});

describe("the quick way to read and write a leaf", () => {
  const odd: readonly CborValue[] = [
    null,
    true,
    0,
    1,
    -1,
    1000,
    1001,
    MAX,
    "",
    "auth",
    "Auth",
    "a".repeat(32),
    "a".repeat(33),
    "é",
    ...[15, 16, 17, 31, 32, 33, 48, 63, 64, 65].map((length) => bytes(length)),
    [],
    [bytes(16), 0, null],
    [bytes(16), 0, 0],
    [bytes(16), 1, null],
    [bytes(16), 1, 0],
    [bytes(15), 1, 0],
    [bytes(16), MAX, MAX],
    [bytes(16), -1, 0],
    [bytes(16), 1, 0, 0],
    [1, bytes(64)],
    [0, bytes(64)],
    [1000, bytes(64)],
    [1001, bytes(64)],
    [1, bytes(63)],
    {},
  ];

  function expectAgreement(encoded: Uint8Array): void {
    expect(outcomeOf(() => decodeLeaf(encoded))).toEqual(outcomeOf(() => decodeLeafGenerally(encoded)));
    const loggedAt = outcomeOf(() => decodeLeafGenerally(encoded).loggedAt);
    expect(outcomeOf(() => readLoggedAt(encoded))).toEqual(loggedAt);
  }

  test("reads what the general way reads, with any part in the place of another", () => {
    for (const leaf of [signed, first, unsigned]) {
      for (let at = 0; at < 11; at += 1) for (const part of odd) expectAgreement(withPart(leaf, at, part));
      for (let size = 0; size < 11; size += 1) expectAgreement(encodeCbor(partsOf(leaf).slice(0, size)));
      expectAgreement(encodeCbor([...partsOf(leaf), null]));
    }
  });

  test("reads what the general way reads, with any byte changed, added or left out", () => {
    fc.assert(
      fc.property(leaves, fc.nat(), fc.nat(255), fc.nat(2), (leaf, place, byte, kind) => {
        const encoded = [...encodeLeaf(leaf)];
        encoded.splice(place % encoded.length, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [byte]));
        expectAgreement(Uint8Array.from(encoded));
      }),
      { numRuns: 2_000 },
    );
  });

  test("reads what the general way reads, with integers of every size in any form", () => {
    const heads = ["00", "17", "1817", "1818", "1900ff", "190100", "1a0000ffff", "1a00010000", "1b00000000ffffffff"];
    const long = [
      "1b0000000100000000",
      "1b001fffffffffffff",
      "1b0020000000000000",
      "1bffffffffffffffff",
      "1f",
      "f6",
      "19ff",
    ];
    for (const head of [...heads, ...long]) {
      const [before, after] = [encodeLeaf(unsigned).subarray(0, 2), encodeLeaf(unsigned).subarray(11)];
      expectAgreement(Uint8Array.from([...before, ...Buffer.from(head, "hex"), ...after]));
    }
  });

  test("writes what the general way writes, and refuses what it refuses", () => {
    const values: readonly unknown[] = [
      ...odd,
      undefined,
      1.5,
      Number.NaN,
      2 ** 53,
      chain,
      { ...chain, n: 0 },
      signed.signature,
    ];
    for (const leaf of [signed, first, unsigned]) {
      for (const field of Object.keys(leaf)) {
        for (const value of values) {
          const changed = { ...leaf, [field]: value } as Leaf;
          expect(outcomeOf(() => encodeLeaf(changed))).toEqual(outcomeOf(() => encodeLeafGenerally(changed)));
        }
      }
    }
  });
});

describe("claimOfLeaf", () => {
  test("takes what the sender signed", () => {
    const { class: retention, commitment } = signed;
    expect(claimOfLeaf(signed)).toEqual({ sequence: 9, class: retention, commitment, sessionTag: bytes(16, 4) });
    expect(claimOfLeaf({ ...signed, session: null }).sessionTag).toBeNull();
  });

  test("refuses the leaf of an unsigned event", () => {
    expect(() => claimOfLeaf(unsigned)).toThrow(TypeError);
  });
});
