/** What the kernel does beside what does it without: hashes of leaves and nodes, trees, and seals. docs/decisions/0040. */
import { randomBytes } from "node:crypto";
import {
  type AeadInput,
  CompactRange,
  encryptAll,
  hashLeaf,
  hashLeaves,
  hashNode,
  hashNodes,
  splitHashes,
} from "@tallystick/core";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { Bench } from "tinybench";

/** As many as a batch of the log has on a busy day. */
const BATCH = 1024;
const LEAF_BYTES = 180;
const OPENING_BYTES = 300;
/** The prefix of a sealed event and a commitment. */
const ASSOCIATED_BYTES = 54;

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

const entries = Array.from({ length: BATCH }, () => random(LEAF_BYTES));
const leafHashes = hashLeaves(entries);
const singly = splitHashes(leafHashes);
const openings: readonly AeadInput[] = Array.from({ length: BATCH }, () => ({
  key: random(32),
  nonce: random(24),
  associatedData: random(ASSOCIATED_BYTES),
  plaintext: random(OPENING_BYTES),
}));

const bench = new Bench({ time: 1000, warmupTime: 300 });
bench
  .add("leaf hashes of 180 bytes, one by one", () => {
    for (const entry of entries) hashLeaf(entry);
  })
  .add("leaf hashes of 180 bytes, kernel", () => hashLeaves(entries))
  .add("node hashes, one by one", () => {
    for (let i = 0; i < BATCH; i += 1) hashNode(singly[i] ?? leafHashes, singly[BATCH - 1 - i] ?? leafHashes);
  })
  .add("node hashes, kernel", () => {
    hashNodes(leafHashes);
    hashNodes(leafHashes);
  })
  .add("leaves hashed and appended, one by one", () => {
    const tree = CompactRange.empty();
    for (const entry of entries) tree.append(hashLeaf(entry));
  })
  .add("leaves hashed and appended, kernel", () => CompactRange.empty().appendAll(hashLeaves(entries)))
  .add("openings of 300 bytes sealed, portable code", () => {
    for (const { plaintext, ...input } of openings)
      xchacha20poly1305(input.key, input.nonce, input.associatedData).encrypt(plaintext);
  })
  .add("openings of 300 bytes sealed, kernel, one by one", () => {
    for (const opening of openings) encryptAll([opening]);
  })
  .add("openings of 300 bytes sealed, kernel", () => encryptAll(openings));
await bench.run();
for (const { name, result } of bench.tasks) {
  // The fastest run: on a shared machine the others measure the neighbours.
  const perSecond = "latency" in result ? Math.round((BATCH * 1000) / result.latency.min) : 0;
  process.stdout.write(`${name.padEnd(50)} ${String(perSecond).padStart(10)} /s\n`);
}
