/** Signed notes: a text, an empty line, and signature lines. c2sp.org/signed-note */
import { codeUnitsOf } from "#crypto";
import { decodeBase64, encodeBase64, readBase64 } from "./base64.ts";
import { UTF8_UNIT_BYTES_MAX, concatBytes, decodeUtf8, readU32, u32, utf8 } from "./bytes.ts";
import { TlogError, quote } from "./error.ts";

/** 64 signature lines of near 5 kB each are not expected; 16 post-quantum ones, which must be taken, are 80 kB. */
export const NOTE_BYTES_MAX = 262_144;
/** Refused before any signature is verified. */
export const NOTE_SIGNATURES_MAX = 64;
const KEY_ID_BYTES = 4;
const DASH = "— ";

/** One signature line, taken apart but not verified. */
export interface NoteSignature {
  readonly name: string;
  /** The first four bytes, big-endian. */
  readonly keyId: number;
  /** What follows the key ID; at least one byte. */
  readonly signature: Uint8Array;
  /** The line as it stood, without its newline. */
  readonly line: string;
}

export interface Note {
  /** With its final newline; without the empty line. */
  readonly text: string;
  /** The very bytes that are signed. */
  readonly textBytes: Uint8Array;
  readonly signatures: readonly NoteSignature[];
}

/**
 * Takes a signed note apart. Verifies no signature.
 *
 * @throws {TlogError} `note-malformed`: names the line and what is wrong with it.
 */
export function parseNote(note: Uint8Array | string): Note {
  const whole = typeof note === "string" ? note : decodeNote(note);
  if (whole.length > NOTE_BYTES_MAX / UTF8_UNIT_BYTES_MAX) assertNoteSize(utf8(whole, "note-malformed"));
  const control = findControl(whole);
  if (control !== undefined)
    throw malformed(`control character U+${control.toString(16).padStart(4, "0").toUpperCase()}`);
  const split = whole.lastIndexOf("\n\n");
  if (split === -1) throw malformed("no empty line before the signatures");
  const text = whole.slice(0, split + 1);
  const lines = whole.slice(split + 2);
  if (lines === "") throw malformed("no signature line after the empty line");
  if (!lines.endsWith("\n")) throw malformed("the last signature line has no newline");
  const signatureLines = lines.slice(0, -1).split("\n");
  if (signatureLines.length > NOTE_SIGNATURES_MAX) {
    throw malformed(`expected at most ${NOTE_SIGNATURES_MAX} signatures, got ${signatureLines.length}`);
  }
  const bytes = new SignatureBytes(lines.length);
  const signatures = signatureLines.map((line) => parseLine(line, bytes));
  return { text, textBytes: utf8(text, "note-malformed"), signatures };
}

function decodeNote(bytes: Uint8Array): string {
  assertNoteSize(bytes);
  return decodeUtf8(bytes, "note-malformed");
}

function assertNoteSize({ length }: Uint8Array): void {
  if (length > NOTE_BYTES_MAX) throw malformed(`expected at most ${NOTE_BYTES_MAX} bytes, got ${length}`);
}

/**
 * Takes one signature line apart, without its newline.
 *
 * @throws {TlogError} `note-malformed`
 */
export function parseSignatureLine(line: string): NoteSignature {
  return parseLine(line, new SignatureBytes(line.length));
}

/** The signatures of a note, one behind the other: memory for each takes longer to get than a signature to read. */
class SignatureBytes {
  readonly #bytes: Uint8Array;
  #size = 0;

  /** @param chars - Of all lines. */
  constructor(chars: number) {
    this.#bytes = new Uint8Array(Math.ceil(chars / 4) * 3);
  }

  /** What base64 stands for, until here. @throws {TlogError} `note-malformed` */
  add(encoded: string, what: () => string): Uint8Array {
    const start = this.#size;
    const size = readBase64({ units: codeUnitsOf(encoded), start: 0, end: encoded.length }, this.#bytes, start);
    // Which says what is wrong.
    if (size === -1) return decodeBase64(encoded, "note-malformed", what);
    this.#size += size;
    return this.#bytes.subarray(start, start + size);
  }
}

function parseLine(line: string, signatures: SignatureBytes): NoteSignature {
  if (!line.startsWith(DASH)) throw malformed(`signature line: expected "— " at its start, got ${quote(line)}`);
  const space = line.indexOf(" ", DASH.length);
  const [name, encoded] = space === -1 ? ["", ""] : [line.slice(DASH.length, space), line.slice(space + 1)];
  if (encoded === "" || encoded.includes(" "))
    throw malformed(`signature line: expected a name and base64, got ${quote(line)}`);
  if (!isKeyName(name)) throw malformed(`signature line: not a key name: ${quote(name)}`);
  const bytes = signatures.add(encoded, () => `signature of ${quote(name)}`);
  if (bytes.length <= KEY_ID_BYTES)
    throw malformed(`signature of ${quote(name)}: expected 5 bytes or more, got ${bytes.length}`);
  return { name, keyId: readU32(bytes), signature: bytes.subarray(KEY_ID_BYTES), line };
}

/**
 * Writes a note: the text with its final newline, an empty line, the signature lines.
 *
 * @param signatures - Lines without their newlines.
 * @throws {TlogError} `note-malformed`: the result would not parse.
 */
export function formatNote({
  text,
  signatures,
}: {
  readonly text: string;
  readonly signatures: readonly string[];
}): string {
  if (!text.endsWith("\n")) throw malformed("the text has no newline at its end");
  const note = `${text}\n${signatures.map((line) => `${line}\n`).join("")}`;
  parseNote(note);
  return note;
}

/**
 * Writes one signature line, without its newline.
 *
 * @throws {RangeError} The key ID is not from 0 to 2^32 - 1.
 */
export function formatSignatureLine(signature: Pick<NoteSignature, "name" | "keyId" | "signature">): string {
  return `${DASH}${signature.name} ${encodeBase64(concatBytes(u32(signature.keyId), signature.signature))}`;
}

/** Whether a name can name a key: not empty, no Unicode space, no plus, no control character, text that UTF-8 can hold. */
export function isKeyName(name: string): boolean {
  return name !== "" && name.isWellFormed() && !NOT_IN_NAMES.test(name);
}

/** JavaScript's own class of spaces has U+FEFF and lacks U+0085, so the table is written out. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const NOT_IN_NAMES = /[+\u0000-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/u;

function findControl(text: string): number | undefined {
  const at = text.search(CONTROL);
  return at === -1 ? undefined : text.charCodeAt(at);
}

function malformed(text: string): TlogError {
  return new TlogError("note-malformed", `note: ${text}`);
}
