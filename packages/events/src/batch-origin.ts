/** The origin of one leaf, shown without the rest of its batch: docs/reference/formats.md, "Origin of one leaf". */
import {
  type Hash,
  TlogError,
  concatBytes,
  ed25519Verify,
  equalBytes,
  hashLeaf,
  proveInclusion,
  treeHash,
  verifyInclusion,
} from "@tallystick/core";
import { assertInteger } from "./assert.ts";
import { batchMessage, batchRoot } from "./batch.ts";
import { claimOfLeaf, encodeClaim } from "./claim.ts";
import { EventError } from "./error.ts";
import type { Leaf } from "./leaf.ts";
import { type Sender, streamId } from "./stream.ts";

/** What, together with a leaf, shows that the holder of a key sent it under its sequence. */
export interface BatchOrigin extends Sender {
  /** The sequence of the batch's first entry. */
  readonly first: number;
  /** Entries in the batch. */
  readonly count: number;
  /** The root hash of the tree over its claims. */
  readonly root: Hash;
  /** From the claim up to the root. */
  readonly hashes: readonly Hash[];
  /** The signature over the batch, 64 bytes. */
  readonly signature: Uint8Array;
}

export interface ProveBatchOriginInput extends Sender {
  readonly first: number;
  /** All claims of the batch, encoded, in order. */
  readonly claims: readonly Uint8Array[];
  readonly signature: Uint8Array;
  /** Of the leaf whose origin is to be shown. */
  readonly sequence: number;
}

/** Proves the origin of one leaf of a batch. @throws {RangeError} `sequence` is not one of the batch's. */
export function proveBatchOrigin(input: ProveBatchOriginInput): BatchOrigin {
  const { publicKey, instance, first, claims, signature, sequence } = input;
  const count = claims.length;
  assertInteger(sequence, { min: first, max: first + count - 1 }, "sequence");
  const leafHashes = claims.map(hashLeaf);
  const hashes = proveInclusion({
    index: sequence - first,
    size: count,
    getNode: ({ level, index }) => {
      const width = 2 ** level;
      const start = Number(index) * width;
      return treeHash(leafHashes.slice(start, start + width));
    },
  });
  return { publicKey, instance, first, count, root: batchRoot(claims), hashes, signature };
}

/**
 * Verifies that the holder of the proof's key sent this leaf's claim, to the log of that origin, under its sequence.
 *
 * Does not establish whose key it is, nor that the leaf is in the log. Returns the sender.
 *
 * @throws {TypeError} The leaf is that of an unsigned event.
 * @throws {EventError} `signature-invalid`: the leaf is of another stream or outside the batch, its claim is not in the
 *   batch's tree, or the signature is not over that tree.
 */
export function verifyBatchOrigin(input: {
  readonly origin: string;
  readonly leaf: Leaf;
  readonly proof: BatchOrigin;
}): Sender {
  const { origin, leaf, proof } = input;
  const { publicKey, instance, first, count, root, signature } = proof;
  const claim = claimOfLeaf(leaf);
  const stream = streamId({ origin, publicKey, instance });
  const named = claim.sequence === 1 ? concatBytes(publicKey, instance) : stream;
  if (!equalBytes(named, leaf.stream)) refuse("the leaf names another stream than the proof's key and instance");
  if (claim.sequence < first || claim.sequence >= first + count) refuse("the leaf's sequence lies outside the batch");
  verifyClaimInBatch({ claim: encodeClaim(claim), index: claim.sequence - first, proof });
  if (!ed25519Verify(publicKey, batchMessage({ stream, first, count, root }), signature)) {
    refuse("the signature does not cover the batch's tree");
  }
  return { publicKey, instance };
}

function verifyClaimInBatch(input: { claim: Uint8Array; index: number; proof: BatchOrigin }): void {
  const { count, root, hashes } = input.proof;
  try {
    verifyInclusion({
      index: input.index,
      size: count,
      leafHash: hashLeaf(input.claim),
      rootHash: root,
      proof: hashes,
    });
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    refuse("the leaf's claim is not in the batch's tree", cause);
  }
}

function refuse(message: string, cause?: unknown): never {
  throw new EventError("signature-invalid", message, cause === undefined ? {} : { cause });
}
