import { describe, expect, test, vi } from "vitest";
import {
  type Hash,
  TlogError,
  type TlogProof,
  decodeBase64,
  decodeHex,
  encodeBase64,
  formatCheckpoint,
  formatTlogProof,
  hashLeaf,
  hashNode,
  openNote,
  parseCheckpoint,
  parsePolicy,
  parseTlogProof,
  planInclusion,
  proveInclusion,
  sha256,
  tlogProofFormatter,
  utf8,
  verifyInclusion,
  verifyTlogProof,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson, readVectorText } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { alteredProofs } from "./mutations.ts";
import { ORIGIN, TIME, lineOf, noteOf, policyOf, signerOf } from "./signed-notes.ts";

const SIZE = 7;
const INDEX = 4;
const entries = someEntries(SIZE);
const tree = MemoryTree.of(entries);
const leafHash = hashLeaf(entries[INDEX] ?? new Uint8Array());
const [log, witness] = [signerOf(ORIGIN), signerOf("w1", "ed25519-cosigner")];
const policy = policyOf([log], [witness], "quorum w1");

function signed(size: number | bigint, rootHash: Hash, timestamp = TIME): string {
  const noteText = formatCheckpoint({ origin: ORIGIN, size, rootHash });
  return noteOf(noteText, lineOf(log, noteText), lineOf(witness, noteText, timestamp));
}

const checkpoint = signed(SIZE, tree.range.rootHash());
const hashes = proveInclusion({ index: INDEX, size: SIZE, getNode: tree.getNode });
const proof: TlogProof = { extra: utf8("more"), index: BigInt(INDEX), hashes, checkpoint };
const file = formatTlogProof(proof);

/** Line 1 is the header, 2 the extra, 3 the index, 4 to 6 the hashes, 7 empty. */
const lines = file.split("\n");
const withLine = (number: number, ...replacement: readonly string[]): string =>
  lines.toSpliced(number - 1, 1, ...replacement).join("\n");

const refuses = (text: string | Uint8Array, code = "proof-malformed"): void => {
  expect([text, errorCode(() => parseTlogProof(text))]).toEqual([text, code]);
};

