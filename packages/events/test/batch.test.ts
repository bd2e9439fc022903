import { ed25519PublicKey, equalBytes } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type CborValue,
  EventError,
  type Leaf,
  type Opening,
  type TallyEvent,
  type VerifiedBatch,
  batchMessage,
  batchRoot,
  computeCommitment,
  decodeBatch,
  decodeCbor,
  encodeBatch,
  encodeCbor,
  encodeClaim,
  encodeEvent,
  proveBatchOrigin,
  sessionTag,
  signBatch,
  streamId,
  verifyBatch,
  verifyBatchOrigin,
} from "../src/index.ts";
import { flippedBits } from "./flipped-bits.ts";

const origin = "example.com/app";
const seed = new Uint8Array(32).fill(1);
const publicKey = ed25519PublicKey(seed);
const instance = new Uint8Array(16).fill(2);
const sender = { publicKey, instance };
const sessionId = "ab".repeat(32);

function entry(i: number, fields: Partial<TallyEvent> = {}): Opening {
  const id = `019aa56d-6000-7000-8000-${String(i).padStart(12, "0")}`;
  const event: TallyEvent = { id, time: 1_763_712_000_000 + i, type: "shop.sale", outcome: "success", ...fields };
  return { salt: new Uint8Array(32).fill(i), event: encodeEvent(event) };
}

function entriesOf(count: number): Opening[] {
  return Array.from({ length: count }, (_, i) => entry(i, i % 2 === 1 ? { session: { id: sessionId } } : {}));
}

function sign(entries: readonly Opening[], first = 1): Uint8Array {
  return signBatch({ origin, seed, ...sender, first, entries });
}

const entries = entriesOf(3);
const batch = sign(entries);

function codeOf(bytes: Uint8Array, at = origin): string | undefined {
  return errorCode(() => verifyBatch({ origin: at, batch: bytes }));
}

function withPart(at: number, part: CborValue): Uint8Array {
  const parts = [...(decodeCbor(batch) as CborValue[])];
  parts[at] = part;
  return encodeCbor(parts);
}

describe("signBatch", () => {
  test("gives the same bytes each time, so that they can be sent again", () => {
    expect(sign(entries)).toEqual(batch);
  });

  test("takes 1 to 1,000 entries", () => {
    expect(() => sign([])).toThrow(RangeError);
    expect(decodeBatch(sign(entriesOf(1000))).entries).toHaveLength(1000);
    expect(() => sign(entriesOf(1001))).toThrow(RangeError);
  });

  test("keeps every sequence a safe integer from 1", () => {
    expect(() => sign(entries, 0)).toThrow(RangeError);
    expect(codeOf(sign(entries, Number.MAX_SAFE_INTEGER - 2))).toBeUndefined();
    expect(() => sign(entries, Number.MAX_SAFE_INTEGER - 1)).toThrow(RangeError);
  });

  test("says which entry is no event", () => {
    const broken = { salt: new Uint8Array(32), event: new Uint8Array([0xa0]) };
    const details = detailsOf(() => sign([...entries, broken]));
    expect(details["entry"]).toBe(3);
  });
});

describe("decodeBatch", () => {
  test("reads what was written, and writes the same bytes again", () => {
    const decoded = decodeBatch(batch);
    expect(decoded).toMatchObject({ publicKey, instance, first: 1, entries });
    expect(encodeBatch(decoded)).toEqual(batch);
  });

  test.each<[string, number, CborValue]>([
    ["version 2", 0, 2],
    ["a public key of 31 bytes", 1, publicKey.subarray(1)],
    ["an instance of 32 bytes", 2, publicKey],
    ["first 0", 3, 0],
    ["first above what leaves room for the last", 3, Number.MAX_SAFE_INTEGER - 1],
    ["no entries", 4, []],
    ["entries in a map", 4, {}],
    ["an entry of one part", 4, [[new Uint8Array(32)]]],
    ["a salt of 16 bytes", 4, [[new Uint8Array(16), new Uint8Array(9)]]],
    ["an empty event", 4, [[new Uint8Array(32), new Uint8Array()]]],
    ["an event above 32 KiB", 4, [[new Uint8Array(32), new Uint8Array(32_769)]]],
    ["an event that is a map", 4, [[new Uint8Array(32), {}]]],
    ["1,001 entries", 4, Array.from({ length: 1001 }, () => [new Uint8Array(32), new Uint8Array(1)])],
    ["a signature of 63 bytes", 5, new Uint8Array(63)],
    ["no signature", 5, null],
  ])("refuses %s", (_, at, part) => {
    expect(errorCode(() => decodeBatch(withPart(at, part)))).toBe("batch-malformed");
  });

  test("refuses more than 4 MiB before it reads them", () => {
    expect(errorCode(() => decodeBatch(new Uint8Array(4_194_305)))).toBe("cbor-malformed");
  });

  test("refuses four million empty maps without making them", () => {
    const bytes = new Uint8Array(4_000_005).fill(0xa0);
    bytes.set([0x9a, 0x00, 0x3d, 0x09, 0x00]);
    expect(errorCode(() => decodeBatch(bytes))).toBe("cbor-malformed");
  });
});

