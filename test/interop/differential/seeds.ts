/** Inputs for each subject: those of the shared vectors, altered, and some that are made on the spot. */
import { readFileSync, readdirSync } from "node:fs";
import {
  type Hash,
  type Signer,
  concatBytes,
  decodeBase64,
  decodeHex,
  emptyRootHash,
  encodeBase64,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  parseVkey,
  proveConsistency,
  proveInclusion,
  tilePath,
  treeHash,
  u32,
} from "@tallystick/core";
import { errorCode } from "../../support/errors.ts";
import { readVectorJson, readVectorText, vectorPath } from "../../support/vectors.ts";
import type { Input } from "./kind.ts";
import { type Material, mutate } from "./mutate.ts";
import { bytesOf, octetsOfText } from "./octets.ts";
import type { Random } from "./random.ts";
import { LOG, PQ_WITNESS, WITNESS, hostileLine, signerOf } from "./signers.ts";
import { SMALL_ORDER_POINTS, honestSignature } from "./subjects/ed25519.ts";
import { joinNote, splitNote } from "./subjects/lines.ts";
import { inputOfProof } from "./subjects/merkle.ts";
import { noteInput } from "./subjects/note.ts";
import { TEXT, quorumInput } from "./subjects/quorum.ts";
import { asType, joinVkey, splitVkey } from "./subjects/vkey.ts";

export type Maker = (random: Random) => Input;

/** By the letter of the subject. */
export function createMakers(): ReadonlyMap<string, Maker> {
  const notes = noteVectors();
  const proofs = proofTexts();
  const texts = [...checkpointTexts(), ...notes.map(({ note }) => splitNote(note)?.text ?? note)];
  return new Map<string, Maker>([
    ["n", noteMaker(notes, texts)],
    ["v", octetsMaker({ others: vkeyTexts(notes), words: ["n".repeat(250), "+", "AQ", "Bg", "a\u001fb", "=="] })],
    ["c", octetsMaker({ others: texts, words: TEXT_WORDS })],
    ["p", policyMaker()],
    ["t", proofMaker(proofs, notes)],
    ["i", inclusionMaker()],
    ["k", consistencyMaker()],
    ["q", quorumMaker()],
    ["e", ed25519Maker()],
    ["l", octetsMaker({ others: tilePaths(), words: ["tile/", "x000/", "x001/", ".p/", "entries", "data", "000"] })],
  ]);
}

function octetsMaker(material: Material): Maker {
  return (random) => [bytesOf(mutate(random.pick(material.others), random, material))];
}

interface NoteVector {
  /** As octets. */
  readonly note: string;
  readonly vkeys: readonly string[];
}

function noteVectors(): NoteVector[] {
  const opened = readVectorJson<{ note?: string; note_b64?: string; vkeys: string[] }[]>("notes/signed-note-open.json");
  const checkpoints =
    readVectorJson<{ note: string; log_vkeys: string[]; witness_vkeys: string[] }[]>("checkpoints/checkpoints.json");
  const cosignature = readVectorJson<{ ml_dsa_44: { log_checkpoint: { note: string; vkey: string } } }>(
    "checkpoints/cosignature-details.json",
  ).ml_dsa_44.log_checkpoint;
  const sumdb = [readVectorText("tiles/sumdb-51319770/vkey.txt").trim()];
  const older = readVectorJson<{ old_note: string }[]>("tiles/sumdb-51319770/consistency.json");
  const tessera = readdirSync(vectorPath("tiles/tessera-log")).filter((name) => name.startsWith("checkpoint"));
  const tesseraKey = [readVectorText("tiles/tessera-log/vkey.txt").trim()];
  return [
    ...opened.map(({ note = "", note_b64, vkeys }) => ({
      note: note_b64 === undefined ? octetsOfText(note) : Buffer.from(note_b64, "base64").toString("latin1"),
      vkeys,
    })),
    ...checkpoints.map(({ note, log_vkeys, witness_vkeys }) => ({
      note: octetsOfText(note),
      vkeys: [...log_vkeys, ...witness_vkeys],
    })),
    { note: octetsOfText(cosignature.note), vkeys: [cosignature.vkey] },
    ...older.map(({ old_note }) => ({ note: octetsOfText(old_note), vkeys: sumdb })),
    ...tessera.map((name) => ({
      note: readFileSync(vectorPath(`tiles/tessera-log/${name}`), "latin1"),
      vkeys: tesseraKey,
    })),
  ].map(({ note, vkeys }) => ({ note, vkeys: usable(vkeys) }));
}

