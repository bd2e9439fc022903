import { describe, expect, test } from "vitest";
import {
  checkpointCosignatureMessage,
  computeKeyId,
  concatBytes,
  createSigner,
  createVerifier,
  decodeBase64,
  decodeHex,
  decodeTimestamped,
  ed25519CosignatureMessage,
  emptyRootHash,
  encodeBase64,
  encodeHex,
  encodeTimestamped,
  formatCheckpoint,
  formatKeyId,
  formatSignatureLine,
  hashLeaf,
  mldsa44CosignatureMessage,
  mldsa44PublicKey,
  mldsa44Verify,
  openNote,
  openSignatures,
  parseNote,
  parseSignatureLine,
  parseVkey,
  readU64,
  sha256,
  signSubtree,
  u64,
  utf8,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { ORIGIN, TIME, lineOf, noteOf, rootHash, signerOf, text } from "./signed-notes.ts";

const ed25519 = signerOf("witness.example/w1", "ed25519-cosigner");
const mldsa = signerOf("witness.example/w1", "mldsa44");

const opens = (line: string, verifier = ed25519.verifier, noteText = text): string | undefined =>
  errorCode(() => openNote(noteOf(noteText, line), [verifier]));

describe("the blob of a cosignature", () => {
  test("C-62 the key ID is computed over type 4 or 6 and the whole key", () => {
    for (const { verifier, type } of [
      { verifier: ed25519.verifier, type: 4 },
      { verifier: mldsa.verifier, type: 6 },
    ]) {
      const digest = sha256(concatBytes(utf8(`${verifier.name}\n`), Uint8Array.of(type), verifier.publicKey));
      expect(formatKeyId(verifier.keyId)).toBe(encodeHex(digest.subarray(0, 4)));
    }
    expect([ed25519.verifier.publicKey.length, mldsa.verifier.publicKey.length]).toEqual([32, 1312]);
  });

  test.each([
    { what: "C-63 of Ed25519 is 76 bytes with its key ID", signer: ed25519, bytes: 76 },
    { what: "C-64 of ML-DSA-44 is 2432 bytes with its key ID", signer: mldsa, bytes: 2432 },
  ])("$what, and no other length holds", ({ signer, bytes }) => {
    const { name, keyId, signature } = parseSignatureLine(lineOf(signer));
    expect(signature.length + 4).toBe(bytes);
    for (const other of [signature.subarray(0, -1), concatBytes(signature, Uint8Array.of(0)), signature.subarray(8)]) {
      expect(opens(formatSignatureLine({ name, keyId, signature: other }), signer.verifier)).toBe("signature-invalid");
    }
  });

  test("C-65 the time is big-endian: the specification's example is of 1679315147", () => {
    const blob =
      "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    const { signature } = parseSignatureLine(`— witness.example.com/w1 ${blob}`);
    expect(decodeTimestamped(signature, 64).timestamp).toBe(1_679_315_147n);
    expect(readU64(encodeTimestamped({ timestamp: 1_679_315_147, signature: new Uint8Array() }))).toBe(1_679_315_147n);
  });

  test("C-66 a time of 2^53 + 1 is exact, of 2^63 - 1 the largest; above it the signature does not hold", () => {
    for (const timestamp of [2n ** 53n + 1n, 2n ** 63n - 1n]) {
      for (const signer of [ed25519, mldsa]) {
        const [verified] = openNote(noteOf(text, lineOf(signer, text, timestamp)), [signer.verifier]).verified;
        expect(verified?.timestamp).toBe(timestamp);
      }
    }
    const { name, keyId, signature } = parseSignatureLine(lineOf(ed25519));
    const late = concatBytes(u64(2n ** 63n), signature.subarray(8));
    expect(errorCode(() => decodeTimestamped(late, 64))).toBe("cosignature-malformed");
    expect(opens(formatSignatureLine({ name, keyId, signature: late }))).toBe("signature-invalid");
    expect(errorCode(() => encodeTimestamped({ timestamp: 2n ** 63n, signature }))).toBe("RangeError");
  });
});

describe("what an Ed25519 cosignature signs", () => {
  test("C-67 C-68 is two lines and the whole text", () => {
    const noteText = utf8("example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    expect(ed25519CosignatureMessage({ timestamp: 1_679_315_147, noteText })).toEqual(
      concatBytes(utf8("cosignature/v1\ntime 1679315147\n"), noteText),
    );
    expect(ed25519CosignatureMessage({ timestamp: 0, noteText: utf8("a\n") })).toEqual(
      utf8("cosignature/v1\ntime 0\na\n"),
    );
  });

  test("C-52 C-69 has the extension lines in it", () => {
    const extended = `${text}extension\n`;
    expect(opens(lineOf(ed25519, extended), ed25519.verifier, extended)).toBeUndefined();
    expect(opens(lineOf(ed25519, text), ed25519.verifier, extended)).toBe("signature-invalid");
  });

  test("C-77 is no plain signature, nor the reverse", () => {
    const log = createSigner({ name: ed25519.name, type: "ed25519", seed: ed25519.seed });
    const plain = parseSignatureLine(lineOf(log));
    const cosigned = parseSignatureLine(lineOf(ed25519));
    expect(opens(formatSignatureLine({ ...plain, keyId: ed25519.keyId }))).toBe("signature-invalid");
    expect(opens(formatSignatureLine({ ...cosigned, keyId: log.keyId }), log.verifier)).toBe("signature-invalid");
    const cut = { ...cosigned, keyId: log.keyId, signature: cosigned.signature.subarray(8) };
    expect(opens(formatSignatureLine(cut), log.verifier)).toBe("signature-invalid");
  });

  test("C-75 does not commit to the cosigner's name", () => {
    const renamed = createVerifier({ name: "other", type: 4, publicKey: ed25519.verifier.publicKey });
    const { signature } = parseSignatureLine(lineOf(ed25519));
    expect(opens(formatSignatureLine({ name: "other", keyId: renamed.keyId, signature }), renamed)).toBeUndefined();
  });
});

describe("what an ML-DSA-44 cosignature signs", () => {
  const subtree = { origin: "b", start: 0, end: 14, hash: rootHash, name: "a", timestamp: 0 };

  test("C-70 is label, name, time, origin, start, end and hash", () => {
    expect(encodeHex(mldsa44CosignatureMessage({ ...subtree, name: "é", timestamp: 258 }))).toBe(
      `737562747265652f76310a0002c3a9000000000000010201620000000000000000000000000000000e${encodeHex(rootHash)}`,
    );
  });

  test("C-74 of a checkpoint is start 0 and end its size", () => {
    const message = { ...subtree, origin: ORIGIN, end: 1, timestamp: 7 };
    expect(checkpointCosignatureMessage({ name: "a", timestamp: 7, noteText: text })).toEqual(
      mldsa44CosignatureMessage(message),
    );
  });

  test.each(["", "a".repeat(256), "é".repeat(128)])(
    "C-60 C-72 refuses a name or an origin of 0 or over 255 bytes",
    (long) => {
      expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, name: long }))).toBe("RangeError");
      expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, origin: long }))).toBe("RangeError");
    },
  );

  test("C-72 takes 255 bytes", () => {
    const longest = `${"é".repeat(127)}a`;
    expect(mldsa44CosignatureMessage({ ...subtree, name: longest, origin: longest })[12]).toBe(255);
  });

  test("C-60 a known key's signature does not hold over an origin that it cannot carry", () => {
    const longText = formatCheckpoint({ origin: "a".repeat(256), size: 1, rootHash });
    const { signature } = parseSignatureLine(lineOf(mldsa));
    const line = formatSignatureLine({ name: mldsa.name, keyId: mldsa.keyId, signature });
    expect(opens(line, mldsa.verifier, longText)).toBe("signature-invalid");
    expect(errorCode(() => lineOf(mldsa, longText))).toBe("RangeError");
  });

  test("C-73 refuses a time with a start", () => {
    expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, start: 8, timestamp: 1 }))).toBe("RangeError");
    expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, start: 8 }))).toBeUndefined();
    expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, timestamp: 1 }))).toBeUndefined();
  });

  test.each(["start", "end", "timestamp"])("refuses a %s that is out of range", (field) => {
    for (const value of [-1, 0.5, 2 ** 53, 2n ** 63n, 2n ** 64n]) {
      expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, [field]: value }))).toBe("RangeError");
    }
  });

  test("refuses an end below the start and a hash of another length", () => {
    expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, start: 15 }))).toBe("RangeError");
    expect(errorCode(() => mldsa44CosignatureMessage({ ...subtree, hash: new Uint8Array(31) }))).toBe("TypeError");
  });

  test("C-54 C-74 has no extension lines in it", () => {
    const extended = `${text}extension\n`;
    expect(opens(lineOf(mldsa, text), mldsa.verifier, extended)).toBeUndefined();
  });

  test("C-75 commits to the cosigner's name, and to the time", () => {
    const renamed = createVerifier({ name: "other", type: 6, publicKey: mldsa.verifier.publicKey });
    const { signature } = parseSignatureLine(lineOf(mldsa));
    expect(opens(formatSignatureLine({ name: "other", keyId: renamed.keyId, signature }), renamed)).toBe(
      "signature-invalid",
    );
    const later = concatBytes(u64(TIME + 1), signature.subarray(8));
    expect(opens(formatSignatureLine({ name: mldsa.name, keyId: mldsa.keyId, signature: later }), mldsa.verifier)).toBe(
      "signature-invalid",
    );
  });

  test("C-163 the signature of a subtree holds over no checkpoint but that of [0, size) with time 0", () => {
    const whole = signSubtree({ signer: mldsa, origin: ORIGIN, start: 0, end: 1, hash: rootHash });
    expect(openNote(noteOf(text, whole), [mldsa.verifier]).verified[0]?.timestamp).toBe(0n);
    for (const other of [
      { start: 1, end: 1 },
      { start: 0, end: 2 },
    ]) {
      const line = signSubtree({ signer: mldsa, origin: ORIGIN, hash: rootHash, ...other });
      expect(opens(line, mldsa.verifier)).toBe("signature-invalid");
    }
  });

  test("does not hold over a text that is no checkpoint", () => {
    expect(opens(lineOf(mldsa), mldsa.verifier, "a\n")).toBe("signature-invalid");
  });

  test("C-81 is not looked at when its key is not known", () => {
    const unknown = Array.from({ length: 40 }, (_, i) => lineOf(mldsa).replace(mldsa.name, `w${i}`));
    expect(
      openSignatures(parseNote(noteOf(text, ...unknown, lineOf(ed25519))), [ed25519.verifier]).unknown,
    ).toHaveLength(40);
  });
});

