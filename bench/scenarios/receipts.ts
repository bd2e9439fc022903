/** Receipts verified by their holder: one by one, each with its head's four signatures; and many under one head. */
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { ReceiptVerifier, verifyHead, verifyReceipt } from "@tallystick/client";
import {
  CompactRange,
  type Hash,
  type Policy,
  createSigner,
  formatCheckpoint,
  formatPolicy,
  formatTlogProof,
  hashLeaf,
  parsePolicy,
  parseTlogProof,
  proveInclusion,
  signNote,
  verifyInclusion,
} from "@tallystick/core";
import { encodeLeaf } from "@tallystick/events";
import { perCpuSecond } from "../repeat.ts";
import type { Scenario } from "../scenario.ts";

const ORIGIN = "bench.localhost/app";
const LEAVES = 65_536;
const RECEIPTS = 2000;
const HEADS = 200;
/** Of the log and of three witnesses. */
const SIGNATURES = 4;

export const receipts: Scenario = {
  name: "receipts",
  about: "receipts verified (log and 3 cosignatures), one by one and many under one head",
  async *run({ seconds }) {
    const { policy, proofs, underOtherHeads, leafHashes, rootHash, note } = makeReceipts();
    const oneByOne = perCpuSecond(seconds, () => {
      for (const proof of underOtherHeads) verifyReceipt({ proof, policy, now: Date.now() });
      return underOtherHeads.length;
    });
    yield { name: "receipts verified one by one, 4 signatures each", value: oneByOne, unit: "receipts/CPU s" };
    yield {
      name: "4 signatures alone, by node:crypto",
      value: perCpuSecond(seconds, makeBareVerification()),
      unit: "fours/CPU s",
    };
    const inputs = proofs.map((proof) => ({ proof }));
    const together = perCpuSecond(seconds, () => {
      const verdicts = new ReceiptVerifier({ policy }).verifyAll(inputs);
      return verdicts.filter(({ receipt }) => receipt !== undefined).length;
    });
    yield { name: `${RECEIPTS} receipts verified together, head included`, value: together, unit: "receipts/CPU s" };
    const verifiedHead = verifyHead({ policy }, note);
    const underOneHead = perCpuSecond(seconds, () => {
      for (const proof of proofs) verifyReceipt({ proof, policy, verifiedHead });
      return proofs.length;
    });
    yield { name: "the same one by one, under one verified head", value: underOneHead, unit: "receipts/CPU s" };
    const parsed = proofs.map(parseTlogProof);
    const inclusions = perCpuSecond(seconds, () => {
      for (const [at, { index, hashes }] of parsed.entries()) {
        verifyInclusion({ index, size: LEAVES, leafHash: leafHashes[at] ?? rootHash, rootHash, proof: hashes });
      }
      return parsed.length;
    });
    yield { name: "their inclusion proofs alone, 16 hashes each", value: inclusions, unit: "proofs/CPU s" };
  },
};

interface Receipts {
  readonly policy: Policy;
  /** The head of `proofs`. */
  readonly note: string;
  /** Of receipts of which no two have the same head: no signature need be verified twice. */
  readonly underOtherHeads: readonly string[];
  readonly rootHash: Hash;
  readonly proofs: readonly string[];
  readonly leafHashes: readonly Hash[];
}

/** Receipts of random leaves of one tree, under a head that a log and three witnesses signed. */
function makeReceipts(): Receipts {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const leaves = Array.from({ length: LEAVES }, () => leafOf(nowSeconds * 1000));
  const nodes = new Map<string, Hash>();
  const tree = CompactRange.empty();
  const keep = (level: number, index: number, hash: Hash): unknown => nodes.set(`${level} ${index}`, hash);
  for (const leaf of leaves) tree.append(hashLeaf(leaf), keep);
  const rootHash = tree.rootHash();
  const log = createSigner({ name: ORIGIN, type: "ed25519", seed: seed() });
  const witnesses = ["w1", "w2", "w3"].map((name) =>
    createSigner({ name: `bench.localhost/${name}`, type: "ed25519-cosigner", seed: seed() }),
  );
  const noteOf = (extension: string): string =>
    signNote({
      text: formatCheckpoint({ origin: ORIGIN, size: LEAVES, rootHash, extensions: [extension] }),
      signers: [log, ...witnesses],
      timestamp: nowSeconds,
    });
  const note = noteOf("the head");
  const policy = parsePolicy(
    formatPolicy({
      logs: [{ vkey: log.vkey }],
      witnesses: witnesses.map(({ vkey }, at) => ({ name: `w${at + 1}`, vkeys: [vkey] })),
      quorum: 3,
    }),
  );
  const indexes = Array.from({ length: RECEIPTS }, (_, at) => Math.floor((at * LEAVES) / RECEIPTS));
  const getNode = ({ level, index }: { readonly level: number; readonly index: number | bigint }): Hash => {
    const hash = nodes.get(`${level} ${index}`);
    if (hash === undefined) throw new Error(`the tree has no node ${level} ${index}`);
    return hash;
  };
  const leafAt = (index: number): Uint8Array => leaves[index] ?? new Uint8Array();
  const proofOf = (index: number, checkpoint: string): string =>
    formatTlogProof({
      extra: leafAt(index),
      index: BigInt(index),
      hashes: proveInclusion({ index, size: LEAVES, getNode }),
      checkpoint,
    });
  const proofs = indexes.map((index) => proofOf(index, note));
  const underOtherHeads = indexes.slice(0, HEADS).map((index, at) => proofOf(index, noteOf(`head ${at}`)));
  const leafHashes = indexes.map((index) => hashLeaf(leafAt(index)));
  return { policy, note, rootHash, proofs, underOtherHeads, leafHashes };
}

/** Verifies signatures over texts as long as a head's, under a key that is parsed; says how many receipts they would be. */
function makeBareVerification(): () => number {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const texts = Array.from({ length: HEADS * SIGNATURES }, () => randomBytes(120));
  const signed = texts.map((text) => ({ text, signature: sign(null, text, privateKey) }));
  return () => signed.filter(({ text, signature }) => verify(null, text, publicKey, signature)).length / SIGNATURES;
}

function seed(): Uint8Array {
  return new Uint8Array(randomBytes(32));
}

function leafOf(loggedAt: number): Uint8Array {
  const random = new Uint8Array(randomBytes(80));
  return encodeLeaf({
    loggedAt,
    stream: random.slice(0, 16),
    sequence: null,
    class: "auth",
    commitment: random.slice(16, 48),
    session: { tag: random.slice(48, 64), n: 3, prev: 1000 },
    actor: { tag: random.slice(64, 80), n: 7, prev: 1001 },
    subject: null,
    tenant: null,
    signature: null,
  });
}