/** Vkeys that both sides know how to verify under, no two of one name and ID: x/mod refuses to look at such. */
function usable(vkeys: readonly string[]): string[] {
  const known = vkeys.filter((vkey) => errorCode(() => parseVkey(vkey)) === undefined);
  const ids = known.map((vkey) => vkey.split("+", 2).join("+"));
  return known.filter((_, at) => ids.indexOf(ids[at] ?? "") === at);
}

const TEXT_WORDS: readonly string[] = ["\n", "x\n", "0", "18446744073709551615", "o".repeat(250)];

const NOTE_WORDS: readonly string[] = ["\n\n", octetsOfText("— a AAAAAAA=\n"), octetsOfText("— "), "\n", "AAAAAAA="];

/** Vectors altered, and texts signed as a hostile signer would, with lines altered or not. */
function noteMaker(notes: readonly NoteVector[], texts: readonly string[]): Maker {
  const whole: Material = { others: notes.map(({ note }) => note), words: NOTE_WORDS };
  const onlyText: Material = { others: texts, words: TEXT_WORDS };
  return (random) => {
    if (random.oneIn(3)) return signedInput(random, mutate(random.pick(texts), random, onlyText), whole);
    const { note, vkeys } = random.pick(notes);
    const parts = splitNote(note);
    // A changed text is refused at once by whoever knows a key, so half of the time only the lines change.
    const altered =
      parts === undefined || random.oneIn(2)
        ? mutate(note, random, whole)
        : joinNote({ text: parts.text, lines: [mutate(parts.lines.join(""), random, whole)] });
    return noteInput(altered, random.oneIn(3) ? [] : vkeys);
  };
}

