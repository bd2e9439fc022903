import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  TlogProofVerifier,
  type VerifiedEntry,
  encodeBase64,
  formatCheckpoint,
  formatTlogProof,
  hashLeaf,
  parseTlogProof,
  proveInclusion,
  utf8,
  verifyTlogProof,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { ORIGIN, lineOf, noteOf, policyOf, signerOf } from "./signed-notes.ts";

const log = signerOf(ORIGIN);
const policy = policyOf([log], [], "quorum none");

interface Example {
  readonly note: string;
  readonly entries: readonly Uint8Array[];
  readonly proofs: readonly string[];
}

function exampleOf(entries: readonly Uint8Array[]): Example {
  const tree = MemoryTree.of(entries);
  const size = entries.length;
  const noteText = formatCheckpoint({ origin: ORIGIN, size, rootHash: tree.range.rootHash() });
  const note = noteOf(noteText, lineOf(log, noteText));
  const proofs = entries.map((extra, index) => {
    const hashes = proveInclusion({ index, size, getNode: tree.getNode });
    return formatTlogProof({ extra, index: BigInt(index), hashes, checkpoint: note });
  });
  return { note, entries, proofs };
}

/** What one proof proves, by parsing and verifying it by itself. */
function verifySingly(proof: string, note: string): VerifiedEntry | undefined {
  let found: VerifiedEntry | undefined;
  const code = errorCode(() => {
    const { extra = new Uint8Array(), index, checkpoint } = parseTlogProof(proof);
    const leafHash = hashLeaf(extra);
    verifyTlogProof({ proof, leafHash, policy });
    found = checkpoint === note && extra.length > 0 ? { index: Number(index), entry: extra, leafHash } : undefined;
  });
  return code === undefined ? found : undefined;
}

const { note, entries, proofs } = exampleOf(someEntries(37));

