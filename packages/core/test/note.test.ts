import { describe, expect, test } from "vitest";
import {
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  concatBytes,
  decodeBase64,
  encodeBase64,
  formatNote,
  formatSignatureLine,
  isKeyName,
  openNote,
  parseNote,
  parseSignatureLine,
  parseVkey,
  signNote,
  utf8,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { lineOf, noteOf, signerOf } from "./signed-notes.ts";

const EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_LINE =
  "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=";
const EXAMPLE = noteOf("This is an example message.\n", EXAMPLE_LINE);

const refusesNote = (note: Uint8Array | string): void => {
  expect(errorCode(() => parseNote(note))).toBe("note-malformed");
};

describe("parseNote", () => {
  test("C-1 takes the specification's example apart, and its key verifies it", () => {
    const { text, textBytes, signatures } = parseNote(EXAMPLE);
    expect(text).toBe("This is an example message.\n");
    expect(textBytes).toEqual(utf8(text));
    expect(signatures).toMatchObject([{ name: "example.com/foo", keyId: 0x530d903a, line: EXAMPLE_LINE }]);
    expect(signatures[0]?.signature).toHaveLength(64);
    expect(openNote(EXAMPLE, [parseVkey(EXAMPLE_VKEY)]).verified).toHaveLength(1);
  });

  test("C-3 the text includes its final newline and not the empty line", () => {
    expect(parseNote(noteOf("a\n", EXAMPLE_LINE)).text).toBe("a\n");
  });

  test("C-4 splits at the last empty line; what stood there is written back byte for byte", () => {
    for (const text of ["\n", "\n\n", "a\n\nb\n", "a\n\n\n\nb\n\n", "\n\na\n"]) {
      const note = noteOf(text, EXAMPLE_LINE);
      const parsed = parseNote(note);
      expect(parsed.text).toBe(text);
      expect(formatNote({ text: parsed.text, signatures: parsed.signatures.map(({ line }) => line) })).toBe(note);
    }
  });

  test.each(["", "a", "a\n", `a\n${EXAMPLE_LINE}\n`, `${EXAMPLE_LINE}\n`])(
    "C-5 refuses %j: no empty line",
    refusesNote,
  );

  test.each(["a\n\n", "\n\n", "a\n\n\n", `a\n\n${EXAMPLE_LINE}\n\n`])("C-6 refuses %j: no signature line", refusesNote);

  test("C-7 refuses a last signature line without its newline", () => {
    refusesNote(EXAMPLE.slice(0, -1));
  });

  test.each(["\n", "text\n", "\ntext\n", "\0", " ", "x"])("C-8 refuses %j after the last signature line", (rest) => {
    refusesNote(EXAMPLE + rest);
  });

  test("C-9 C-10 C-11 refuses a signature line of another form", () => {
    const [, name = "", base64 = ""] = EXAMPLE_LINE.split(" ");
    const lines = [
      `- ${name} ${base64}`,
      `-- ${name} ${base64}`,
      `– ${name} ${base64}`,
      `― ${name} ${base64}`,
      `—${name} ${base64}`,
      `—\u00a0${name} ${base64}`,
      ` — ${name} ${base64}`,
      `—  ${name} ${base64}`,
      `— ${name}  ${base64}`,
      `— ${name}\t${base64}`,
      `— ${name} ${base64} `,
      `— ${name} ${base64} ${base64}`,
      `— ${name}`,
      `— ${name} `,
      "— ",
      "—",
    ];
    for (const line of lines) refusesNote(noteOf("a\n", line));
  });

  test.each(["", "a+b", "+", "a\u0001", "\u007f".padStart(2, "\u001f")])(
    "C-12 C-13 refuses the key name %j",
    (name) => {
      refusesNote(noteOf("a\n", `— ${name} ${EXAMPLE_LINE.split(" ")[2]}`));
    },
  );

  const spaces = [
    0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a,
    0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
  ];

  test("C-14 refuses each Unicode space in a key name, and nothing that only looks like one", () => {
    for (const space of spaces) {
      const name = `a${String.fromCodePoint(space)}b`;
      expect(isKeyName(name)).toBe(false);
      refusesNote(noteOf("a\n", `— ${name} ${EXAMPLE_LINE.split(" ")[2]}`));
    }
    // U+FEFF, U+180E, U+200B and U+2060 are no spaces in Unicode.
    for (const other of [0xfeff, 0x180e, 0x200b, 0x2060, 0x86, 0x9f, 0x7f]) {
      expect(isKeyName(`a${String.fromCodePoint(other)}b`)).toBe(true);
    }
  });

  test("C-15 refuses each control character but the newline, in the text and in the lines", () => {
    for (let code = 0; code < 0x20; code += 1) {
      if (code === 0x0a) continue;
      const control = String.fromCodePoint(code);
      refusesNote(noteOf(`a${control}\n`, EXAMPLE_LINE));
      refusesNote(noteOf("a\n", EXAMPLE_LINE + control));
    }
    refusesNote(EXAMPLE.replaceAll("\n", "\r\n"));
  });

  test("C-16 takes DEL and C1 controls in notes of others", () => {
    expect(parseNote(noteOf("a\u007f\u0080\u009f\n", EXAMPLE_LINE)).text).toBe("a\u007f\u0080\u009f\n");
  });

  test.each(["ff", "c080", "eda080", "f4908080", "e282", "80", "f8a1a1a1a1"])(
    "C-17 refuses the bytes %s: not UTF-8",
    (hex) => {
      const bad = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
      refusesNote(concatBytes(utf8("a"), bad, utf8(`\n\n${EXAMPLE_LINE}\n`)));
      refusesNote(concatBytes(utf8(EXAMPLE.slice(0, -1)), bad, utf8("\n")));
    },
  );

  test("C-17 C-18 keeps a byte order mark: it is part of what is signed", () => {
    const { textBytes } = parseNote(concatBytes(Uint8Array.of(0xef, 0xbb, 0xbf), utf8(EXAMPLE)));
    expect(textBytes.subarray(0, 4)).toEqual(Uint8Array.of(0xef, 0xbb, 0xbf, 0x54));
    expect(errorCode(() => openNote(`\ufeff${EXAMPLE}`, [parseVkey(EXAMPLE_VKEY)]))).toBe("signature-invalid");
  });

  test("C-17 refuses text with a lone surrogate", () => {
    refusesNote(noteOf("a\ud800\n", EXAMPLE_LINE));
  });

  test("C-19 composed and decomposed names are different names", () => {
    const composed = signerOf("\u00e9");
    const decomposed = signerOf("e\u0301");
    expect(composed.keyId).not.toBe(decomposed.keyId);
    const note = signNote({ text: "a\n", signers: [composed] });
    expect(openNote(note, [composed.verifier]).verified[0]?.verifier.name).toBe("\u00e9");
    expect(errorCode(() => openNote(note, [decomposed.verifier]))).toBe("signature-untrusted");
  });

  test("C-20 C-21 refuses base64 that is not canonical", () => {
    const [, name = "", base64 = ""] = EXAMPLE_LINE.split(" ");
    expect(base64.endsWith("M=")).toBe(true);
    const others = [
      base64.slice(0, -1),
      `${base64}=`,
      `${base64.slice(0, -2)}N=`,
      base64.replace("+", "-"),
      base64.replace("7", "_"),
      base64.replace("s", "%"),
      `=${base64}`,
      `${base64.slice(0, 4)}=${base64.slice(5)}`,
      `${base64}é`,
    ];
    for (const other of others) {
      if (other !== base64) refusesNote(noteOf("a\n", `— ${name} ${other}`));
    }
  });

  test("C-22 refuses a signature of fewer than five bytes, of a known key or not", () => {
    for (let length = 0; length < 5; length += 1) {
      refusesNote(noteOf("a\n", EXAMPLE_LINE, `— other ${encodeBase64(new Uint8Array(length))}`));
    }
    expect(parseSignatureLine(`— other ${encodeBase64(new Uint8Array(5))}`).signature).toHaveLength(1);
  });

  test("C-23 the key ID is the first four bytes, big-endian", () => {
    expect(parseSignatureLine(`— a ${encodeBase64(Uint8Array.of(0xfe, 1, 2, 3, 9))}`).keyId).toBe(0xfe010203);
  });

  test("C-27 takes sixteen post-quantum signatures of the largest kind, the known one last", () => {
    const known = signerOf("known");
    const blob = encodeBase64(new Uint8Array(4_900).fill(1));
    const lines = Array.from({ length: 15 }, (_, i) => `— pq${i} ${blob}`);
    expect(openNote(noteOf("a\n", ...lines, lineOf(known, "a\n")), [known.verifier]).unknown).toHaveLength(15);
  });

  test("C-28 refuses more than 64 signatures before any is verified", () => {
    const known = signerOf("known");
    let verifications = 0;
    const counting = {
      ...known.verifier,
      verify: (...args: Parameters<typeof known.verifier.verify>) => {
        verifications += 1;
        return known.verifier.verify(...args);
      },
    };
    const lines = Array.from({ length: NOTE_SIGNATURES_MAX }, (_, i) => `— other${i} AAAAAAA=`);
    expect(errorCode(() => openNote(noteOf("a\n", lineOf(known, "a\n"), ...lines), [counting]))).toBe("note-malformed");
    expect(verifications).toBe(0);
    openNote(noteOf("a\n", lineOf(known, "a\n"), ...lines.slice(1)), [counting]);
    expect(verifications).toBe(1);
  });

  test("C-29 takes a note of 256 KiB and refuses one byte more", () => {
    const text = `${"x".repeat(NOTE_BYTES_MAX - utf8(EXAMPLE_LINE).length - 3)}\n`;
    expect(parseNote(noteOf(text, EXAMPLE_LINE)).text).toBe(text);
    refusesNote(noteOf(`x${text}`, EXAMPLE_LINE));
    expect(NOTE_BYTES_MAX).toBeGreaterThanOrEqual(131_072);
  });

  test("C-41 splits by the last empty line, not at the first dash", () => {
    const text = `a\n\n${EXAMPLE_LINE}\n— not a signature\n`;
    expect(parseNote(noteOf(text, EXAMPLE_LINE)).text).toBe(text);
  });

  test("takes hostile notes in linear time", () => {
    const hostile = [
      "\n".repeat(NOTE_BYTES_MAX),
      "\n\n".repeat(NOTE_BYTES_MAX / 2 - 1) + "x\n",
      `a\n\n${"— ".repeat(NOTE_BYTES_MAX / 8)}\n`,
      `a\n\n— a ${"A".repeat(NOTE_BYTES_MAX - 21)}\n`,
      `a\n\n— ${"a".repeat(NOTE_BYTES_MAX - 20)} A\n`,
      `a\n\n— a ${"=".repeat(NOTE_BYTES_MAX - 20)}\n`,
    ];
    const start = performance.now();
    for (const note of hostile) refusesNote(note);
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe("formatNote", () => {
  test("C-2 refuses a text without a final newline", () => {
    for (const text of ["", "a", "a\nb"]) {
      expect(errorCode(() => formatNote({ text, signatures: [EXAMPLE_LINE] }))).toBe("note-malformed");
    }
  });

  test("C-31 writes lines of unknown keys back unchanged and in order", () => {
    const signatures = ["— b AAAAAAA=", EXAMPLE_LINE, "— a AAAAAAE="];
    expect(formatNote({ text: "a\n", signatures })).toBe(noteOf("a\n", ...signatures));
  });

  test.each([[[]], [[""]], [["x"]], [["— a AAAAAAA=\n"]], [["— a AAAAAAA=\n\nb"]]])(
    "refuses the signature lines %j",
    (signatures) => {
      expect(errorCode(() => formatNote({ text: "a\n", signatures }))).toBe("note-malformed");
    },
  );
});

test("formatSignatureLine writes what parseSignatureLine reads", () => {
  const line = formatSignatureLine({ name: "a", keyId: 0x530d903a, signature: Uint8Array.of(1, 2) });
  expect(line).toBe("— a Uw2QOgEC");
  expect(parseSignatureLine(line)).toMatchObject({ name: "a", keyId: 0x530d903a, line });
  expect(decodeBase64("Uw2QOgEC")).toHaveLength(6);
});
