import { concatBytes, ed25519PublicKey } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import {
  type Chain,
  type Leaf,
  LeafAudit,
  decodeBatch,
  encodeCbor,
  signBatch,
  streamId,
  verifyBatch,
} from "../src/index.ts";

const origin = "example.com/app";
const seed = new Uint8Array(32).fill(1);
const publicKey = ed25519PublicKey(seed);
const instance = new Uint8Array(16).fill(2);
const stream = streamId({ origin, publicKey, instance });

function tag(fill: number): Uint8Array {
  return new Uint8Array(16).fill(fill);
}

const plain: Leaf = {
  loggedAt: 1000,
  stream: tag(9),
  sequence: null,
  class: "auth",
  commitment: new Uint8Array(32).fill(3),
  session: null,
  actor: null,
  subject: null,
  tenant: null,
  signature: null,
};

/** The codes of what an audit finds in leaves, each with its index. */
function findingsOf(leaves: readonly Leaf[]): string[] {
  const audit = new LeafAudit(origin);
  const findings = leaves.flatMap((leaf, index) => audit.check(index, leaf));
  return [...findings, ...audit.finish(leaves.length)].map(({ code, index }) => `${code} at ${index}`);
}

/** The leaves of a signed batch from `first` on. */
function batch(first: number, count: number): Leaf[] {
  const events = Array.from({ length: count }, (_, i) => ({
    salt: new Uint8Array(32).fill(i),
    event: encodeCbor({
      id: tag(7).fill(0x70, 6, 7).fill(0x80, 8, 9),
      time: 1_763_712_000_000 + i,
      type: first === 1 && i === 0 ? "stream.start" : "app.thing",
      outcome: "success",
    }),
  }));
  const bytes = signBatch({ origin, seed, publicKey, instance, first, entries: events });
  const { commitments, classes } = verifyBatch({ origin, batch: bytes });
  const { signature } = decodeBatch(bytes);
  return commitments.map((commitment, i) => ({
    ...plain,
    stream: first + i === 1 ? concatBytes(publicKey, instance) : stream,
    sequence: first + i,
    class: classes[i] ?? "",
    commitment,
    signature: i === count - 1 ? { count, signature } : null,
  }));
}

describe("LeafAudit", () => {
  test("finds nothing in leaves that keep the rules", () => {
    const leaves = [...batch(1, 3), plain, ...batch(4, 1), ...batch(5, 2)];
    expect(findingsOf(leaves)).toEqual([]);
  });

  test("counts leaves, batches, streams and tags", () => {
    const audit = new LeafAudit(origin);
    const chain = { tag: tag(1), n: 0, prev: null };
    const leaves = [...batch(1, 2), { ...plain, session: chain, actor: chain }];
    leaves.forEach((leaf, index) => expect(audit.check(index, leaf)).toEqual([]));
    expect([audit.counts, audit.tags, audit.loggedAt]).toEqual([{ signed: 2, unsigned: 1, batches: 1 }, 2, 1000]);
    expect([...audit.streams.values()]).toMatchObject([{ firstIndex: 0, lastIndex: 1, lastSequence: 2 }]);
  });

  test("finds a time that decreases, and takes the highest for the next", () => {
    const times = [1000, 999, 999, 1000];
    expect(findingsOf(times.map((loggedAt) => ({ ...plain, loggedAt })))).toEqual([
      "time-decreased at 1",
      "time-decreased at 2",
    ]);
  });

  test("finds a stream without beginning, a gap, and a number that comes again", () => {
    const [first, second, third] = batch(1, 3);
    if (first === undefined || second === undefined || third === undefined) throw new Error("expected three leaves");
    expect(findingsOf([second])).toEqual(["stream-unknown at 0"]);
    expect(findingsOf([first, third])).toEqual(["sequence-gap at 1", "batch-signature-invalid at 1"]);
    expect(findingsOf([...batch(1, 1), ...batch(1, 1)])).toEqual(["sequence-gap at 1"]);
  });

  test("finds a batch that is interrupted, cut, or not covered by its signature", () => {
    const [first, second] = batch(1, 2);
    if (first === undefined || second === undefined) throw new Error("expected two leaves");
    expect(findingsOf([first, plain, second])).toEqual(["batch-interrupted at 1", "batch-signature-invalid at 2"]);
    expect(findingsOf([first])).toEqual(["batch-cut at 0"]);
    expect(findingsOf([first, { ...second, class: "other" }])).toEqual(["batch-signature-invalid at 1"]);
    expect(findingsOf([first, { ...second, session: { tag: tag(1), n: 0, prev: null } }])).toEqual([
      "batch-signature-invalid at 1",
    ]);
  });

  test("finds a thousand leaves without a signature", () => {
    const leaves = batch(1, 1000);
    const [last] = leaves.slice(-1);
    if (last === undefined) throw new Error("expected leaves");
    expect(findingsOf(leaves)).toEqual([]);
    expect(findingsOf([...leaves.slice(0, -1), { ...last, signature: null }])).toEqual(["batch-unsigned at 999"]);
  });

  test("takes tags for different that differ in any one byte, and those of each kind for themselves", () => {
    const tags = Array.from({ length: 16 }, (_, at) => tag(0xff).fill(0xfe, at, at + 1));
    const kinds = ["session", "actor", "subject", "tenant"] as const;
    const leaves = kinds.flatMap((kind) =>
      [...tags, tag(0xff)].map((tag): Leaf => ({ ...plain, [kind]: { tag, n: 0, prev: null } })),
    );
    expect(findingsOf(leaves)).toEqual([]);
  });

  test("finds each chain that does not go on where it ended", () => {
    const at = (n: number, prev: number | null): Leaf => {
      const chain: Chain = { tag: tag(1), n, prev };
      return { ...plain, session: chain, actor: chain, subject: chain, tenant: chain };
    };
    const four = (index: number): string[] => Array.from({ length: 4 }, () => `chain-broken at ${index}`);
    expect(findingsOf([at(0, null), at(1, 0), plain, at(2, 1), at(3, 3)])).toEqual([]);
    expect(findingsOf([at(1, 0)])).toEqual(four(0));
    expect(findingsOf([at(0, null), at(0, null)])).toEqual(four(1));
    expect(findingsOf([at(0, null), at(2, 0)])).toEqual(four(1));
    expect(findingsOf([at(0, null), plain, at(1, 1), at(2, 2)])).toEqual(four(2));
  });
});