const TIMES: readonly bigint[] = [0n, 1n, 1_700_000_000n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

function signedInput(random: Random, text: string, material: Material): Input {
  // An ML-DSA-44 signature costs more than all the rest.
  const signers = random.oneIn(6) ? [LOG, WITNESS, PQ_WITNESS] : [LOG, WITNESS];
  const lines = Array.from({ length: 1 + random.below(4) }, () =>
    hostileLine(random.pick(signers), text, random.pick(TIMES)),
  );
  if (random.oneIn(300)) lines.push(...Array.from({ length: 60 + random.below(50) }, () => NOTE_WORDS[1] ?? ""));
  const altered = random.oneIn(2) ? [mutate(lines.join(""), random, material)] : lines;
  const big = random.oneIn(5000) ? `${"x".repeat(262_144)}\n` : "";
  return noteInput(joinNote({ text: text + big, lines: altered }), [LOG.vkey, WITNESS.vkey, PQ_WITNESS.vkey]);
}

function vkeyTexts(notes: readonly NoteVector[]): string[] {
  const { valid, invalid } = readVectorJson<{ valid: { vkey: string }[]; invalid: { vkey: string }[] }>(
    "notes/vkeys.json",
  );
  const all = [...valid, ...invalid].map(({ vkey }) => vkey).concat(notes.flatMap(({ vkeys }) => vkeys));
  return [...new Set([LOG.vkey, WITNESS.vkey, PQ_WITNESS.vkey, ...all])].map(octetsOfText);
}

function checkpointTexts(): string[] {
  const cases = readVectorJson<{ text: string }[]>("notes/checkpoint-parse.json");
  return cases.map(({ text }) => octetsOfText(text));
}

function policyTexts(): string[] {
  const cases = readVectorJson<{ policy: string }[]>("policy/policy-cases.json");
  const { policies } = readVectorJson<{ policies: { policy: string }[] }>("proof/barreleye-930.json");
  const files = [
    "sigsum-test-2025-3.sigsum.txt",
    "sigsum-test-2025-3.tlog-policy.txt",
    "sigsum-test1-2025.sigsum.txt",
    "sigsum-test1-2025.tlog-policy.txt",
  ].map((name) => readVectorText(`policy/${name}`));
  return [...cases, ...policies].map(({ policy }) => octetsOfText(policy)).concat(files.map(octetsOfText));
}

const POLICY_WORDS: readonly string[] = [
  "log",
  "witness",
  "group",
  "quorum",
  "none",
  "any",
  "all",
  "w0",
  "w1",
  "g0",
  "#",
  " # ",
  "\n#\u00ff",
  "\u00ff",
  "\nquorum w0\n",
  "\nquorum none\n",
  "http://",
  "%zz",
  ":",
];

/** Vectors, those made here, and both with URLs for all witnesses, without which Tessera reads no further. */
function policyMaker(): Maker {
  const texts = policyTexts();
  const words = POLICY_WORDS;
  return (random) => {
    const seed = random.oneIn(2) ? random.pick(texts) : madePolicy(random);
    const withUrls = random.oneIn(4)
      ? seed
      : seed.replaceAll(
          /^([ \t]*witness[ \t]+\S+[ \t]+)(\S+)[ \t]*$/gm,
          (_, before: string, vkey: string) => `${before}${asWitnessKey(vkey)} http://w`,
        );
    return [bytesOf(mutate(withUrls, random, { others: texts, words }))];
  };
}

/** The vectors have keys of type 1 for witnesses, too. */
function asWitnessKey(vkey: string): string {
  const parts = splitVkey(vkey);
  return parts === undefined ? vkey : joinVkey(asType(parts, 4));
}

const WITNESSES: readonly Signer[] = [
  ...Array.from({ length: 6 }, (_, i) => signerOf(`differential.example/w${i}`, "ed25519-cosigner")),
  PQ_WITNESS,
];

/** A policy that is in order for the most part. */
function madePolicy(random: Random): string {
  const lines = random.oneIn(3) ? [`log ${LOG.vkey}`] : [];
  const free: string[] = [];
  for (const [i, { vkey }] of WITNESSES.slice(random.below(WITNESSES.length)).entries()) {
    lines.push(`witness w${i} ${vkey} http://w${i}`);
    free.push(`w${i}`);
  }
  for (let i = 0; free.length > 1 && i < 4; i += 1) {
    const members = free.splice(0, 1 + random.below(free.length));
    lines.push(
      `group g${i} ${random.pick(["any", "all", String(1 + random.below(members.length))])} ${members.join(" ")}`,
    );
    free.push(`g${i}`);
  }
  lines.push(`quorum ${random.oneIn(8) ? "none" : (free.at(-1) ?? "none")}`);
  return lines.map((line) => `${line}\n`).join("");
}

/** A policy that is in order, and any of its witnesses' cosignatures; in some cases one that does not hold. */
function quorumMaker(): Maker {
  const good = WITNESSES.map((signer) => hostileLine(signer, TEXT));
  const bad = WITNESSES.map((signer) => hostileLine(signer, TEXT.replace("\n1\n", "\n2\n")));
  const others = [hostileLine(LOG, TEXT), hostileLine(WITNESS, TEXT)];
  return (random) => {
    const lines = [...good.filter(() => random.oneIn(2)), random.pick(others)];
    if (random.oneIn(8)) lines.splice(random.below(lines.length), 0, random.pick(bad));
    return quorumInput(madePolicy(random), lines);
  };
}

function proofTexts(): string[] {
  const { cases } = readVectorJson<{ cases: { text: string }[] }>("proof/tlog-proof-format.json");
  const { proofs } = readVectorJson<{ proofs: { tlog_proof: string }[] }>("proof/sumdb-tlog-proofs.json");
  const texts = [...cases.map(({ text }) => text), ...proofs.map(({ tlog_proof }) => tlog_proof)];
  return [...texts, readVectorText("proof/barreleye-930.tlog-proof")].map(octetsOfText);
}

/** Vectors altered, and proofs of any number of hashes with a checkpoint of the vectors in them. */
function proofMaker(proofs: readonly string[], notes: readonly NoteVector[]): Maker {
  const material: Material = {
    others: proofs,
    words: ["index 0\n", "extra AAAA\n", "extra \n", "\r", `${encodeBase64(new Uint8Array(32))}\n`, "\n\n"],
  };
  return (random) => {
    if (random.oneIn(2)) return [bytesOf(mutate(random.pick(proofs), random, material))];
    const extra = random.oneIn(2) ? `extra ${encodeBase64(random.bytes(random.below(40)))}\n` : "";
    const big = random.oneIn(2000) ? `extra ${"AAAA".repeat(16_000 + random.below(1000))}\n` : extra;
    const count = random.oneIn(20) ? 60 + random.below(8) : random.below(5);
    const hashes = Array.from({ length: count }, (_, i) => `${encodeBase64(new Uint8Array(32).fill(i))}\n`).join("");
    const index = random.pick(["0", "1", "14", "929", "9223372036854775807"]);
    const { note } = random.pick(notes);
    const proof = `c2sp.org/tlog-proof@v1\n${big}index ${index}\n${hashes}\n${note}`;
    return [bytesOf(mutate(proof, random, material))];
  };
}

interface ProofVector {
  readonly numbers: readonly [bigint, bigint];
  readonly hashes: readonly [Hash, Hash];
  readonly proof: readonly Hash[];
}

const BIG_TREE_LEAVES = 600;

/** Any proof of a tree of any size up to 600, made by our own prover. */
class OwnTree {
  readonly #leaves = Array.from({ length: BIG_TREE_LEAVES }, (_, i) => hashLeaf(u32(i)));
  readonly #nodes = new Map<string, Hash>();
  readonly #roots = new Map<number, Hash>();

  inclusion(random: Random): ProofVector {
    const size = 1 + random.below(BIG_TREE_LEAVES);
    const index = random.below(size);
    const proof = proveInclusion({ index, size, getNode: this.#node });
    return { numbers: [BigInt(index), BigInt(size)], hashes: [this.#leaf(index), this.#root(size)], proof };
  }

  consistency(random: Random): ProofVector {
    const to = 1 + random.below(BIG_TREE_LEAVES);
    const from = random.below(to + 1);
    const proof = proveConsistency({ from, to, getNode: this.#node });
    return { numbers: [BigInt(from), BigInt(to)], hashes: [this.#root(from), this.#root(to)], proof };
  }

  #leaf(index: number): Hash {
    return this.#leaves[index] ?? new Uint8Array();
  }

  #root(size: number): Hash {
    const root = this.#roots.get(size) ?? (size === 0 ? emptyRootHash() : treeHash(this.#leaves.slice(0, size)));
    this.#roots.set(size, root);
    return root;
  }

  readonly #node = ({ level, index }: Parameters<Parameters<typeof proveInclusion>[0]["getNode"]>[0]): Hash => {
    const key = `${level} ${index}`;
    const width = 2 ** level;
    const first = Number(index) * width;
    const hash = this.#nodes.get(key) ?? treeHash(this.#leaves.slice(first, first + width));
    this.#nodes.set(key, hash);
    return hash;
  };
}

function inclusionMaker(): Maker {
  const probes = readVectorJson<
    { leafIdx: string; treeSize: string; root: string; leafHash: string; proof: string[] | null }[]
  >("merkle/rfc6962-inclusion-probes.json").map(({ leafIdx, treeSize, root, leafHash, proof }) =>
    vectorOf([leafIdx, treeSize], [leafHash, root], proof),
  );
  const latest = parseCheckpoint(parseNote(readVectorText("tiles/sumdb-51319770/checkpoint")).text);
  const records = readVectorJson<{ id: string; record_hash_b64: string; proof_in_latest: string[] }[]>(
    "tiles/sumdb-51319770/records.json",
  ).map(({ id, record_hash_b64, proof_in_latest }) =>
    vectorOf([id, String(latest.size)], [record_hash_b64, encodeBase64(latest.rootHash)], proof_in_latest),
  );
  const tree = new OwnTree();
  return treeProofMaker([...probes, ...records], (random) => tree.inclusion(random));
}

function consistencyMaker(): Maker {
  const probes = readVectorJson<
    { size1: string; size2: string; root1: string; root2: string; proof: string[] | null }[]
  >("merkle/rfc6962-consistency-probes.json").map(({ size1, size2, root1, root2, proof }) =>
    vectorOf([size1, size2], [root1, root2], proof),
  );
  const latest = parseCheckpoint(parseNote(readVectorText("tiles/sumdb-51319770/checkpoint")).text);
  const older = readVectorJson<{ old_note: string; proof: string[] }[]>("tiles/sumdb-51319770/consistency.json").map(
    ({ old_note, proof }) => {
      const { size, rootHash } = parseCheckpoint(parseNote(old_note).text);
      const roots = [encodeBase64(rootHash), encodeBase64(latest.rootHash)] as const;
      return vectorOf([String(size), String(latest.size)], roots, proof);
    },
  );
  const tree = new OwnTree();
  return treeProofMaker([...probes, ...older], (random) => tree.consistency(random));
}

function vectorOf(
  [first, second]: readonly [string, string],
  [a, b]: readonly [string, string],
  proof: readonly string[] | null,
): ProofVector {
  return {
    numbers: [BigInt(first), BigInt(second)],
    hashes: [decodeBase64(a), decodeBase64(b)],
    proof: (proof ?? []).map((hash) => decodeBase64(hash)),
  };
}

/** Half vectors, half proofs of our own; a third of each as they are. */
function treeProofMaker(vectors: readonly ProofVector[], own: (random: Random) => ProofVector): Maker {
  return (random) => {
    let vector = random.oneIn(2) ? random.pick(vectors) : own(random);
    if (random.oneIn(3)) return inputOfProof(vector);
    do vector = random.pick(PROOF_MUTATORS)(vector, random, random.pick(vectors));
    while (random.oneIn(3));
    return inputOfProof(vector);
  };
}

type ProofMutator = (vector: ProofVector, random: Random, other: ProofVector) => ProofVector;

const PROOF_MUTATORS: readonly ProofMutator[] = [
  (vector, random) => ({ ...vector, numbers: [alterNumber(vector.numbers[0], random), vector.numbers[1]] }),
  (vector, random) => ({ ...vector, numbers: [vector.numbers[0], alterNumber(vector.numbers[1], random)] }),
  ({ numbers: [a, b], hashes, proof }) => ({ numbers: [b, a], hashes, proof }),
  ({ numbers: [, b], hashes, proof }) => ({ numbers: [b, b], hashes, proof }),
  ({ numbers, hashes: [a, b], proof }) => ({ numbers, hashes: [b, a], proof }),
  ({ numbers, hashes: [a], proof }) => ({ numbers, hashes: [a, a], proof }),
  (vector, random, other) => ({
    ...vector,
    hashes: random.oneIn(2) ? other.hashes : [other.hashes[0], vector.hashes[1]],
  }),
  (vector, random) => ({ ...vector, hashes: [alterHash(vector.hashes[0], random), vector.hashes[1]] }),
  (vector, random) => ({ ...vector, hashes: [vector.hashes[0], alterHash(vector.hashes[1], random)] }),
  (vector, random) => ({ ...vector, hashes: [emptyRootHash(), random.pick(vector.hashes)] }),
  (vector, random, other) => ({ ...vector, proof: random.oneIn(2) ? [] : other.proof }),
  (vector, random) => ({ ...vector, proof: vector.proof.toSpliced(random.below(vector.proof.length + 1), 1) }),
  (vector, random) => {
    const at = random.below(vector.proof.length + 1);
    return { ...vector, proof: vector.proof.toSpliced(at, 0, vector.proof[at] ?? new Uint8Array(32)) };
  },
  (vector, random) => {
    const at = random.below(vector.proof.length);
    const hash = vector.proof[at];
    return hash === undefined ? vector : { ...vector, proof: vector.proof.with(at, alterHash(hash, random)) };
  },
  ({ numbers, hashes, proof }) => ({ numbers, hashes, proof: proof.toReversed() }),
];

const SIZES: readonly bigint[] = [
  0n,
  1n,
  2n,
  2n ** 31n,
  2n ** 32n + 1n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

function alterNumber(number: bigint, random: Random): bigint {
  const altered = random.pick([
    number + 1n,
    number - 1n,
    number ^ (1n << BigInt(random.below(64))),
    random.pick(SIZES),
  ]);
  return BigInt.asUintN(64, altered);
}

function alterHash(hash: Hash, random: Random): Hash {
  if (random.oneIn(6)) return hash.subarray(1);
  if (random.oneIn(6)) return Uint8Array.of(...hash, 0);
  if (random.oneIn(10)) return new Uint8Array();
  if (hash.length === 0) return new Uint8Array(32);
  const at = random.below(hash.length);
  return hash.with(at, (hash[at] ?? 0) ^ (1 << random.below(8)));
}

const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function ed25519Maker(): Maker {
  const { testGroups } = readVectorJson<{
    testGroups: { publicKey: { pk: string }; tests: { msg: string; sig: string }[] }[];
  }>("crypto/ed25519-wycheproof.json");
  const vectors = testGroups.flatMap(({ publicKey: { pk }, tests }) =>
    tests.map(({ msg, sig }) => [pk, msg, sig].map((hex) => decodeHex(hex))),
  );
  return (random) => {
    const [key = new Uint8Array(), message = new Uint8Array(), signature = new Uint8Array()] = random.oneIn(2)
      ? random.pick(vectors)
      : honestSignature(random.bytes(32), random.bytes(random.below(40)));
    const [R, S] = [signature.subarray(0, 32), signature.subarray(32)];
    switch (random.below(6)) {
      case 0:
        return [key, message, signature];
      case 1:
        return [key, message, alterHash(signature, random)];
      case 2:
        return [alterHash(key, random).subarray(0, 32), message, signature];
      case 3:
        return [key, message, concatBytes(R, withGroupOrder(S))];
      case 4:
        return [random.pick(SMALL_ORDER_POINTS), message, concatBytes(random.oneIn(2) ? R : new Uint8Array(32), S)];
      default:
        // With S = 0 one in eight of these R fits.
        return [
          random.pick(SMALL_ORDER_POINTS),
          message,
          concatBytes(random.pick(SMALL_ORDER_POINTS), new Uint8Array(32)),
        ];
    }
  };
}

/** The same scalar, not reduced. */
function withGroupOrder(S: Uint8Array): Uint8Array {
  const value = BigInt(`0x0${Buffer.from(S).reverse().toString("hex")}`) + GROUP_ORDER;
  return new Uint8Array(Buffer.from((value % 2n ** 256n).toString(16).padStart(64, "0"), "hex").reverse());
}

function tilePaths(): string[] {
  const vectors = readVectorJson<{
    tile_path: { path: string }[];
    entries_path: { path: string }[];
    entries_path_for_log_index: { path: string }[];
    parse_ok: { level: string; index_path: string }[];
    parse_error: { level: string; index_path: string }[];
  }>("tiles/tile-paths.json");
  const whole = [...vectors.tile_path, ...vectors.entries_path, ...vectors.entries_path_for_log_index];
  const split = [...vectors.parse_ok, ...vectors.parse_error];
  const own = [0n, 999n, 1000n, 1234067n, 2n ** 53n, 2n ** 63n - 1n].flatMap((index) =>
    [1, 255, 256].map((width) => tilePath({ level: 63, index, width })),
  );
  return [
    ...whole.map(({ path }) => path),
    ...split.flatMap(({ level, index_path }) => [`tile/${level}/${index_path}`, `tile/entries/${index_path}`]),
    ...own,
    "tile/0/x009/x223/x372/x036/x854/x775/808",
    "tile/0/x018/x446/x744/x073/x709/x551/615",
    "tile/0/x018/x446/x744/x073/x709/x551/616",
  ].map(octetsOfText);
}