test("C-83 a cosignature counts for its key and version: the key alone, or the name alone, is another cosigner", () => {
  const { publicKey, name, keyId } = ed25519.verifier;
  expect(computeKeyId({ name, type: 1, publicKey })).not.toBe(keyId);
  expect(opens(lineOf(ed25519), createVerifier({ name, type: 1, publicKey }))).toBe("signature-untrusted");
  expect(opens(lineOf(ed25519), mldsa.verifier)).toBe("signature-untrusted");
  expect(opens(lineOf(ed25519), createVerifier({ name: "other", type: 4, publicKey }))).toBe("signature-untrusted");
});

interface Details {
  readonly ed25519: {
    readonly seed_hex: string;
    readonly vkey: string;
    readonly checkpoint_text: string;
    readonly timestamp: string;
    readonly signed_message: string;
    readonly line: string;
    readonly other_lines: readonly { line: string; why: string }[];
  };
  readonly timestamps: readonly { signature_b64: string; unix_seconds?: string; error?: string }[];
  readonly ml_dsa_44: {
    readonly cosigned_message_layout: {
      readonly cosigner_name: string;
      readonly timestamp: string;
      readonly log_origin: string;
      readonly start: string;
      readonly end: string;
      readonly hash_hex: string;
      readonly message_hex: string;
    };
    readonly log_checkpoint: {
      readonly vkey: string;
      readonly note: string;
      readonly timestamp: string;
      readonly signed_message_hex: string;
    };
    readonly sizes: Readonly<Record<string, number>>;
    readonly refuse: readonly string[];
    readonly test_key_seed_rule: { readonly public_key_sha256_hex: Readonly<Record<string, string>> };
  };
}

