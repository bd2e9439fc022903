import { describe, expect, test } from "vitest";
import {
  decodeBase64,
  formatKeyId,
  mergeCosignatures,
  openNote,
  openSignatures,
  parseNote,
  parseVkey,
  signNote,
  type Verifier,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { TIME, lineOf, noteOf, signerOf, text } from "./signed-notes.ts";

interface OpeningVector {
  readonly name: string;
  readonly note?: string;
  readonly note_b64?: string;
  readonly vkeys: readonly string[];
  readonly expect: "ok" | "unverified" | "invalid-signature" | "malformed" | "ambiguous-key" | "open";
  readonly verified?: readonly { name: string; key_id: string }[];
  readonly unverified?: readonly { name: string; key_id: string }[];
}

/** What the vectors' words are as codes; what they leave open is decided here. */
const CODES: Readonly<Record<OpeningVector["expect"], string | undefined>> = {
  ok: undefined,
  unverified: "signature-untrusted",
  "invalid-signature": "signature-invalid",
  malformed: "note-malformed",
  // A key that is given twice is one key.
  "ambiguous-key": undefined,
  // A line with fewer than five bytes makes the note malformed, also when nobody knows its key.
  open: "note-malformed",
};

describeWithVectors("notes of others", () => {
  const vectors = readVectorJson<readonly OpeningVector[]>("notes/signed-note-open.json");
  const noteIn = ({ note, note_b64 }: OpeningVector): string | Uint8Array => note ?? decodeBase64(note_b64 ?? "");
  const open = (vector: OpeningVector): ReturnType<typeof openNote> =>
    openNote(noteIn(vector), vector.vkeys.map(parseVkey));

  test("C-7 to C-30 opens or refuses all 23", () => {
    expect(vectors).toHaveLength(23);
    const codes = vectors.map((vector) => [vector.name, errorCode(() => open(vector))]);
    expect(codes).toEqual(vectors.map((vector) => [vector.name, CODES[vector.expect]]));
  });

  test("C-24 C-30 tells which keys' signatures hold, and which are not known", () => {
    const opened = vectors.filter((vector) => vector.expect === "ok");
    expect(opened).toHaveLength(8);
    const names = (keys: Iterable<{ name: string; keyId: number }>): string[] =>
      [...new Set([...keys].map(({ name, keyId }) => `${name} ${formatKeyId(keyId)}`))].toSorted();
    const listed = (keys: OpeningVector["verified"] = []): string[] =>
      [...new Set(keys.map(({ name, key_id }) => `${name} ${key_id}`))].toSorted();
    for (const vector of opened) {
      const { verified, unknown } = open(vector);
      expect(names(verified.map(({ verifier }) => verifier))).toEqual(listed(vector.verified));
      expect(names(unknown)).toEqual(listed(vector.unverified));
    }
  });
});

const log = signerOf("log.example/one");
const ed25519 = signerOf("witness.example", "ed25519-cosigner");
const mldsa = signerOf("witness.example", "mldsa44");
const verifiers = [log, ed25519, mldsa].map(({ verifier }) => verifier);

describe("openNote", () => {
  const logLine = lineOf(log);

  test("C-24 ignores the line of a key with the same name or the same ID only", () => {
    const sameName: Verifier = { ...log.verifier, keyId: log.keyId - 1 };
    const sameId: Verifier = { ...log.verifier, name: "other" };
    for (const other of [sameName, sameId]) {
      expect(errorCode(() => openNote(noteOf(text, logLine), [other]))).toBe("signature-untrusted");
    }
    expect(openNote(noteOf(text, logLine), [sameName, sameId, log.verifier]).verified).toHaveLength(1);
  });

  test("C-25 refuses the note when one known signature fails, whatever others hold", () => {
    const wrong = lineOf(log, `${text}more\n`);
    for (const lines of [
      [wrong, lineOf(ed25519)],
      [lineOf(ed25519), wrong],
      [logLine, lineOf(mldsa, text.replace("1\n", "2\n"))],
    ]) {
      expect(errorCode(() => openNote(noteOf(text, ...lines), verifiers))).toBe("signature-invalid");
    }
  });

  test("C-26 refuses a note that no known key signed, and names the keys that did", () => {
    expect(() => openNote(noteOf(text, logLine), [])).toThrow(
      `note: no signature of a known key, only of "log.example/one" ${formatKeyId(log.keyId)}`,
    );
  });

  test("C-30 counts a repeated line once; a second line that fails refuses the note", () => {
    expect(openNote(noteOf(text, logLine, logLine, logLine), verifiers).verified).toHaveLength(1);
    const wrong = lineOf(log, "other\n");
    expect(errorCode(() => openNote(noteOf(text, logLine, wrong), verifiers))).toBe("signature-invalid");
    expect(errorCode(() => openNote(noteOf(text, wrong, logLine), verifiers))).toBe("signature-invalid");
  });

  test("C-80 keeps the newest cosignature of a key and remembers the older ones", () => {
    for (const times of [
      [5, 7, 6],
      [7, 5, 6],
      [6, 5, 7],
    ]) {
      const note = noteOf(text, ...times.map((time) => lineOf(ed25519, text, time)));
      const { verified, older } = openNote(note, verifiers);
      expect(verified.map(({ timestamp }) => timestamp)).toEqual([7n]);
      expect(older.map(({ timestamp }) => timestamp)).toEqual([6n, 5n]);
    }
  });

  test("C-82 verifies Ed25519 first, and at most four lines of a key", () => {
    const order: number[] = [];
    const counting = verifiers.map((verifier) => ({
      ...verifier,
      verify: (...args: Parameters<Verifier["verify"]>) => {
        order.push(verifier.type);
        return verifier.verify(...args);
      },
    }));
    openNote(noteOf(text, lineOf(mldsa), lineOf(ed25519), logLine), counting);
    expect(order).toEqual([1, 4, 6]);
    order.length = 0;
    const lines = Array.from({ length: 64 }, (_, i) => lineOf(mldsa, text, i + 1));
    expect(errorCode(() => openNote(noteOf(text, ...lines.slice(0, 40)), counting))).toBe("signature-invalid");
    expect(order).toEqual([6, 6, 6, 6]);
  });

  test("C-82 does not come to ML-DSA-44 when an Ed25519 signature fails", () => {
    let costly = 0;
    const counting = { ...mldsa.verifier, verify: () => void (costly += 1) };
    const note = noteOf(text, lineOf(mldsa), lineOf(log, "other\n"));
    expect(errorCode(() => openNote(note, [counting, log.verifier]))).toBe("signature-invalid");
    expect(costly).toBe(0);
  });

  test("C-1 refuses every flipped bit of a note whose signature counts", () => {
    const note = new TextEncoder().encode(signNote({ text, signers: [log] }));
    for (let bit = 0; bit < note.length * 8; bit += 1) {
      const altered = note.slice();
      const at = Math.floor(bit / 8);
      altered[at] = Number(altered[at]) ^ (2 ** (bit % 8));
      expect(errorCode(() => openNote(altered, [log.verifier]))).toMatch(
        /^(note-malformed|signature-(invalid|untrusted))$/,
      );
    }
  });
});

describe("openSignatures", () => {
  test("takes a note that bears no known signature", () => {
    const { verified, older, unknown } = openSignatures(parseNote(noteOf(text, lineOf(log))), []);
    expect([verified, older, unknown.length]).toEqual([[], [], 1]);
  });
});

describe("mergeCosignatures", () => {
  const unknownLine = "— other AAAAAAA=";
  const note = noteOf(text, unknownLine, lineOf(log));

  test("C-31 C-177 adds new cosignatures and leaves what is there", () => {
    const merged = mergeCosignatures({ note, lines: [lineOf(ed25519), lineOf(mldsa)], verifiers });
    expect(merged).toBe(note + `${lineOf(ed25519)}\n` + merged.slice(merged.lastIndexOf("— ")));
    expect(openNote(merged, verifiers).verified).toHaveLength(3);
    expect(merged.startsWith(note)).toBe(true);
  });

  test("C-80 puts a newer cosignature in the place of the older one, and keeps the newer one", () => {
    const [older, newer] = [lineOf(ed25519, text, TIME), lineOf(ed25519, text, TIME + 1)];
    const before = noteOf(text, older, lineOf(log));
    expect(mergeCosignatures({ note: before, lines: [newer], verifiers })).toBe(noteOf(text, newer, lineOf(log)));
    const after = noteOf(text, newer, lineOf(log));
    expect(mergeCosignatures({ note: after, lines: [older, newer], verifiers })).toBe(after);
  });

  test("C-170 passes over unknown lines, and refuses an answer with a known one that fails", () => {
    expect(mergeCosignatures({ note, lines: [unknownLine, "— else AAAAAAE="], verifiers })).toBe(note);
    const wrong = lineOf(ed25519, text.replace("1\n", "2\n"));
    expect(errorCode(() => mergeCosignatures({ note, lines: [lineOf(mldsa), wrong], verifiers }))).toBe(
      "signature-invalid",
    );
    expect(errorCode(() => mergeCosignatures({ note, lines: ["x"], verifiers }))).toBe("note-malformed");
  });
});