describe("verifyBatch", () => {
  test("gives what the leaves will bear, by entry", () => {
    const verified = verifyBatch({ origin, batch });
    expect(verified.stream).toEqual(streamId({ origin, ...sender }));
    expect(verified.classes).toEqual(["shop", "shop", "shop"]);
    expect(verified.commitments).toEqual(entries.map(computeCommitment));
    const tag = sessionTag(new Uint8Array(32).fill(0xab));
    expect(verified.sessionTags).toEqual([null, tag, null]);
    expect(verified.events.map(({ time }) => time - 1_763_712_000_000)).toEqual([0, 1, 2]);
    expect(verified.claims).toEqual(
      [1, 2, 3].map((sequence, i) => {
        const commitment = verified.commitments[i] ?? new Uint8Array();
        return encodeClaim({ sequence, class: "shop", commitment, sessionTag: i === 1 ? tag : null });
      }),
    );
    expect(verifyBatch({ origin, batch: decodeBatch(batch) })).toEqual(verified);
  });

  test("refuses each flipped bit", () => {
    const codes = new Set(Array.from(flippedBits(batch), (flipped) => codeOf(flipped)));
    expect(codes).toEqual(new Set(["cbor-malformed", "batch-malformed", "event-invalid", "signature-invalid"]));
  });

  test("refuses a batch for another log, under another number, of another instance or key", () => {
    const decoded = decodeBatch(batch);
    expect(codeOf(batch, "example.com/other")).toBe("signature-invalid");
    expect(codeOf(encodeBatch({ ...decoded, first: 2 }))).toBe("signature-invalid");
    expect(codeOf(encodeBatch({ ...decoded, instance: new Uint8Array(16) }))).toBe("signature-invalid");
    const other = ed25519PublicKey(new Uint8Array(32).fill(7));
    expect(codeOf(encodeBatch({ ...decoded, publicKey: other }))).toBe("signature-invalid");
  });

  test("refuses entries that were swapped, dropped, repeated or salted anew", () => {
    const decoded = decodeBatch(batch);
    const [a, b, c] = entries as [Opening, Opening, Opening];
    for (const changed of [
      [b, a, c],
      [a, b],
      [b, c],
      [a, b, b],
      [a, b, c, c],
      [a, b, { ...c, salt: a.salt }],
    ]) {
      expect(codeOf(encodeBatch({ ...decoded, entries: changed }))).toBe("signature-invalid");
    }
  });

  test("says which entry is not an event", () => {
    const broken = {
      ...decodeBatch(batch),
      entries: [...entries, { salt: new Uint8Array(32), event: new Uint8Array([1]) }],
    };
    const details = detailsOf(() => verifyBatch({ origin, batch: broken }));
    expect(details["entry"]).toBe(3);
  });
});

describe("batchMessage", () => {
  test("differs for every part of it", () => {
    const good = { stream: new Uint8Array(16), first: 1, count: 2, root: batchRoot([new Uint8Array()]) };
    const message = batchMessage(good);
    const others = [{ first: 2 }, { count: 1 }, { stream: instance }, { root: new Uint8Array(32) }];
    for (const other of others) expect(equalBytes(batchMessage({ ...good, ...other }), message)).toBe(false);
    expect(() => batchMessage({ ...good, stream: publicKey })).toThrow(TypeError);
    expect(() => batchMessage({ ...good, root: instance })).toThrow(TypeError);
    expect(() => batchMessage({ ...good, count: 0 })).toThrow(RangeError);
  });
});