describe("parseTlogProof", () => {
  test("takes what formatTlogProof writes", () => {
    expect(lines.slice(0, 3)).toEqual(["c2sp.org/tlog-proof@v1", "extra bW9yZQ==", "index 4"]);
    expect(parseTlogProof(file)).toEqual(proof);
    expect(parseTlogProof(utf8(file))).toEqual(proof);
  });

  test.each([
    "c2sp.org/tlog-proof@v2",
    "c2sp.org/tlog-proof@v1 ",
    " c2sp.org/tlog-proof@v1",
    "\ufeffc2sp.org/tlog-proof@v1",
    "c2sp.org/tlog-proof@v1\r",
    "C2SP.org/tlog-proof@v1",
    "c2sp.org/tlog-proof@v10",
    "c2sp.org/tlog-proof",
    "",
  ])("C-202 refuses the first line %j", (header) => {
    refuses(withLine(1, header));
    refuses(utf8(withLine(1, header)));
  });

  test("C-202 refuses line ends of CR and LF, and an empty file", () => {
    refuses(file.replaceAll("\n", "\r\n"));
    for (const text of ["", "\n", "\n\n", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v1\n\n"]) refuses(text);
  });

  test("C-203 takes a proof without an extra line", () => {
    const { extra: _, ...rest } = proof;
    expect(parseTlogProof(withLine(2))).toEqual(rest);
    expect(formatTlogProof(rest)).toBe(withLine(2));
  });

  test.each([
    ["an empty one", "extra "],
    ["one without its space", "extra"],
    ["one without padding", "extra bW9yZQ"],
    ["bits left over", "extra bW9yZR=="],
    ["the other alphabet", "extra -_=="],
    ["two spaces", "extra  bW9yZQ=="],
    ["a space after it", "extra bW9yZQ== "],
    ["another case", "Extra bW9yZQ=="],
  ])("C-203 refuses as the extra line: %s", (_, line) => {
    refuses(withLine(2, line));
  });

  test("C-203 refuses two extra lines, and one after the index", () => {
    refuses(withLine(2, "extra bW9yZQ==", "extra bW9yZQ=="));
    refuses(withLine(2).replace("index 4\n", "index 4\nextra bW9yZQ==\n"));
    refuses(withLine(3, "index 4", "index 4"));
  });

  test.each([
    "04",
    "00",
    "+4",
    "-4",
    "-0",
    " 4",
    "4 ",
    "0x4",
    "4e0",
    "4.0",
    "4_0",
    "٤",
    "",
    "4n",
    "9223372036854775808",
  ])("C-204 refuses the index %j", (index) => {
    refuses(withLine(3, `index ${index}`));
  });

  test("C-204 refuses a proof without an index line", () => {
    refuses(withLine(3));
    for (const line of ["index", "Index 4", "4", "index: 4"]) refuses(withLine(3, line));
  });

  test.each([2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 2n])("C-204 the index %i is exact", (index) => {
    const text = withLine(3, `index ${index}`).replace(checkpoint, signed(index + 1n, leafHash));
    expect(parseTlogProof(text).index).toBe(index);
    expect(formatTlogProof(parseTlogProof(text))).toBe(text);
  });

  test("C-205 takes 63 hashes and refuses 64, ten thousand too, before it looks at them", () => {
    const hash = lines[3] ?? "";
    const withHashes = (count: number, line = hash): string =>
      withLine(3, "index 4", ...Array.from({ length: count - hashes.length }, () => line));
    expect(parseTlogProof(withHashes(63)).hashes).toHaveLength(63);
    refuses(withHashes(64));
    for (const count of [64, 3000]) {
      expect(() => parseTlogProof(withHashes(count, "no hash"))).toThrow(`expected at most 63 hashes, got ${count}`);
    }
  });

  test("C-206 refuses a hash that is not the base64 of 32 bytes in its one form", () => {
    const hash = lines[3] ?? "";
    const others = [
      encodeBase64(new Uint8Array(31)),
      encodeBase64(new Uint8Array(33)),
      encodeBase64(new Uint8Array(64)),
      hash.slice(0, -1),
      `${hash}=`,
      ` ${hash}`,
      `${hash} `,
      `${hash}\r`,
      Buffer.from(decodeBase64(hash, "proof-malformed", "hash")).toString("hex"),
      `${hash.slice(0, -2)}${String.fromCodePoint(hash.charCodeAt(hash.length - 2) + 1)}=`,
    ];
    for (const other of others) refuses(withLine(4, other));
  });

  test("C-206 refuses a proof without the empty line, and with two", () => {
    refuses(withLine(7).split("\n— ")[0] ?? "");
    refuses(withLine(7));
    refuses(withLine(7, "", ""), "checkpoint-malformed");
  });

  test("C-207 the checkpoint is verbatim, with every line of it; the file comes back byte for byte", () => {
    const stranger = signerOf("stranger", "mldsa44");
    const noteText = formatCheckpoint({
      origin: ORIGIN,
      size: SIZE,
      rootHash: tree.range.rootHash(),
      extensions: ["x y"],
    });
    const note = noteOf(noteText, lineOf(stranger, noteText), lineOf(witness, noteText), lineOf(log, noteText));
    const text = file.replace(checkpoint, note);
    expect(parseTlogProof(text).checkpoint).toBe(note);
    expect(formatTlogProof(parseTlogProof(utf8(text)))).toBe(text);
    expect(verifyTlogProof({ proof: text, leafHash, policy }).checkpoint.extensions).toEqual(["x y"]);
  });

  test("C-207 refuses a checkpoint that is none", () => {
    refuses(file.replace(checkpoint, ""), "note-malformed");
    refuses(file.slice(0, -1), "note-malformed");
    refuses(`${file}\n`, "note-malformed");
    refuses(file.replace(`\n${SIZE}\n`, `\n0${SIZE}\n`), "checkpoint-malformed");
  });

  test("C-208 refuses an index that is not in the tree, and a tree of nothing", () => {
    for (const index of [SIZE, SIZE + 1, "9223372036854775807"]) refuses(withLine(3, `index ${index}`));
    refuses(withLine(3, "index 0").replace(checkpoint, signed(0, tree.range.rootHash())));
    refuses(withLine(3, "index 0").replace(checkpoint, signed(0, sha256(new Uint8Array()))));
  });

  test("refuses octets that are no UTF-8, and more than a receipt can need", () => {
    const bytes = utf8(file);
    for (let at = 0; at < bytes.length; at += 1) refuses(bytes.with(at, 0xff));
    refuses(`${file}${"x".repeat(2_000_000)}`);
    refuses(new Uint8Array(2_000_000));
  });

  test("says what is wrong, each defect in its own words", () => {
    const defects = [
      withLine(1, "x"),
      withLine(2, "extra "),
      withLine(2, "extra !"),
      withLine(3),
      withLine(3, "index 04"),
      withLine(3, "index 7"),
      withLine(4, "AAAA"),
      withLine(4, "!"),
      withLine(7),
    ];
    const messages = defects.map((text) => {
      try {
        return parseTlogProof(text);
      } catch (error) {
        return error instanceof TlogError ? error.message : undefined;
      }
    });
    expect(new Set(messages).size).toBe(defects.length);
    for (const message of messages) expect(message).toMatch(/^proof/);
  });
});

describe("tlogProofFormatter", () => {
  test("writes every proof under its checkpoint as formatTlogProof does, and refuses one that is none", () => {
    const format = tlogProofFormatter(checkpoint);
    for (let index = 0; index < SIZE; index += 1) {
      const made = { index: BigInt(index), hashes: proveInclusion({ index, size: SIZE, getNode: tree.getNode }) };
      expect(parseTlogProof(format(made))).toEqual({ ...made, checkpoint });
      expect(format({ ...made, extra: utf8("x") })).toBe(formatTlogProof({ ...made, extra: utf8("x"), checkpoint }));
    }
    expect(errorCode(() => format({ index: BigInt(SIZE), hashes }))).toBe("proof-malformed");
    expect(errorCode(() => tlogProofFormatter("no note"))).toBe("note-malformed");
  });
});

describe("formatTlogProof", () => {
  test("writes nothing that would not parse", () => {
    const wrong: readonly Partial<TlogProof>[] = [
      { extra: new Uint8Array() },
      { index: BigInt(SIZE) },
      { hashes: [new Uint8Array(31)] },
      { hashes: Array.from({ length: 64 }, () => new Uint8Array(32)) },
      { checkpoint: checkpoint.slice(0, -1) },
    ];
    for (const part of wrong) {
      expect(errorCode(() => formatTlogProof({ ...proof, ...part }))).toMatch(/^(proof|note)-malformed$/);
    }
    expect(errorCode(() => formatTlogProof({ ...proof, index: -1n }))).toBe("RangeError");
  });
});

describe("verifyTlogProof", () => {
  const codeOf = (part: Partial<Parameters<typeof verifyTlogProof>[0]>): string | undefined =>
    errorCode(() => verifyTlogProof({ proof, leafHash, policy, ...part }));

  test("says where the entry is, and under which head", () => {
    const verified = verifyTlogProof({ proof: file, leafHash, policy });
    expect(verified).toMatchObject({
      index: BigInt(INDEX),
      quorumMet: true,
      checkpoint: { origin: ORIGIN, size: BigInt(SIZE) },
    });
    expect(verified.cosignatures.map(({ name }) => name)).toEqual(["w1"]);
  });

  test("proves every entry of every small tree, and no other one at its place", () => {
    for (let size = 1; size <= 40; size += 1) {
      const some = someEntries(size);
      const grown = MemoryTree.of(some);
      const head = signed(size, grown.range.rootHash());
      const leaves = some.map((entry) => hashLeaf(entry));
      for (const index of [0, Math.floor(size / 2), size - 1]) {
        const one = {
          index: BigInt(index),
          hashes: proveInclusion({ index, size, getNode: grown.getNode }),
          checkpoint: head,
        };
        const taken = leaves.filter((leaf) => codeOf({ proof: one, leafHash: leaf }) === undefined);
        expect(taken).toEqual([leaves[index]]);
      }
    }
  });

  test("C-205 no hashes prove the one leaf of a tree of one, and nothing else", () => {
    const one = { index: 0n, hashes: [], checkpoint: signed(1, leafHash) };
    expect(codeOf({ proof: one })).toBeUndefined();
    expect(codeOf({ proof: { ...one, hashes } })).toBe("proof-invalid");
    for (const size of [2, 3, 7, 8]) {
      expect(codeOf({ proof: { ...one, checkpoint: signed(size, leafHash) } })).toBe("proof-invalid");
    }
  });

  test("C-208 refuses an index that was put into a parsed proof and is not in the tree", () => {
    expect(codeOf({ proof: { ...proof, index: BigInt(SIZE) } })).toBe("proof-malformed");
  });

  test("C-209 tells an unknown log, its bad signature, a missing quorum, another leaf and a wrong proof apart", () => {
    const other = signerOf("log.example/other");
    expect(codeOf({ policy: policyOf([other], [witness], "quorum w1") })).toBe("origin-unknown");
    expect(codeOf({ proof: { ...proof, checkpoint: altered(1) } })).toBe("signature-invalid");
    expect(
      codeOf({
        policy: policyOf([log], [witness, signerOf("w2", "ed25519-cosigner")], "group g all w1 w2", "quorum g"),
      }),
    ).toBe("quorum-not-met");
    expect(codeOf({ leafHash: hashLeaf(utf8("another")) })).toBe("proof-invalid");
    for (const wrong of alteredProofs(hashes)) {
      expect(codeOf({ proof: { ...proof, hashes: wrong } })).toMatch(/^(proof-invalid|TypeError)$/);
    }
  });

  /** The checkpoint with the signature of its `line`-th line altered. */
  function altered(line: number): string {
    const [text = "", signatures = ""] = checkpoint.split("\n\n");
    const all = signatures.split("\n");
    const before = all[line - 1] ?? "";
    return `${text}\n\n${all.with(line - 1, before.slice(0, -5) + (before.at(-5) === "A" ? "B" : "A") + before.slice(-4)).join("\n")}`;
  }

  test("C-209 checks the log before the quorum and the quorum before the proof", () => {
    const wrongLeaf = hashLeaf(utf8("another"));
    const more = policyOf([log], [witness, signerOf("w2", "ed25519-cosigner")], "group g all w1 w2", "quorum g");
    expect(codeOf({ leafHash: wrongLeaf, policy: more })).toBe("quorum-not-met");
    expect(codeOf({ leafHash: wrongLeaf, policy: more, proof: { ...proof, checkpoint: altered(1) } })).toBe(
      "signature-invalid",
    );
    expect(codeOf({ leafHash: wrongLeaf, policy: policyOf([], [witness], "quorum w1") })).toBe("origin-unknown");
  });

  test("C-210 what extra says is not looked at", () => {
    for (const extra of [utf8("a lie"), entries[0] ?? utf8("x"), new Uint8Array(65_535)]) {
      expect(codeOf({ proof: { ...proof, extra } })).toBeUndefined();
      expect(codeOf({ proof: { ...proof, extra }, leafHash: hashLeaf(extra) })).toBe("proof-invalid");
    }
  });

  test("C-211 times do not matter, until there is a clock to hold them against", () => {
    for (const time of [1, TIME, TIME * 1000]) {
      const at = { ...proof, checkpoint: signed(SIZE, tree.range.rootHash(), time) };
      expect(codeOf({ proof: at })).toBeUndefined();
      const inTime = time === TIME ? undefined : "quorum-not-met";
      expect(codeOf({ proof: at, nowSeconds: TIME + 60, ageSecondsMax: 60 })).toBe(inTime);
    }
    expect(codeOf({ nowSeconds: TIME + 61, ageSecondsMax: 60 })).toBe("quorum-not-met");
    expect(codeOf({ nowSeconds: TIME - 300 })).toBeUndefined();
    expect(codeOf({ nowSeconds: TIME - 301 })).toBe("quorum-not-met");
  });

  test("C-214 needs the proof, the leaf and the policy, and nothing of the machine", () => {
    vi.stubGlobal("fetch", undefined);
    vi.useFakeTimers({ now: 0 });
    try {
      expect(codeOf({ proof: file })).toBeUndefined();
    } finally {
      vi.useRealTimers();
      vi.unstubAllGlobals();
    }
  });
});

describe("a tree of 2^40 + 3 leaves, of which three are known", () => {
  const size = 2n ** 40n + 3n;
  const left = sha256(utf8("what the first 2^40 leaves come to"));
  const leaves = ["a", "b", "c"].map((text) => hashLeaf(utf8(text)));
  const [a = left, b = left, c = left] = leaves;
  const rootHash = hashNode(left, hashNode(hashNode(a, b), c));
  const index = 2n ** 40n + 1n;
  const receipt = formatTlogProof({ index, hashes: [a, c, left], checkpoint: signed(size, rootHash) });

  test("C-213 C-253 verifies a receipt of index 2^40 + 1", () => {
    expect(planInclusion({ index, size }).nodes.map(({ level }) => level)).toEqual([0, 0, 40]);
    expect(verifyTlogProof({ proof: receipt, leafHash: b, policy }).index).toBe(index);
    for (const wrong of [index - 1n, index + 1n]) {
      const moved = receipt.replace(`index ${index}\n`, `index ${wrong}\n`);
      expect(errorCode(() => verifyTlogProof({ proof: moved, leafHash: b, policy }))).toBe("proof-invalid");
    }
  });

  test("C-213 verifies it the same on the portable primitives, which browsers take", async () => {
    vi.resetModules();
    vi.doMock("#crypto", async () => import("../src/crypto-portable.ts"));
    try {
      const {
        verifyTlogProof: verifyPortably,
        parsePolicy: parsePortably,
        sha256: sha256Portably,
      } = await import("../src/index.ts");
      const { sha256: expected } = await import("../src/crypto-portable.ts");
      expect(sha256Portably).toBe(expected);
      const policyText = `log ${log.vkey}\nwitness w1 ${witness.vkey}\nquorum w1\n`;
      const verified = verifyPortably({ proof: receipt, leafHash: b, policy: parsePortably(policyText) });
      expect(verified.index).toBe(index);
      expect(() => verifyPortably({ proof: receipt, leafHash: c, policy: parsePortably(policyText) })).toThrow(/proof/);
    } finally {
      vi.doUnmock("#crypto");
      vi.resetModules();
    }
  });
});

interface FormatVector {
  readonly name: string;
  readonly text: string;
  readonly expect: "ok" | "refuse";
  readonly index?: string;
  readonly hashes?: readonly string[];
  readonly extra_b64?: string | null;
}

describeWithVectors("proofs of others", () => {
  test("C-202 to C-206 takes or refuses all 15 forms, around a checkpoint of ours", () => {
    const { cases } = readVectorJson<{ cases: readonly FormatVector[] }>("proof/tlog-proof-format.json");
    expect(cases).toHaveLength(15);
    const ours = signed(11, leafHash);
    for (const { name, text, expect: verdict, index, hashes: expected = [], extra_b64 } of cases) {
      const end = text.indexOf("\n\n");
      const whole = end === -1 ? text : `${text.slice(0, end)}\n\n${ours}`;
      const code = errorCode(() => parseTlogProof(whole));
      expect([name, code]).toEqual([name, verdict === "ok" ? undefined : "proof-malformed"]);
      if (verdict === "refuse") continue;
      const parsed = parseTlogProof(whole);
      expect(parsed.index).toBe(BigInt(index ?? ""));
      expect(parsed.hashes.map((hash) => encodeBase64(hash))).toEqual(expected);
      expect(parsed.extra === undefined ? null : encodeBase64(parsed.extra)).toBe(extra_b64);
      expect(formatTlogProof(parsed)).toBe(whole);
      // What they have for a checkpoint is none.
      expect(errorCode(() => parseTlogProof(text))).toBe("note-malformed");
    }
  });

  test("C-207 C-209 C-215 verifies a cosigned proof of a public log under the policies that it meets, with any line altered never", () => {
    const text = readVectorText("proof/barreleye-930.tlog-proof");
    const { entry_hex, leaf_hash_b64, index, policies } = readVectorJson<{
      readonly entry_hex: string;
      readonly leaf_hash_b64: string;
      readonly index: string;
      readonly policies: readonly { readonly policy: string; readonly expect: "ok" | "refuse" }[];
    }>("proof/barreleye-930.json");
    const leaf = hashLeaf(decodeHex(entry_hex));
    expect(encodeBase64(leaf)).toBe(leaf_hash_b64);
    expect(formatTlogProof(parseTlogProof(text))).toBe(text);
    const codeUnder = (policyText: string, proofText = text): string | undefined =>
      errorCode(() => verifyTlogProof({ proof: proofText, leafHash: leaf, policy: parsePolicy(policyText) }));
    expect(policies.map(({ policy: policyText }) => codeUnder(policyText))).toEqual([
      undefined,
      undefined,
      "quorum-not-met",
      "signature-untrusted",
    ]);
    expect(policies.map((each) => each.expect)).toEqual(["ok", "ok", "refuse", "refuse"]);
    expect(parseTlogProof(text).index).toBe(BigInt(index));
    const [{ policy: strict } = { policy: "" }] = policies.slice(1);
    const all = text.split("\n");
    for (const [at, line] of all.entries()) {
      if (at === all.length - 1) continue;
      const code = codeUnder(
        strict,
        all.with(at, `${line.slice(0, -7)}${line.at(-7) === "A" ? "B" : "A"}${line.slice(-6)}`).join("\n"),
      );
      expect([line, code]).toEqual([line, expect.any(String)]);
      expect(codeUnder(strict, all.toSpliced(at, 1).join("\n"))).toEqual(expect.any(String));
    }
  });

  test("C-57 C-215 three records of the Go checksum database are proved, but under a policy its key has another name", () => {
    const { policy: policyText, proofs } = readVectorJson<{
      readonly policy: string;
      readonly proofs: readonly { readonly record: string; readonly tlog_proof: string }[];
    }>("proof/sumdb-tlog-proofs.json");
    expect(proofs).toHaveLength(3);
    const sumdb = parsePolicy(policyText);
    for (const { record, tlog_proof } of proofs) {
      const parsed = parseTlogProof(tlog_proof);
      const leaf = hashLeaf(utf8(record));
      const opened = openNote(
        parsed.checkpoint,
        sumdb.logs.map(({ verifier }) => verifier),
      );
      const { size, rootHash } = parseCheckpoint(opened.text);
      verifyInclusion({ index: parsed.index, size, leafHash: leaf, rootHash, proof: parsed.hashes });
      expect(formatTlogProof(parsed)).toBe(tlog_proof);
      const verify = (): unknown => verifyTlogProof({ proof: tlog_proof, leafHash: leaf, policy: sumdb });
      expect(errorCode(verify)).toBe("origin-unknown");
    }
  });
});