describe("TlogProofVerifier", () => {
  test("gives index, entry and leaf hash of every proof of every tree to 40 entries", () => {
    for (let size = 1; size <= 40; size += 1) {
      const example = exampleOf(someEntries(size));
      const expected = example.entries.map((entry, index) => ({ index, entry, leafHash: hashLeaf(entry) }));
      const verifier = new TlogProofVerifier(example.note);
      expect(verifier.verifyAll(example.proofs)).toEqual(expected);
      expect(verifier.verifyAll(example.proofs)).toEqual(expected);
    }
  });

  test("a call that ends with an error leaves nothing for the next one", () => {
    const verifier = new TlogProofVerifier(note);
    const [first = "", second = ""] = proofs;
    expect(errorCode(() => verifier.verifyAll([first, JSON.parse("5")]))).toBe("TypeError");
    // Entry 0 at index 1, which the way of the call before would prove.
    const moved = formatTlogProof({ ...parseTlogProof(second), extra: entries[0] ?? new Uint8Array() });
    expect(verifier.verifyAll([moved, second])).toEqual([undefined, verifySingly(second, note)]);
  });

  test("takes entries of 1 to 512 bytes and passes over others", () => {
    const lengths = [1, 2, 3, 4, 30, 511, 512, 513, 3000, 4000];
    const example = exampleOf(lengths.map((length) => new Uint8Array(length).fill(length)));
    const found = new TlogProofVerifier(example.note).verifyAll(example.proofs);
    expect(found.map((entry) => entry?.entry.length)).toEqual(
      lengths.map((length) => (length <= 512 ? length : undefined)),
    );
  });

  test("what it gives stays as it is when others are verified", () => {
    const verifier = new TlogProofVerifier(note);
    const first = verifier.verifyAll(proofs.slice(0, 5));
    verifier.verifyAll(proofs.toReversed());
    expect(first).toEqual(entries.slice(0, 5).map((entry, index) => ({ index, entry, leafHash: hashLeaf(entry) })));
  });

  test("accepts nothing that by itself is refused, of any text that differs in one character", () => {
    const good = proofs[21] ?? "";
    const [verifier, cold] = [new TlogProofVerifier(note), new TlogProofVerifier(note)];
    verifier.verifyAll(proofs);
    const head = good.length - note.length;
    for (let at = 0; at < good.length; at += 1) {
      const unit = good.charCodeAt(at);
      // A bit, another byte above the same one, an end of a line, the next character twice or not at all.
      const others = [unit ^ 1, unit ^ 32, unit + 256, unit + 0x4100, 0x0a, 0xd800].map(
        (other) => good.slice(0, at) + String.fromCharCode(other) + good.slice(at + 1),
      );
      others.push(good.slice(0, at) + good.slice(at + 1), good.slice(0, at) + good.charAt(at) + good.slice(at));
      // Whoever changes the note shows another one, which is passed over: that takes no signature to see.
      const expected = others.map((text) => (at < head || text === good ? verifySingly(text, note) : undefined));
      expect(verifier.verifyAll(others)).toEqual(expected);
      expect(cold.verifyAll(others)).toEqual(expected);
    }
  });

  test("accepts no other entry, index, hash or order of lines", () => {
    const lines = proofs.map((proof) => proof.split("\n"));
    const [mine = [], other = []] = [lines[21], lines[36]];
    const texts = mine.flatMap((line, at) => [
      mine.toSpliced(at, 1),
      mine.toSpliced(at, 0, line),
      mine.toSpliced(at, 1, other[at] ?? ""),
      mine.toSpliced(at, 1, `${line}\r`),
      mine.toSpliced(at, 1, ` ${line}`),
      mine.toSpliced(at, 2, mine[at + 1] ?? "", line),
      mine.toSpliced(at, 0, ""),
    ]);
    const hostile = [
      ...texts.map((text) => text.join("\n")),
      ...[
        "021",
        "+21",
        "21.0",
        "0x15",
        "1e1",
        "37",
        "36",
        "22",
        "",
        "-21",
        "21n",
        "9007199254740993",
        "18014398509481984",
      ].map((index) => mine.toSpliced(2, 1, `index ${index}`).join("\n")),
      mine.toSpliced(1, 1, `extra ${encodeBase64(utf8("other"))}`).join("\n"),
      mine.toSpliced(1, 1, "extra ").join("\n"),
      "",
      note,
      `\n${note}`,
      `${mine.join("\n")}\n`,
    ];
    const expected = hostile.map((text) => verifySingly(text, note));
    for (const known of [[], proofs]) {
      const verifier = new TlogProofVerifier(note);
      verifier.verifyAll(known);
      expect(verifier.verifyAll(hostile)).toEqual(expected);
    }
  });

  test("judges any mixture as one by one", () => {
    const foreign = exampleOf(someEntries(38));
    const text = fc.oneof(
      fc.constantFrom(...proofs),
      fc.constantFrom(...foreign.proofs),
      fc
        .tuple(fc.constantFrom(...proofs), fc.nat(400), fc.constantFrom("A", "=", "\n", "/", "0"))
        .map(([proof, at, char]) => proof.slice(0, at) + char + proof.slice(at + 1)),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 80 }), (texts) => {
        const found = new TlogProofVerifier(note).verifyAll(texts);
        expect(found).toEqual(texts.map((each) => verifySingly(each, note)));
      }),
      { numRuns: 40 },
    );
  });

  test("passes over what is below a head of no tree, or of one whose size no number holds", () => {
    for (const size of [0n, 2n ** 53n, 2n ** 63n - 1n]) {
      const noteText = formatCheckpoint({ origin: ORIGIN, size, rootHash: hashLeaf(utf8("x")) });
      const other = noteOf(noteText, lineOf(log, noteText));
      const verifier = new TlogProofVerifier(other);
      expect(verifier.verifyAll([(proofs[0] ?? "").replace(note, other)])).toEqual([undefined]);
    }
  });

  test("refuses a note that is none", () => {
    expect(errorCode(() => new TlogProofVerifier(""))).toBe("note-malformed");
    expect(errorCode(() => new TlogProofVerifier(note.replace("\n37\n", "\n037\n")))).toBe("checkpoint-malformed");
  });
});