describe("the origin of one leaf", () => {
  test("is proved for every leaf of batches of 1 to 20, and for no other leaf", () => {
    for (let count = 1; count <= 20; count += 1) {
      const verified = verifyBatch({ origin, batch: sign(entriesOf(count)) });
      const leaves = leavesOf(verified);
      leaves.forEach((leaf, i) => {
        const proof = prove(verified, i + 1);
        expect(verifyBatchOrigin({ origin, leaf, proof })).toEqual(sender);
        const others = leaves.filter((other) => other !== leaf);
        for (const other of others) expect(originCode(other, proof)).toBe("signature-invalid");
      });
    }
  });

  test("is refused where the leaf says anything else than was signed", () => {
    const verified = verifyBatch({ origin, batch });
    const [, leaf] = leavesOf(verified) as [Leaf, Leaf];
    const proof = prove(verified, 2);
    const changes: Partial<Leaf>[] = [
      { class: "auth" },
      { commitment: new Uint8Array(32) },
      { session: null },
      { session: { tag: instance, n: 0, prev: null } },
      { sequence: 3 },
      { stream: new Uint8Array(16) },
    ];
    for (const change of changes) expect(originCode({ ...leaf, ...change }, proof)).toBe("signature-invalid");
    expect(errorCode(() => verifyBatchOrigin({ origin: "example.com/b", leaf, proof }))).toBe("signature-invalid");
    expect(() => verifyBatchOrigin({ origin, leaf: { ...leaf, sequence: null }, proof })).toThrow(TypeError);
  });

  test("is refused with any part of the proof changed", () => {
    const verified = verifyBatch({ origin, batch });
    const [, leaf] = leavesOf(verified) as [Leaf, Leaf];
    const proof = prove(verified, 2);
    const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
    const changes: Partial<typeof proof>[] = [
      { publicKey: flip(publicKey) },
      { instance: flip(instance) },
      { first: 2 },
      { count: 4 },
      { count: 2 },
      { root: flip(proof.root) },
      { signature: flip(proof.signature) },
      { hashes: proof.hashes.map(flip) },
      { hashes: proof.hashes.slice(1) },
      { hashes: [...proof.hashes, proof.root] },
    ];
    for (const change of changes) expect(originCode(leaf, { ...proof, ...change })).toBe("signature-invalid");
  });

  test("is not proved for a sequence outside of the batch", () => {
    const verified = verifyBatch({ origin, batch });
    expect(() => prove(verified, 0)).toThrow(RangeError);
    expect(() => prove(verified, 4)).toThrow(RangeError);
  });
});

function prove({ batch: signed, claims }: VerifiedBatch, sequence: number): ReturnType<typeof proveBatchOrigin> {
  return proveBatchOrigin({ ...signed, claims, sequence });
}

function originCode(leaf: Leaf, proof: ReturnType<typeof prove>): string | undefined {
  return errorCode(() => verifyBatchOrigin({ origin, leaf, proof }));
}

/** The leaves as a log files them; of the first, the stream is public key and instance. */
function leavesOf(verified: VerifiedBatch): Leaf[] {
  const start = new Uint8Array([...publicKey, ...instance]);
  return verified.commitments.map((commitment, i) => {
    const tag = verified.sessionTags[i] ?? null;
    return {
      loggedAt: 1_763_712_000_500,
      stream: i === 0 ? start : verified.stream,
      sequence: i + 1,
      class: verified.classes[i] ?? "",
      commitment,
      session: tag === null ? null : { tag, n: 0, prev: null },
      actor: null,
      subject: null,
      tenant: null,
      signature: null,
    };
  });
}

function detailsOf(work: () => unknown): Readonly<Record<string, unknown>> {
  try {
    work();
  } catch (error) {
    if (error instanceof EventError) return error.details;
    throw error;
  }
  return {};
}
