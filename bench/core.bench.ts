/** What one core does: hashing, proofs, signatures, leaves and seals, each through the functions that the product calls. */
import { randomBytes } from "node:crypto";
import {
  CompactRange,
  createSigner,
  hashLeaf,
  hashNode,
  parseNote,
  proveInclusion,
  signNote,
  treeHash,
  verifyInclusion,
} from "@tallystick/core";
import {
  computeCommitment,
  decodeEvent,
  decodeLeaf,
  encodeEvent,
  encodeLeaf,
  encodeOpening,
  newEventId,
  openSealed,
  parseEvent,
  sealKey,
  sealOpening,
} from "@tallystick/events";
import { Bench } from "tinybench";

const LEAVES = 4096;

function random(bytes: number): Uint8Array {
  return new Uint8Array(randomBytes(bytes));
}

function sampleEvent(): ReturnType<typeof parseEvent> {
  return parseEvent({
    id: newEventId(Date.now(), random(16)),
    time: Date.now(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: "u_81" },
    session: { id: random(32).reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), "") },
    source: { ip: "203.0.113.7", userAgent: "Mozilla/5.0 (X11; Linux x86_64)" },
    auth: { method: "password", factors: ["password"] },
  });
}

/** Runs the benchmarks and prints a row for each. */
export async function run(): Promise<void> {
  const bench = new Bench({ time: 300, warmupTime: 100 });
  const [left, right, leafBytes] = [random(32), random(32), random(180)];
  const leafHashes = Array.from({ length: LEAVES }, () => random(32));
  const nodes = new Map<string, Uint8Array>();
  const range = CompactRange.empty();
  for (const leafHash of leafHashes)
    range.append(leafHash, (level, index, hash) => nodes.set(`${level} ${index}`, hash));
  const rootHash = treeHash(leafHashes);
  const proof = proveInclusion({
    index: 1234,
    size: LEAVES,
    getNode: ({ level, index }) => nodes.get(`${level} ${index}`) ?? left,
  });
  const claim = { index: 1234, size: LEAVES, leafHash: leafHashes[1234] ?? left, rootHash, proof };
  const ed25519 = createSigner({ name: "example.com/log", type: "ed25519", seed: random(32) });
  const mldsa44 = createSigner({ name: "example.com/log", type: "mldsa44", seed: random(32) });
  const text = "example.com/log\n4096\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
  const note = parseNote(signNote({ text, signers: [ed25519, mldsa44], timestamp: 1 }));
  const event = sampleEvent();
  const opening = { salt: random(32), event: encodeEvent(event) };
  const commitment = computeCommitment(opening);
  const chain = { tag: random(16), n: 3, prev: 1000 };
  const leaf = {
    loggedAt: Date.now(),
    stream: random(16),
    sequence: 7,
    class: "auth",
    commitment,
    session: chain,
    actor: chain,
    subject: null,
    tenant: chain,
    signature: null,
  };
  const entry = encodeLeaf(leaf);
  const key = sealKey({ classDayKey: random(32), personKey: random(32) });
  const sealing = { class: "auth", day: 20_000, nonce: random(24), key, commitment, opening: encodeOpening(opening) };
  const sealed = sealOpening(sealing);
  bench
    .add("hash a node", () => hashNode(left, right))
    .add("hash a leaf of 180 bytes", () => hashLeaf(leafBytes))
    .add(`append ${LEAVES} leaves to a tree`, () => {
      const tree = CompactRange.empty();
      for (const leafHash of leafHashes) tree.append(leafHash);
    })
    .add("verify an inclusion proof of 12 hashes", () => verifyInclusion(claim))
    .add("sign a head, Ed25519", () => signNote({ text, signers: [ed25519] }))
    .add("verify a head, Ed25519", () => ed25519.verifier.verify(note, note.signatures[0]?.signature ?? left))
    .add("verify a head, ML-DSA-44", () => mldsa44.verifier.verify(note, note.signatures[1]?.signature ?? left))
    .add("encode an event", () => encodeEvent(event))
    .add("decode an event", () => decodeEvent(opening.event))
    .add("encode a leaf", () => encodeLeaf(leaf))
    .add("decode a leaf", () => decodeLeaf(entry))
    .add("seal an event", () => sealOpening(sealing))
    .add("open a sealed event", () => openSealed({ sealed, key, commitment }));
  await bench.run();
  for (const { name, result } of bench.tasks) {
    const perSecond = "throughput" in result ? Math.round(result.throughput.mean) : 0;
    process.stdout.write(`${name.padEnd(42)} ${String(perSecond).padStart(10)} /s\n`);
  }
}

await run();