describeWithVectors("cosignatures of others", () => {
  const { ed25519: v1, timestamps, ml_dsa_44 } = readVectorJson<Details>("checkpoints/cosignature-details.json");

  test("C-67 an Ed25519 cosignature of a seed is the same, byte for byte", () => {
    const cosigner = createSigner({
      name: "example.org/witness",
      type: "ed25519-cosigner",
      seed: decodeHex(v1.seed_hex),
    });
    expect(cosigner.vkey).toBe(v1.vkey);
    expect(lineOf(cosigner, v1.checkpoint_text, BigInt(v1.timestamp))).toBe(v1.line);
    const message = { timestamp: BigInt(v1.timestamp), noteText: utf8(v1.checkpoint_text) };
    expect(ed25519CosignatureMessage(message)).toEqual(utf8(v1.signed_message));
  });

  test("C-24 C-63 lines of other keys are unknown, of another length invalid", () => {
    const codes = v1.other_lines.map(({ line }) => opens(line, parseVkey(v1.vkey), v1.checkpoint_text));
    expect(codes).toEqual(["signature-untrusted", "signature-untrusted", "signature-invalid"]);
  });

  test("C-65 the times of cosignatures are read, and of what is none refused", () => {
    const read = (base64: string): bigint => decodeTimestamped(decodeBase64(base64).subarray(4), 64).timestamp;
    const [cosignature, plain, garbage, ...more] = timestamps.map(({ signature_b64 }) => signature_b64);
    expect(read(cosignature ?? "")).toBe(BigInt(timestamps[0]?.unix_seconds ?? ""));
    expect(errorCode(() => read(plain ?? ""))).toBe("cosignature-malformed");
    expect(errorCode(() => read(garbage ?? ""))).toBe("encoding-malformed");
    expect(more).toEqual([]);
  });

  test("C-70 C-73 the layout of the ML-DSA-44 message is the same; its time with a start is refused", () => {
    const layout = ml_dsa_44.cosigned_message_layout;
    const message = {
      name: layout.cosigner_name,
      timestamp: BigInt(layout.timestamp),
      origin: layout.log_origin,
      start: BigInt(layout.start),
      end: BigInt(layout.end),
      hash: decodeHex(layout.hash_hex),
    };
    expect(errorCode(() => mldsa44CosignatureMessage(message))).toBe("RangeError");
    const [time, start] = [encodeHex(u64(message.timestamp)), encodeHex(u64(message.start))];
    const none = "0".repeat(16);
    expect(layout.message_hex).toContain(time);
    expect(encodeHex(mldsa44CosignatureMessage({ ...message, timestamp: 0 }))).toBe(
      layout.message_hex.replace(time, none),
    );
    expect(encodeHex(mldsa44CosignatureMessage({ ...message, start: 0 }))).toBe(
      layout.message_hex.replace(start, none),
    );
  });

  test("C-70 C-71 the ML-DSA-44 signature of a log verifies, over the same message", () => {
    const { vkey, note, timestamp, signed_message_hex } = ml_dsa_44.log_checkpoint;
    const verifier = parseVkey(vkey);
    const opened = openNote(note, [verifier]);
    expect(opened.verified.map((verified) => verified.timestamp)).toEqual([BigInt(timestamp)]);
    const message = checkpointCosignatureMessage({
      name: verifier.name,
      timestamp: BigInt(timestamp),
      noteText: opened.text,
    });
    expect(encodeHex(message)).toBe(signed_message_hex);
    const { signature } = opened.signatures[0] ?? parseSignatureLine("");
    expect(mldsa44Verify(verifier.publicKey, message, signature.subarray(8))).toBe(true);
  });

  test("C-64 has the same sizes", () => {
    const { signature } = parseSignatureLine(lineOf(mldsa));
    expect([mldsa.verifier.publicKey.length, signature.length - 8, signature.length, signature.length + 4]).toEqual(
      Object.values(ml_dsa_44.sizes),
    );
  });

  test("C-71 makes the same ML-DSA-44 keys of seeds", () => {
    const digests = ml_dsa_44.test_key_seed_rule.public_key_sha256_hex;
    expect(Object.keys(digests)).toHaveLength(6);
    for (const [byte, digest] of Object.entries(digests)) {
      expect(encodeHex(sha256(mldsa44PublicKey(new Uint8Array(32).fill(Number(byte)))))).toBe(digest);
    }
  });

  test("refuses what is listed there", () => {
    const empty = { name: "a", origin: "b", start: 0, end: 0, timestamp: 0, hash: emptyRootHash() };
    const refused = [
      { ...empty, name: "a".repeat(256) },
      { ...empty, start: 1, end: 2, timestamp: 1 },
      { ...empty, hash: hashLeaf(utf8("not empty")) },
      { ...empty, timestamp: 2n ** 63n },
    ];
    expect(refused.map((message) => errorCode(() => mldsa44CosignatureMessage(message)))).toEqual(
      ml_dsa_44.refuse.map(() => "RangeError"),
    );
    expect(errorCode(() => mldsa44CosignatureMessage(empty))).toBeUndefined();
    expect(encodeBase64(emptyRootHash())).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
  });
});
