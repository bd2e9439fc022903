import {
  CompactRange,
  type Hash,
  type Policy,
  createSigner,
  formatCheckpoint,
  formatNote,
  formatPolicy,
  formatTlogProof,
  hashLeaf,
  parsePolicy,
  parseTlogProof,
  proveInclusion,
  sha256,
  signatureLine,
  utf8,
} from "@tallystick/core";
import { computeCommitment, decodeLeaf, encodeEvent, encodeLeaf, encodeOpening } from "@tallystick/events";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  ClientError,
  type ReceiptToVerify,
  type ReceiptVerdict,
  ReceiptVerifier,
  type VerifiedReceipt,
  verifyReceipt,
} from "../src/verify.ts";

const ORIGIN = "log.example/many";
const TIME = 1_700_000_000;
const SIZE = 50;
const signerOf = (name: string, type: "ed25519" | "ed25519-cosigner" = "ed25519-cosigner") =>
  createSigner({ name, type, seed: sha256(utf8(name)) });
const log = signerOf(ORIGIN, "ed25519");
const witnesses = ["w1", "w2", "w3"].map((name) => signerOf(`${name}.example`));
const policy: Policy = parsePolicy(
  formatPolicy({
    logs: [{ vkey: log.vkey }],
    witnesses: witnesses.map(({ name, vkey }) => ({ name, vkeys: [vkey] })),
    quorum: 2,
  }),
);

/** Entry 7 was logged ten minutes after the others: too late for cosignatures of `TIME`. */
const LATE = 7;
const contents = Array.from({ length: SIZE }, (_, index) => {
  const time = TIME * 1000 + (index === LATE ? 600_000 : 0);
  const id = `019aa56d-6000-7000-8000-${String(index).padStart(12, "0")}`;
  const event = encodeEvent({ id, type: "auth.login", time, outcome: "success", actor: { type: "user", id: "u_81" } });
  const salt = sha256(utf8(`salt ${index}`));
  const leaf = encodeLeaf({
    loggedAt: time,
    stream: new Uint8Array(16).fill(index),
    sequence: null,
    class: "auth",
    commitment: computeCommitment({ salt, event }),
    session: null,
    actor: null,
    subject: null,
    tenant: null,
    signature: null,
  });
  return { leaf, opening: encodeOpening({ salt, event }) };
});

interface Cosigning {
  readonly names: readonly number[];
  readonly timestamp?: number;
  readonly isLogAway?: boolean;
  readonly origin?: string;
}

/** A head of the first `size` entries, and a receipt of each under it. */
function publish(size: number, { names, timestamp = TIME, isLogAway = false, origin = ORIGIN }: Cosigning) {
  const nodes = new Map<string, Hash>();
  const tree = CompactRange.empty();
  for (const { leaf } of contents.slice(0, size)) {
    tree.append(hashLeaf(leaf), (level, index, hash) => void nodes.set(`${level} ${index}`, hash));
  }
  const text = formatCheckpoint({ origin, size, rootHash: tree.rootHash() });
  const signers = [...(isLogAway ? [] : [log]), ...names.flatMap((name) => witnesses[name] ?? [])];
  const note = formatNote({
    text,
    signatures: signers.map((signer) => signatureLine({ signer, noteText: text, timestamp })),
  });
  const getNode = (node: { readonly level: number; readonly index: number | bigint }): Hash =>
    nodes.get(`${node.level} ${node.index}`) ?? new Uint8Array();
  const receipts = contents.slice(0, size).map(({ leaf }, index) =>
    formatTlogProof({
      extra: leaf,
      index: BigInt(index),
      hashes: proveInclusion({ index, size, getNode }),
      checkpoint: note,
    }),
  );
  return { note, receipts };
}

const heads = {
  good: publish(SIZE, { names: [0, 1, 2] }),
  two: publish(33, { names: [1, 2] }),
  later: publish(SIZE, { names: [0, 1, 2], timestamp: TIME + 500 }),
  mixed: publish(1, { names: [0, 1] }),
  noQuorum: publish(20, { names: [1] }),
  unsigned: publish(20, { names: [0, 1, 2], isLogAway: true }),
  foreign: publish(20, { names: [0, 1, 2], origin: "log.example/other" }),
};
const { receipts } = heads.good;

/** What `verifyReceipt` makes of a receipt, in the words of a verdict. */
function verdictSingly(input: ReceiptToVerify, requireQuorum: boolean): ReceiptVerdict {
  try {
    return { receipt: verifyReceipt({ ...input, policy, requireQuorum }) };
  } catch (error) {
    if (error instanceof ClientError) return { refusal: error };
    throw error;
  }
}

/** All that one can tell of a verdict. */
function tell({ receipt, refusal }: ReceiptVerdict): unknown {
  return refusal === undefined ? withLeaf(receipt) : [refusal.code, refusal.message, refusal.details];
}

