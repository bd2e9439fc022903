import { describe, expect, test } from "vitest";
import {
  computeKeyId,
  createVerifier,
  decodeHex,
  encodeBase64,
  encodeHex,
  formatKeyId,
  formatVkey,
  parseVkey,
  sha256,
  TlogError,
  u8,
  concatBytes,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { signerOf } from "./signed-notes.ts";

interface VkeyVectors {
  readonly valid: readonly { vkey: string; name: string; key_id: string; type: string; public_key_hex: string }[];
  readonly base64_with_pluses: { readonly vkey: string };
  readonly invalid: readonly { vkey: string; why: string }[];
  readonly mangle: { readonly vkey: string };
  readonly key_ids: readonly {
    name: string;
    type: string;
    public_key_hex?: string;
    public_key_spki_hex?: string;
    key_id: string;
    sha256_hex: string;
  }[];
}

const supported = new Set(["0x01", "0x04", "0x06"]);

describeWithVectors("vkeys of others", () => {
  const { valid, base64_with_pluses, invalid, mangle, key_ids } = readVectorJson<VkeyVectors>("notes/vkeys.json");

  test("C-34 C-37 C-39 C-62 takes the valid ones of types 1, 4 and 6 apart; 2 and 5 are unsupported", () => {
    const taken = valid.filter(({ type }) => supported.has(type));
    for (const { vkey, name, key_id, type, public_key_hex } of taken) {
      const verifier = parseVkey(vkey);
      expect([verifier.name, formatKeyId(verifier.keyId), verifier.type, encodeHex(verifier.publicKey)]).toEqual([
        name,
        key_id,
        Number(type),
        public_key_hex,
      ]);
      expect([verifier.vkey, formatVkey(verifier)]).toEqual([vkey, vkey]);
    }
    for (const { vkey } of valid.filter(({ type }) => !supported.has(type))) {
      expect(errorCode(() => parseVkey(vkey))).toBe("vkey-unsupported");
    }
    expect([valid.length, taken.length]).toEqual([10, 7]);
  });

  test("C-33 splits at the first two pluses only", () => {
    expect(() => parseVkey(base64_with_pluses.vkey)).toThrow(/signature type 251 is none of 1, 4, 6/);
  });

  test("C-35 C-36 refuses the invalid ones", () => {
    const refused = invalid.map(({ vkey }) => ({ vkey, code: errorCode(() => parseVkey(vkey)) }));
    const others = refused.filter(({ code }) => code !== "vkey-malformed");
    // Of another type than 1, 4 and 6: 0x65, 3 and 2, which is not looked into.
    expect(others.map(({ code }) => code)).toEqual(["vkey-unsupported", "vkey-unsupported", "vkey-unsupported"]);
    expect(invalid).toHaveLength(8);
  });

  test("C-34 refuses every part of a vkey and every byte raised by one", () => {
    const { vkey } = mangle;
    let refused = 0;
    for (let from = 0; from < vkey.length; from += 1) {
      for (let to = from; to <= vkey.length; to += 1) {
        if (to - from === vkey.length) continue;
        expect(() => parseVkey(vkey.slice(from, to))).toThrow(TlogError);
        refused += 1;
      }
      const raised = String.fromCodePoint(vkey.charCodeAt(from) + 1);
      expect(() => parseVkey(vkey.slice(0, from) + raised + vkey.slice(from + 1))).toThrow(TlogError);
    }
    expect(refused).toBeGreaterThan(2_000);
  });

  test("C-39 computes the key IDs, of ECDSA from the SPKI form alone", () => {
    const computed = key_ids.map(({ name, type, public_key_hex, public_key_spki_hex = "" }) =>
      public_key_hex === undefined
        ? encodeHex(sha256(decodeHex(public_key_spki_hex)).subarray(0, 4))
        : formatKeyId(computeKeyId({ name, type: Number(type), publicKey: decodeHex(public_key_hex) })),
    );
    expect(computed).toEqual(key_ids.map(({ key_id }) => key_id));
    expect(key_ids).toHaveLength(2);
  });
});

describe("parseVkey", () => {
  const { vkey, verifier } = signerOf("log.example");
  const [name = "", id = "", key = ""] = vkey.split(/\+(.{8})\+/);

  test.each([id.slice(1), `0${id}`, "", "0000000g", `${id.slice(0, 7)}A`])("C-34 refuses the key ID %j", (other) => {
    expect(errorCode(() => parseVkey(`${name}+${other}+${key}`))).toBe("vkey-malformed");
  });

  test("C-35 refuses an ID that is not that of name, type and key", () => {
    for (const signer of [verifier, signerOf("a", "ed25519-cosigner").verifier, signerOf("a", "mldsa44").verifier]) {
      const wrong = signer.vkey.replace(/\+.{8}\+/, "+00000000+");
      expect(errorCode(() => parseVkey(wrong))).toBe("vkey-malformed");
      expect(errorCode(() => parseVkey(`b${signer.vkey}`))).toBe("vkey-malformed");
    }
  });

  test.each([
    [1, 32],
    [4, 32],
    [6, 1312],
  ])("C-36 refuses a key of type %i that is not %i bytes long", (type, bytes) => {
    for (const length of [0, 1, bytes - 1, bytes + 1]) {
      const publicKey = new Uint8Array(length);
      expect(errorCode(() => parseVkey(formatVkey({ name: "a", type: type as 1, publicKey })))).toBe("vkey-malformed");
      expect(errorCode(() => createVerifier({ name: "a", type: type as 1, publicKey }))).toBe("RangeError");
    }
  });

  test("C-37 says unsupported for every other type, whatever follows", () => {
    for (let type = 0; type < 256; type += 1) {
      if (type === 1 || type === 4 || type === 6) continue;
      for (const length of [0, 32]) {
        const encoded = encodeBase64(concatBytes(u8(type), new Uint8Array(length)));
        expect(errorCode(() => parseVkey(`a+00000000+${encoded}`))).toBe("vkey-unsupported");
      }
    }
  });

  test("C-38 one key as types 1 and 4 has two IDs", () => {
    const { publicKey } = verifier;
    expect(createVerifier({ name, type: 4, publicKey }).keyId).not.toBe(
      createVerifier({ name, type: 1, publicKey }).keyId,
    );
  });

  test.each([
    "",
    "a",
    "a+b",
    "+00000000+AQ==",
    "a b+00000000+AQ==",
    "a+00000000+",
    "a+00000000+AQ",
    "\ud800+00000000+AQ==",
  ])("refuses %j", (text) => {
    expect(errorCode(() => parseVkey(text))).toBe("vkey-malformed");
  });
});

describe("createVerifier", () => {
  const publicKey = new Uint8Array(32);

  test.each(["", "a b", "a+b", "a\n", "a\u0085", "\udc00"])("refuses the name %j", (name) => {
    expect(errorCode(() => createVerifier({ name, type: 1, publicKey }))).toBe("TypeError");
  });

  test("C-72 refuses an ML-DSA-44 key whose name is over 255 bytes of UTF-8", () => {
    const mldsa = { type: 6, publicKey: new Uint8Array(1312) } as const;
    for (const name of ["a".repeat(256), "é".repeat(128)]) {
      expect(errorCode(() => createVerifier({ name, ...mldsa }))).toBe("RangeError");
      expect(errorCode(() => parseVkey(formatVkey({ name, ...mldsa })))).toBe("vkey-malformed");
    }
    expect(parseVkey(formatVkey({ name: `${"é".repeat(127)}a`, ...mldsa })).type).toBe(6);
  });
});
