import { describe, expect, test } from "vitest";
import {
  UINT_MAX,
  emptyRootHash,
  encodeBase64,
  encodeHex,
  formatCheckpoint,
  formatKeyId,
  openSignatures,
  originHash,
  parseCheckpoint,
  parseNote,
  parseVkey,
  utf8,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { rootHash } from "./signed-notes.ts";

const root = encodeBase64(rootHash);

const refuses = (text: string): void => {
  expect(errorCode(() => parseCheckpoint(text))).toBe("checkpoint-malformed");
};

describe("parseCheckpoint", () => {
  test("C-42 takes origin, size, root hash and extension lines, and refuses fewer lines", () => {
    expect(parseCheckpoint(`a\n1\n${root}\nx\ny\n`)).toEqual({
      origin: "a",
      size: 1n,
      rootHash,
      extensions: ["x", "y"],
    });
    for (const text of ["", "\n", "a\n", "a\n1\n", `a\n1\n${root}`, `a\n1\n\n`, `a\n${root}\n1\n`]) refuses(text);
  });

  test("C-43 refuses an empty origin", () => {
    refuses(`\n1\n${root}\n`);
  });

  test.each(["go.sum database tree", "a+b", "é ü", "\u00a0", " ", "x".repeat(1000)])(
    "C-44 takes the origin %j",
    (origin) => {
      const text = `${origin}\n1\n${root}\n`;
      expect(parseCheckpoint(text).origin).toBe(origin);
      expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
    },
  );

  test("C-45 takes size 0 and refuses 00, 01, 007", () => {
    expect(parseCheckpoint(`a\n0\n${encodeBase64(emptyRootHash())}\n`).size).toBe(0n);
    for (const size of ["00", "01", "007"]) refuses(`a\n${size}\n${root}\n`);
  });

  test.each([
    "",
    "+1",
    "-1",
    "-0",
    " 1",
    "1 ",
    "0x1",
    "1e3",
    "1_000",
    "1.0",
    "0b1",
    "0o7",
    "Infinity",
    "٣",
    "３",
    "1\u0301",
    "1,0",
  ])("C-46 refuses the size %j", (size) => {
    refuses(`a\n${size}\n${root}\n`);
  });

  test.each(["9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775807"])(
    "C-47 the size %s is exact and written back",
    (size) => {
      const text = `a\n${size}\n${root}\n`;
      expect(parseCheckpoint(text).size).toBe(BigInt(size));
      expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
    },
  );

  test("C-48 refuses a size above 2^63 - 1, however long, at once", () => {
    const start = performance.now();
    for (const size of ["9223372036854775808", "18446744073709551616", "1".repeat(40), "9".repeat(1_000_000)]) {
      refuses(`a\n${size}\n${root}\n`);
    }
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  test("C-49 refuses a root that is not the canonical base64 of 32 bytes", () => {
    const others = [
      encodeBase64(rootHash.subarray(1)),
      encodeBase64(new Uint8Array(33)),
      encodeBase64(new Uint8Array(64)),
      encodeHex(rootHash),
      root.slice(0, -1),
      `${root}=`,
      ` ${root}`,
      `${root} `,
      root.slice(0, -2) + String.fromCodePoint(root.charCodeAt(root.length - 2) + 1) + "=",
      "",
    ];
    for (const other of others) refuses(`a\n1\n${other}\n`);
  });

  test("C-51 refuses an empty extension line, wherever it stands", () => {
    for (const rest of ["\n", "x\n\n", "\nx\n", "x\n\ny\n", "\n\n\n"]) refuses(`a\n1\n${root}\n${rest}`);
  });

  test("C-52 keeps extension lines as they are", () => {
    const text = `a\n1\n${root}\n x \n— y\n\u00a0\n`;
    expect(parseCheckpoint(text).extensions).toEqual([" x ", "— y", "\u00a0"]);
    expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
  });

  test("names the line that is wrong", () => {
    expect(() => parseCheckpoint(`a\n007\n${root}\n`)).toThrow(/^checkpoint line 2: .*"007"$/);
    expect(() => parseCheckpoint(`a\n1\nx\n`)).toThrow(/^checkpoint line 3: /);
    expect(() => parseCheckpoint(`a\n1\n${root}\nx\n\n`)).toThrow(/line 5/);
  });
});

describe("formatCheckpoint", () => {
  test("C-50 writes the empty tree", () => {
    expect(formatCheckpoint({ origin: "a", size: 0, rootHash: emptyRootHash() })).toBe(
      "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    );
  });

  test("C-53 writes no extension lines unless they are given", () => {
    expect(formatCheckpoint({ origin: "a", size: UINT_MAX, rootHash })).toBe(`a\n9223372036854775807\n${root}\n`);
  });

  test("refuses what would not parse to the same", () => {
    for (const origin of ["", "a\nb", "\n"]) {
      expect(errorCode(() => formatCheckpoint({ origin, size: 1, rootHash }))).toBe("TypeError");
    }
    for (const extensions of [[""], ["a\nb"]]) {
      expect(errorCode(() => formatCheckpoint({ origin: "a", size: 1, rootHash, extensions }))).toBe("TypeError");
    }
    for (const size of [-1, 0.5, 2 ** 53, 2n ** 63n]) {
      expect(errorCode(() => formatCheckpoint({ origin: "a", size, rootHash }))).toBe("RangeError");
    }
    expect(errorCode(() => formatCheckpoint({ origin: "a", size: 1, rootHash: rootHash.subarray(1) }))).toBe(
      "TypeError",
    );
  });
});

test("C-166 originHash is the name of an origin in monitoring paths", () => {
  expect(originHash("example.com/behind-the-sofa")).toBe(
    "5fd2dc0beb4ce54da5050cf6d5c75248b023abad441c3cecde3976fbe9da4fe4",
  );
});

interface TextVector {
  readonly name: string;
  readonly text: string;
  readonly expect: "ok" | "refuse" | "open";
  readonly origin?: string;
  readonly size?: string;
  readonly extension?: readonly string[];
}

interface CheckpointVector {
  readonly name: string;
  readonly note: string;
  readonly origin: string;
  readonly size: string;
  readonly root_b64: string;
  readonly log_vkeys: readonly string[];
  readonly witness_vkeys: readonly string[];
  readonly signatures: readonly { name: string; key_id: string; status: "verified" | "unknown" | "invalid" }[];
}

describeWithVectors("checkpoints of others", () => {
  test("C-42 to C-51 takes or refuses all 27 texts; long origins are taken", () => {
    const vectors = readVectorJson<readonly TextVector[]>("notes/checkpoint-parse.json");
    expect(vectors).toHaveLength(27);
    const taken = vectors.filter(({ text }) => errorCode(() => parseCheckpoint(text)) === undefined);
    expect(taken.map(({ name }) => name)).toEqual(
      vectors.filter((vector) => vector.expect !== "refuse").map(({ name }) => name),
    );
    for (const { text, origin, size, extension } of taken.filter((vector) => vector.expect === "ok")) {
      expect(parseCheckpoint(text)).toMatchObject({ origin, size: BigInt(size ?? ""), extensions: extension });
      expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
    }
  });

  const vectors = readVectorJson<readonly CheckpointVector[]>("checkpoints/checkpoints.json");
  const isSupported = (vkey: string): boolean => errorCode(() => parseVkey(vkey)) !== "vkey-unsupported";
  const verifiersOf = ({ log_vkeys, witness_vkeys }: CheckpointVector): ReturnType<typeof parseVkey>[] =>
    [...log_vkeys, ...witness_vkeys].filter(isSupported).map((vkey) => parseVkey(vkey));

  test("C-47 C-49 reads all 11, and their signatures are what the vectors say; ECDSA keys stay unknown", () => {
    expect(vectors).toHaveLength(11);
    let ecdsa = 0;
    for (const vector of vectors) {
      const note = parseNote(vector.note);
      const { origin, size, rootHash } = parseCheckpoint(note.text);
      expect([origin, size, encodeBase64(rootHash)]).toEqual([vector.origin, BigInt(vector.size), vector.root_b64]);
      const opened = openSignatures(note, verifiersOf(vector));
      const verified = new Set(
        opened.verified.map(({ verifier }) => `${verifier.name} ${formatKeyId(verifier.keyId)}`),
      );
      const unsupported = new Set(
        [...vector.log_vkeys, ...vector.witness_vkeys]
          .filter((vkey) => !isSupported(vkey))
          .map((vkey) => vkey.split("+").slice(0, 2).join(" ")),
      );
      for (const { name, key_id, status } of vector.signatures) {
        const key = `${name} ${key_id}`;
        expect([key, verified.has(key)]).toEqual([key, status === "verified" && !unsupported.has(key)]);
      }
      ecdsa += unsupported.size;
    }
    expect(ecdsa).toBe(2);
  });

  test("C-25 no altered byte of a text keeps the verdict", () => {
    for (const vector of vectors.filter((each) => verifiersOf(each).length > 0)) {
      const bytes = utf8(vector.note);
      const verdict = (note: Uint8Array): number =>
        openSignatures(parseNote(note), verifiersOf(vector)).verified.length;
      expect(verdict(bytes)).toBeGreaterThan(0);
      const textBytes = parseNote(bytes).textBytes.length;
      for (let at = 0; at < textBytes; at += 1) {
        const altered = bytes.slice();
        altered[at] = Number(altered[at]) ^ 1;
        expect(errorCode(() => verdict(altered))).toMatch(/^(note-malformed|signature-invalid)$/);
      }
    }
  });

  test("C-166 has the same names of origins in monitoring paths", () => {
    const { origin_hash } = readVectorJson<{ origin_hash: readonly { origin: string; sha256_hex: string }[] }>(
      "notes/vkeys.json",
    );
    expect(origin_hash.map(({ origin }) => originHash(origin))).toEqual(
      origin_hash.map(({ sha256_hex }) => sha256_hex),
    );
    expect(origin_hash).toHaveLength(2);
  });
});
