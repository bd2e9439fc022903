/** Every way of spoiling a proof by one change. */
import type { Hash } from "../src/index.ts";

/** `hash` with one bit flipped; `bit` counts on from the start again after the end. */
export function flipped(hash: Hash, bit: number): Hash {
  const copy = hash.slice();
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = Number(copy[at]) ^ (2 ** (bit % 8));
  return copy;
}

/** The proof with each of its bits flipped in turn. */
export function* flippedEverywhere(proof: readonly Hash[]): Generator<Hash[]> {
  for (const [i, hash] of proof.entries()) {
    for (let bit = 0; bit < hash.length * 8; bit += 1) yield proof.with(i, flipped(hash, bit));
  }
}

/** The proof with, in turn, each hash altered in one bit, left out, doubled, cut short or swapped with the next, and with one more. */
export function* alteredProofs(proof: readonly Hash[]): Generator<Hash[]> {
  for (const [i, hash] of proof.entries()) {
    yield proof.with(i, flipped(hash, proof.length * 31 + i));
    yield proof.toSpliced(i, 1);
    yield proof.toSpliced(i, 0, hash);
    yield proof.with(i, hash.subarray(1));
    const next = proof[i + 1];
    if (next !== undefined) yield proof.with(i, next).with(i + 1, hash);
  }
  yield [new Uint8Array(32), ...proof];
  yield [...proof, new Uint8Array(32)];
  yield [...proof, new Uint8Array()];
}
