import { describe, expect, test } from "vitest";
import {
  type Signer,
  createSigner,
  decodeHex,
  formatSignerKey,
  openNote,
  parseSignerKey,
  parseVkey,
  signNote,
  signSubtree,
  signatureLine,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { rootHash, signerOf, text } from "./signed-notes.ts";

interface SigningVectors {
  readonly keys: readonly { name: string; seed_hex: string; skey?: string; vkey: string }[];
  readonly sign: readonly { text: string; signers: readonly string[]; seed_hex?: string; note: string }[];
  readonly refuse: readonly { why: string; text: string; name: string }[];
}

describeWithVectors("notes signed by others", () => {
  const { keys, sign, refuse } = readVectorJson<SigningVectors>("notes/signed-note-sign.json");
  const seeds = new Map(keys.map(({ name, seed_hex }) => [name, seed_hex]));
  const signerNamed = (name: string, seedHex = seeds.get(name) ?? ""): Signer =>
    createSigner({ name, type: "ed25519", seed: decodeHex(seedHex) });

  test("has the same vkeys and signer keys of these seeds", () => {
    expect(keys.map(({ name }) => signerNamed(name).vkey)).toEqual(keys.map(({ vkey }) => vkey));
    const [peter] = keys;
    expect(formatSignerKey(signerNamed("PeterNeumann"))).toBe(peter?.skey);
    expect(parseSignerKey(peter?.skey ?? "").vkey).toBe(peter?.vkey);
  });

  test("signs the same notes, byte for byte", () => {
    for (const { text, signers, seed_hex, note } of sign) {
      expect(signNote({ text, signers: signers.map((name) => signerNamed(name, seed_hex)) })).toBe(note);
    }
    expect(sign).toHaveLength(3);
  });

  test("C-2 C-12 C-13 C-14 refuses what they refuse", () => {
    for (const { why, text, name } of refuse) {
      const signing = (): string =>
        signNote({ text, signers: [createSigner({ name, type: "ed25519", seed: new Uint8Array(32) })] });
      expect(errorCode(signing)).toBe(why.startsWith("text") ? "note-malformed" : "TypeError");
    }
    expect(refuse).toHaveLength(4);
  });
});

describe("signNote", () => {
  const signer = signerOf("log.example");

  test.each(["", "a", "a\rb\n", "a\tb\n", "\0\n", "\ud800\n"])("C-2 C-15 refuses the text %j", (text) => {
    expect(errorCode(() => signNote({ text, signers: [signer] }))).toMatch(/^(note|encoding)-malformed$/);
  });

  test.each(["\u007f", "\u0080", "\u0085", "\u009f"])("C-16 never emits %j", (control) => {
    expect(errorCode(() => signNote({ text: `a${control}\n`, signers: [signer] }))).toBe("note-malformed");
    expect(errorCode(() => signerOf(`a${control}`))).toBe("TypeError");
  });

  test("refuses to sign nothing with nobody", () => {
    expect(errorCode(() => signNote({ text: "a\n", signers: [] }))).toBe("note-malformed");
  });

  test("C-59 signs a checkpoint with Ed25519 and with ML-DSA-44, each of which verifies alone", () => {
    const signers = [signer, signerOf("log.example", "mldsa44")];
    const note = signNote({ text, signers, timestamp: 7 });
    for (const { verifier } of signers) expect(openNote(note, [verifier]).verified).toHaveLength(1);
    expect(
      openNote(
        note,
        signers.map(({ verifier }) => verifier),
      ).verified.map(({ timestamp }) => timestamp),
    ).toEqual([undefined, 7n]);
  });

  test("signs no text that is no checkpoint with ML-DSA-44", () => {
    const mldsa = signerOf("log.example", "mldsa44");
    expect(errorCode(() => signatureLine({ signer: mldsa, noteText: "a\n" }))).toBe("checkpoint-malformed");
  });

  test.each([-1, 0.5, 2 ** 53, -1n, 2n ** 63n])("C-66 refuses the timestamp %s", (timestamp) => {
    for (const type of ["ed25519-cosigner", "mldsa44"] as const) {
      const cosigner = signerOf("witness.example", type);
      expect(errorCode(() => signatureLine({ signer: cosigner, noteText: text, timestamp }))).toBe("RangeError");
    }
  });
});

describe("createSigner", () => {
  test("C-72 refuses an ML-DSA-44 signer whose name is over 255 bytes, also as text", () => {
    expect(errorCode(() => signerOf("é".repeat(128), "mldsa44"))).toBe("RangeError");
    const signer = { ...signerOf("a", "mldsa44"), name: "a".repeat(256) };
    expect(errorCode(() => parseSignerKey(formatSignerKey(signer)))).toBe("signer-malformed");
  });

  test("C-38 the seed of a log as a cosigner's has another key ID", () => {
    const { seed, keyId } = signerOf("log.example");
    expect(createSigner({ name: "log.example", type: "ed25519-cosigner", seed }).keyId).not.toBe(keyId);
  });
});

describe("parseSignerKey", () => {
  const types = ["ed25519", "ed25519-cosigner", "mldsa44"] as const;

  test.each(types)("reads what formatSignerKey writes: %s", (type) => {
    const signer = signerOf("a/b", type);
    const parsed = parseSignerKey(formatSignerKey(signer));
    expect([parsed.name, parsed.type, parsed.vkey, parsed.seed]).toEqual([signer.name, type, signer.vkey, signer.seed]);
    expect(parseVkey(parsed.vkey).keyId).toBe(signer.keyId);
  });

  test("refuses every part of a key and every changed character, and never shows it", () => {
    const key = formatSignerKey(signerOf("log.example"));
    const secret = key.slice(key.lastIndexOf("+") + 1);
    const altered = Array.from({ length: key.length }, (_, i) => [
      key.slice(0, i),
      `${key.slice(0, i)}!${key.slice(i + 1)}`,
      `${key.slice(0, i)}${String.fromCodePoint(key.charCodeAt(i) + 1)}${key.slice(i + 1)}`,
    ]).flat();
    for (const other of altered) {
      const refusal = messageOf(() => parseSignerKey(other));
      expect(refusal.code).toBe("signer-malformed");
      for (let at = 0; at + 8 <= secret.length; at += 1)
        expect(refusal.message).not.toContain(secret.slice(at, at + 8));
    }
  });

  function messageOf(action: () => unknown): { code: string | undefined; message: string } {
    try {
      action();
    } catch (error) {
      return {
        code: errorCode(action),
        message: error instanceof Error ? `${error.message} ${String(error.cause)}` : "",
      };
    }
    return { code: undefined, message: "" };
  }
});

describe("signSubtree", () => {
  test("refuses a signer that is none of ML-DSA-44, and an end below the start", () => {
    const subtree = { origin: "log.example", start: 8, end: 13, hash: rootHash };
    expect(signSubtree({ signer: signerOf("w", "mldsa44"), ...subtree })).toMatch(/^— w /);
    expect(errorCode(() => signSubtree({ signer: signerOf("w", "ed25519-cosigner"), ...subtree }))).toBe("TypeError");
    expect(errorCode(() => signSubtree({ signer: signerOf("w", "mldsa44"), ...subtree, end: 7 }))).toBe("RangeError");
  });
});
