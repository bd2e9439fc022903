/** Inclusion and consistency proofs: verified by us, by transparency-dev/merkle and by x/mod's tlog package. */
import { emptyRootHash, equalBytes, hashNode, verifyConsistency, verifyInclusion } from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, isAbove63Bits, octetsOf } from "../octets.ts";
import { verdictOf } from "./verdict.ts";

const HASH = new Uint8Array(32);

/** Two numbers, two hashes and a proof: index, size, leaf and root, or two sizes and two roots. */
export interface ProofInput {
  readonly numbers: readonly [bigint, bigint];
  readonly hashes: readonly [Uint8Array, Uint8Array];
  readonly proof: readonly Uint8Array[];
}

export function inputOfProof({ numbers, hashes, proof }: ProofInput): Input {
  return [...numbers.map((number) => bytesOf(String(number))), ...hashes, ...proof];
}

function proofOfInput([first, second, a = HASH, b = HASH, ...proof]: Input): ProofInput {
  return { numbers: [numberOf(first), numberOf(second)], hashes: [a, b], proof };
}

function numberOf(field: Uint8Array | undefined): bigint {
  return BigInt(octetsOf(field ?? new Uint8Array()));
}

function holdsFor(holds: (input: ProofInput) => boolean): (input: Input) => boolean {
  return (input) => holds(proofOfInput(input));
}

function hasBigNumber({ numbers }: ProofInput): boolean {
  return numbers.some((number) => isAbove63Bits(String(number)));
}

const example = (first: bigint, second: bigint, a: Uint8Array, b: Uint8Array): Input =>
  inputOfProof({ numbers: [first, second], hashes: [a, b], proof: [] });

/** The proof of the last leaf of a tree of 2^k + 1 leaves is one hash. */
function lastLeaf(before: bigint): Input {
  return inputOfProof({ numbers: [before, before + 1n], hashes: [HASH, hashNode(HASH, HASH)], proof: [HASH] });
}

const isAbove62Bits = holdsFor(({ numbers }) => numbers.some((number) => number > 2n ** 62n));

const INCLUSION_KINDS: readonly Kind[] = [
  {
    name: "size-above-62-bits",
    covers: "C-253",
    of: ["x/mod"],
    form: "they-refuse",
    holds: isAbove62Bits,
    example: lastLeaf(2n ** 62n),
  },
  {
    name: "number-above-63-bits",
    covers: "C-253",
    of: ["merkle"],
    form: "we-refuse",
    holds: holdsFor(hasBigNumber),
    example: lastLeaf(2n ** 63n),
  },
];

const CONSISTENCY_KINDS: readonly Kind[] = [
  {
    name: "size-above-62-bits",
    covers: "C-253",
    of: ["x/mod"],
    form: "they-refuse",
    holds: isAbove62Bits,
    // From 2^k leaves to one more: the two roots differ by one leaf, which is the proof.
    example: lastLeaf(2n ** 62n),
  },
  {
    name: "number-above-63-bits",
    covers: "C-253",
    of: ["merkle"],
    form: "we-refuse",
    holds: holdsFor(hasBigNumber),
    example: example(2n ** 63n, 2n ** 63n, HASH, HASH),
  },
  {
    name: "root-not-32-bytes",
    covers: "C-249",
    of: ["merkle"],
    form: "we-refuse",
    holds: holdsFor(({ hashes }) => hashes.some((hash) => hash.length !== 32)),
    example: example(1n, 1n, new Uint8Array(31), new Uint8Array(31)),
  },
  {
    name: "root-of-size-0-unread",
    covers: "C-248",
    of: ["merkle"],
    form: "we-refuse",
    holds: holdsFor(({ numbers, hashes }) =>
      numbers.some((size, i) => size === 0n && !equalBytes(hashes[i] ?? HASH, emptyRootHash())),
    ),
    example: example(0n, 1n, HASH, HASH),
  },
  {
    name: "consistency-from-size-0",
    covers: "C-248",
    of: ["x/mod"],
    form: "they-refuse",
    holds: holdsFor(({ numbers: [from] }) => from === 0n),
    example: example(0n, 1n, emptyRootHash(), HASH),
  },
];

export const INCLUSION: Subject = {
  name: "inclusion",
  code: "i",
  share: 8,
  ours: (input) => {
    const { numbers, hashes, proof } = proofOfInput(input);
    return verdictOf(() => {
      const [[index, size], [leafHash, rootHash]] = [numbers, hashes];
      verifyInclusion({ index, size, leafHash, rootHash, proof });
      return "";
    });
  },
  kinds: INCLUSION_KINDS,
};

export const CONSISTENCY: Subject = {
  name: "consistency",
  code: "k",
  share: 7,
  ours: (input) => {
    const { numbers, hashes, proof } = proofOfInput(input);
    return verdictOf(() => {
      const [[from, to], [fromRootHash, toRootHash]] = [numbers, hashes];
      verifyConsistency({ from, to, fromRootHash, toRootHash, proof });
      return "";
    });
  },
  kinds: CONSISTENCY_KINDS,
};
