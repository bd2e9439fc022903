import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Base64Reader, HASH_LINES_MAX, HASH_LINE_CHARS } from "../src/base64-reader.ts";
import { concatBytes, decodeBase64, encodeBase64 } from "../src/index.ts";
import { Kernel } from "../src/kernel.ts";
import { errorCode } from "../../../test/support/errors.ts";

const kernel = Kernel.create();
const implementations = [
  ...(kernel === undefined ? [] : [{ name: "the kernel", reader: new Base64Reader(kernel) }]),
  { name: "portable code", reader: new Base64Reader("none") },
  { name: "what core uses", reader: new Base64Reader() },
];

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 37 + seed * 101 + Math.floor(at / 7)) % 256);
}

/** Of what a text stands for; `undefined` where it is not canonical. */
function sizeOf(text: string): number | undefined {
  return errorCode(() => decodeBase64(text)) === undefined ? decodeBase64(text).length : undefined;
}

describe.each(implementations)("base64 read by $name", ({ reader }) => {
  /** The bytes that a text is read as, between others. */
  function read(text: string, before = 0): Uint8Array | undefined {
    reader.take(`${"x".repeat(before)}${text}—`);
    const bytes = new Uint8Array(text.length + 8).fill(0xee);
    const size = reader.readBytes(before, before + text.length, bytes, 3);
    expect(bytes.subarray(0, 3)).toEqual(Uint8Array.of(0xee, 0xee, 0xee));
    if (size === -1) return undefined;
    expect(new Set(bytes.subarray(3 + size))).toEqual(new Set([0xee]));
    return bytes.slice(3, 3 + size);
  }

  function readLines(lines: readonly string[], before = 0): Uint8Array | undefined {
    const text = lines.map((line) => `${line}\n`).join("");
    reader.take(`${"—".repeat(before)}${text}`);
    const words = reader.readHashes(before, lines.length);
    return words && new Uint8Array(words.slice(0, 8 * lines.length).buffer);
  }

  const hashes = Array.from({ length: HASH_LINES_MAX }, (_, at) => bytesOf(32, at));
  const lines = hashes.map((hash) => encodeBase64(hash));

  test("is what decodeBase64 reads, of every length to 200, from any place", () => {
    for (let length = 0; length <= 200; length += 1) {
      const bytes = bytesOf(length, length);
      expect(read(encodeBase64(bytes), length % 19)).toEqual(bytes);
    }
  });

  test("is refused with any other code unit in any place, one of a digit plus 256 too", () => {
    const text = encodeBase64(bytesOf(64, 5));
    for (let at = 0; at < text.length; at += 1) {
      const digit = text.charCodeAt(at);
      for (const other of [
        0,
        0x0a,
        0x20,
        0x2a,
        0x2c,
        0x2e,
        0x3a,
        0x3d,
        0x40,
        0x5b,
        0x60,
        0x7b,
        0x7f,
        0x80,
        0xff,
        digit + 256,
        digit + 0x8000,
      ]) {
        const changed = text.slice(0, at) + String.fromCharCode(other) + text.slice(at + 1);
        const expected = errorCode(() => decodeBase64(changed)) === undefined;
        expect(read(changed) !== undefined).toBe(expected);
      }
    }
  });

  test("has one text for each digit and each place", () => {
    for (const digit of DIGITS) {
      const text = digit.repeat(64);
      expect(read(text)).toEqual(new Uint8Array(Buffer.from(text, "base64")));
    }
  });

  test("accepts no text but canonical base64", () => {
    const unit = fc.constantFrom("A", "B", "g", "w", "/", "+", "9", "=", "-", " ", "\n", "—");
    const text = fc.oneof(
      fc.string({ unit, maxLength: 80 }),
      fc.tuple(fc.uint8Array({ maxLength: 90 }), fc.nat(120), unit).map(([bytes, at, other]) => {
        const good = encodeBase64(bytes);
        return at < good.length ? good.slice(0, at) + other + good.slice(at + 1) : good;
      }),
    );
    fc.assert(
      fc.property(text, (text) => {
        const expected = errorCode(() => decodeBase64(text)) === undefined;
        expect(read(text)).toEqual(expected ? decodeBase64(text) : undefined);
      }),
      { numRuns: 2000 },
    );
  });

  test("reads as many lines of a hash as there can be, and each of them in its one form only", () => {
    for (const count of [0, 1, 2, 16, HASH_LINES_MAX]) {
      expect(readLines(lines.slice(0, count), count)).toEqual(concatBytes(...hashes.slice(0, count)));
    }
    const [line = ""] = lines;
    for (let at = 0; at < HASH_LINE_CHARS; at += 1) {
      const unit = `${line}\n`.charCodeAt(at);
      for (const other of [
        ...DIGITS.split(""),
        "=",
        "\n",
        "\r",
        " ",
        "-",
        "é",
        String.fromCharCode(unit + 256),
        String.fromCharCode(unit + 0x8000),
      ]) {
        const text = `${line}\n`.slice(0, at) + other + `${line}\n`.slice(at + 1);
        const isHash = text.endsWith("\n") && sizeOf(text.slice(0, -1)) === 32;
        reader.take(`${lines[1]}\n${text}${lines[2]}\n`);
        const words = reader.readHashes(0, 3);
        expect([at, other, words !== undefined]).toEqual([at, other, isHash]);
      }
    }
    for (const other of [bytesOf(31, 1), bytesOf(33, 1)]) {
      const text = encodeBase64(other);
      expect(readLines([line, text.padEnd(44, "="), line])).toBeUndefined();
    }
  });
});