/** The leaf is no field: it is decoded when it is asked for. */
function withLeaf(receipt: VerifiedReceipt): unknown {
  return { ...receipt, leaf: receipt.leaf };
}

function expectSameVerdicts(inputs: readonly ReceiptToVerify[], { requireQuorum = true } = {}): ReceiptVerdict[] {
  const verifier = new ReceiptVerifier({ policy, requireQuorum });
  const expected = inputs.map((input) => tell(verdictSingly(input, requireQuorum)));
  const verdicts = verifier.verifyAll(inputs);
  expect(verdicts.map(tell)).toEqual(expected);
  // Whatever it knows by now, it says the same.
  expect(verifier.verifyAll(inputs).map(tell)).toEqual(expected);
  return verdicts;
}

const stepsOf = (verdicts: readonly ReceiptVerdict[]): unknown[] =>
  verdicts.map(({ refusal }) => refusal?.details["step"]);

describe("ReceiptVerifier", () => {
  test("gives of good receipts all that verifyReceipt gives, as text, as bytes and parsed", () => {
    const inputs = receipts.flatMap((proof) => [{ proof }, { proof: utf8(proof) }, { proof: parseTlogProof(proof) }]);
    const steps = stepsOf(expectSameVerdicts(inputs));
    expect(steps.filter((step) => step !== undefined)).toEqual(["time", "time", "time"]);
  });

  test("verify returns what verifyReceipt returns, and throws what it throws", () => {
    const verifier = new ReceiptVerifier({ policy });
    const verified: VerifiedReceipt[] = receipts.slice(0, 3).map((proof) => verifier.verify({ proof }));
    const singly = receipts.slice(0, 3).map((proof) => verifyReceipt({ proof, policy }));
    expect(verified.map(withLeaf)).toEqual(singly.map(withLeaf));
    expect(errorCode(() => verifier.verify({ proof: receipts[LATE] ?? "" }))).toBe("receipt-refuted");
    expect(errorCode(() => verifier.verify({ proof: "x" }))).toBe("receipt-refuted");
  });

  test("has of each leaf what is in its own bytes, decoded once", () => {
    const texts = receipts.filter((_, index) => index !== LATE);
    for (const [at, { receipt }] of new ReceiptVerifier({ policy })
      .verifyAll(texts.map((proof) => ({ proof })))
      .entries()) {
      const { extra = new Uint8Array() } = parseTlogProof(texts[at] ?? "");
      expect(receipt?.leaf).toEqual(decodeLeaf(extra));
      expect(receipt?.leaf).toBe(receipt?.leaf);
    }
  });

  test("opens contents, compares them with what was sent, and names the step where they differ", () => {
    const inputs = receipts.flatMap((proof, index) => {
      const { opening = new Uint8Array() } = contents[index] ?? {};
      const { opening: other = opening } = contents[(index + 1) % SIZE] ?? {};
      return [
        { proof, opening },
        { proof, opening: other },
        { proof, opening: opening.subarray(1) },
        { proof, opening, expect: { index, class: "auth", sequence: null, sentAt: TIME * 1000 } },
        { proof, expect: { index: index + 1 } },
        { proof, expect: { class: "money" } },
        { proof, expect: { sessionTag: new Uint8Array(16) } },
        { proof, expect: { sentAt: TIME * 1000 + 1_000_000 } },
      ];
    });
    const steps = new Set(stepsOf(expectSameVerdicts(inputs)));
    expect(steps).toEqual(new Set([undefined, "commitment", "as-sent", "time"]));
  });

  test("judges heads: of a quorum, of too few, not signed by the log, of another log", () => {
    const inputs = Object.values(heads).flatMap(({ receipts: some }) => some.slice(0, 12).map((proof) => ({ proof })));
    const steps = stepsOf(expectSameVerdicts(inputs));
    expect(new Set(steps)).toEqual(new Set([undefined, "time", "quorum", "log-signature"]));
    expectSameVerdicts(inputs, { requireQuorum: false });
    expectSameVerdicts(inputs.toReversed());
  });

  test("cosignatures of the future do not count, whichever time is asked for first", () => {
    const nows = [0, TIME - 301, TIME - 300, TIME, TIME + 199, TIME + 200, TIME + 10_000].map((now) => now * 1000);
    for (const order of [nows, nows.toReversed()]) {
      const inputs = order.flatMap((now) =>
        [heads.good, heads.later, heads.noQuorum].flatMap(({ receipts: some }) =>
          some.slice(3, 9).map((proof) => ({ proof, now })),
        ),
      );
      const steps = stepsOf(expectSameVerdicts(inputs));
      expect(new Set(steps)).toEqual(new Set([undefined, "time", "quorum"]));
      expectSameVerdicts(inputs, { requireQuorum: false });
    }
    expect(errorCode(() => new ReceiptVerifier({ policy }).verify({ proof: receipts[0] ?? "", now: -1 }))).toBe(
      "RangeError",
    );
    for (const now of [NaN, Infinity, 1e300]) {
      expect(errorCode(() => new ReceiptVerifier({ policy }).verify({ proof: receipts[0] ?? "", now }))).toBe(
        "RangeError",
      );
    }
  });

  test("one bit changed anywhere in a receipt is refused as verifyReceipt refuses it, in the midst of good ones", () => {
    const proof = receipts[23] ?? "";
    const verifier = new ReceiptVerifier({ policy });
    let accepted = 0;
    // Signatures take most of the time: of the head's text every third character is changed, of what is before it each.
    const before = proof.length - heads.good.note.length;
    for (let at = 0; at < proof.length; at += at < before ? 1 : 3) {
      const changed =
        proof.slice(0, at) + String.fromCharCode(proof.charCodeAt(at) ^ (1 << (at % 5))) + proof.slice(at + 1);
      const verdicts = verifier.verifyAll(
        [receipts[1] ?? "", changed, receipts[2] ?? ""].map((each) => ({ proof: each })),
      );
      expect(verdicts.map(tell)[1]).toEqual(tell(verdictSingly({ proof: changed }, true)));
      expect(verdicts.map(({ receipt }) => receipt?.index)).toEqual([1, verdicts[1]?.receipt?.index, 2]);
      if (verdicts[1]?.receipt !== undefined) accepted += 1;
    }
    // Whoever changes the name of a cosigner makes a line of somebody unknown of it: the others are a quorum.
    expect(accepted).toBeLessThan(60);
  });

  test("any mixture of good and hostile receipts, under heads in any order, gets the verdicts of one by one", () => {
    const names = Object.keys(heads) as (keyof typeof heads)[];
    const any = fc.record({
      head: fc.constantFrom(...names),
      other: fc.constantFrom(...names),
      index: fc.nat(SIZE - 1),
      spoil: fc.constantFrom("not", "not", "not", "flip", "cut", "double", "index", "head", "leaf", "hashes"),
      line: fc.nat(12),
      at: fc.nat(60),
      now: fc.option(fc.constantFrom(TIME - 400, TIME, TIME + 1000), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 25 }), (choices) => {
        const inputs = choices.map(({ head, other, index, spoil, line, at, now }) => {
          const proof = heads[head].receipts[index % heads[head].receipts.length] ?? "";
          const lines = proof.split("\n");
          const others = (heads[other].receipts[at % heads[other].receipts.length] ?? "").split("\n");
          const text = lines[line] ?? "";
          const spoilt = {
            not: lines,
            flip: lines.with(line % lines.length, text.slice(0, at) + "A" + text.slice(at + 1)),
            cut: lines.toSpliced(line, 1),
            double: lines.toSpliced(line, 0, text),
            index: lines.with(2, `index ${at}`),
            head: [...lines.slice(0, lines.indexOf("")), ...others.slice(others.indexOf(""))],
            leaf: lines.with(1, others[1] ?? ""),
            hashes: [...lines.slice(0, 3), ...others.slice(3)],
          }[spoil];
          return { proof: spoilt.join("\n"), ...(now === undefined ? {} : { now: now * 1000 }) };
        });
        expectSameVerdicts(inputs);
      }),
      { numRuns: 25 },
    );
  });

  test("whoever changes the bytes of what was verified changes no later verdict", () => {
    const verifier = new ReceiptVerifier({ policy });
    const inputs = receipts.slice(0, 5).map((proof) => ({ proof }));
    const expected = inputs.map((input) => tell(verdictSingly(input, true)));
    for (let again = 0; again < 3; again += 1) {
      const verdicts = verifier.verifyAll(inputs.slice(again));
      expect(verdicts.map(tell)).toEqual(expected.slice(again));
      for (const { receipt } of verdicts) {
        const { rootHash, leafHash, leaf } = receipt ?? {};
        for (const bytes of [rootHash, leafHash, leaf?.commitment, leaf?.stream]) bytes?.fill(0);
      }
    }
  });

  test("keeps no more heads than a few, and judges right beyond them", () => {
    const many = Array.from({ length: 12 }, (_, at) => publish(10 + at, { names: [0, 1, 2] }));
    const inputs = [0, 1].flatMap((index) => many.flatMap((head) => [{ proof: head.receipts[index] ?? "" }]));
    expect(stepsOf(expectSameVerdicts(inputs)).filter((step) => step !== undefined)).toEqual([]);
  });

  test("what is too long, no text, or cut off is refused at format", () => {
    const [proof = ""] = receipts;
    const inputs = [
      { proof: "" },
      { proof: "\n\n" },
      { proof: `${proof}${"x".repeat(600_000)}` },
      { proof: new Uint8Array(70_000) },
      { proof: utf8(proof).with(40, 0xff) },
      { proof: utf8(proof).subarray(0, -1) },
      { proof: proof.replace("— ", "\ud800 ") },
    ];
    expect(new Set(stepsOf(expectSameVerdicts(inputs)))).toEqual(new Set(["format"]));
  });
});
