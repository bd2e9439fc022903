/** Texts of tlog-proofs, with the checkpoint in them: parsed by us, and by transparency-dev/formats with x/mod's notes. */
import {
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  decodeUtf8,
  encodeBase64,
  formatTlogProof,
  parseCheckpoint,
  parseNote,
  parseTlogProof,
} from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, canonicalBase64, canonicalDecimal, isAbove63Bits, octetsOf, octetsOfText } from "../octets.ts";
import { LOG, hostileLine } from "../signers.ts";
import { fieldsOf } from "./checkpoint.ts";
import { linesOf } from "./note.ts";
import {
  hasBadExtensions,
  hasOddRoot,
  joinNote,
  mendNote,
  mendRootBase64,
  mendSignatureBase64,
  mendSize,
  sizeOf,
  splitNote,
} from "./lines.ts";
import { assertWrittenBack, digest, verdictOf } from "./verdict.ts";

function ours([text = new Uint8Array()]: Input): string {
  return verdictOf(() => {
    const proof = parseTlogProof(text);
    const { index, extra = new Uint8Array(), hashes, checkpoint } = proof;
    assertWrittenBack(decodeUtf8(text), formatTlogProof(proof));
    const all = hashes.map((hash) => digest(hash)).join(",");
    const note = parseNote(checkpoint);
    const fields = fieldsOf(parseCheckpoint(note.text));
    return `index ${index} extra ${digest(extra)} hashes ${all} ${fields} others ${linesOf(note.signatures)}`;
  });
}

/** A proof cut at its first empty line: its head with that line, and the note. */
interface ProofParts {
  readonly head: string;
  readonly note: string;
}

function splitProof(octets: string): ProofParts {
  const split = octets.indexOf("\n\n");
  return split === -1
    ? { head: octets, note: "" }
    : { head: octets.slice(0, split + 2), note: octets.slice(split + 2) };
}

function mendProof([proof = new Uint8Array()]: Input, mend: (parts: ProofParts) => ProofParts): Input {
  const { head, note } = mend(splitProof(octetsOf(proof)));
  return [bytesOf(head + note)];
}

function mendHead(input: Input, mend: (line: string) => string): Input {
  return mendProof(input, ({ head, note }) => ({ head: head.split("\n").map(mend).join("\n"), note }));
}

/** Mends what comes after a word: "index 007". */
function mendAfter(line: string, word: string, mend: (rest: string) => string): string {
  return line.startsWith(`${word} `) ? `${word} ${mend(line.slice(word.length + 1))}` : line;
}

function holdsFor(holds: (parts: ProofParts) => boolean): (input: Input) => boolean {
  return ([proof = new Uint8Array()]) => holds(splitProof(octetsOf(proof)));
}

function checkpointText({ note }: ProofParts): string {
  return splitNote(note)?.text ?? "";
}

function headLines({ head }: ProofParts): string[] {
  return head.slice(0, -2).split("\n");
}

/** The lines after the one with the index. */
function hashLines(parts: ProofParts): string[] {
  const lines = headLines(parts);
  return lines.slice(lines.findIndex((line) => line.startsWith("index ")) + 1);
}

const ROOT = encodeBase64(new Uint8Array(32));
const TEXT = `a\n9\n${ROOT}\n`;

function proofOf(head: readonly string[], text: string, ...lines: readonly string[]): string {
  return `c2sp.org/tlog-proof@v1\n${head.map((line) => `${line}\n`).join("")}\n${joinNote({ text, lines })}`;
}

function example(head: readonly string[], text: string = TEXT): Input {
  return [bytesOf(proofOf(head, text, hostileLine(LOG, text)))];
}

const UNKNOWN = octetsOfText("— someone.else AAAAAAA=\n");

const KINDS: readonly Kind[] = [
  {
    name: "carriage-returns",
    covers: "C-202",
    of: ["formats"],
    form: "they-tolerate",
    mend: ([proof = new Uint8Array()]) => [bytesOf(octetsOf(proof).replaceAll(/\r(?=\n|$)/g, ""))],
    example: [bytesOf(proofOf(["index 0"], TEXT, UNKNOWN).replaceAll("\n", "\r\n"))],
  },
  {
    name: "no-newline-at-the-end",
    covers: "C-7",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) => mendProof(input, ({ head, note }) => ({ head, note: note.replace(/[^\n]$/, "$&\n") })),
    example: [bytesOf(proofOf(["index 0"], TEXT, UNKNOWN.slice(0, -1)))],
  },
  {
    name: "base64-not-canonical",
    covers: "C-21 C-206",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) => {
      const isBase64 = (line: string): boolean => line !== "" && !line.includes(" ");
      const mended = mendHead(input, (line) =>
        isBase64(line) ? canonicalBase64(line) : mendAfter(line, "extra", canonicalBase64),
      );
      return mendProof(mended, ({ head, note }) => ({
        head,
        note: mendNote(note, (parts) => ({
          text: mendRootBase64(parts.text),
          lines: mendSignatureBase64(parts).lines,
        })),
      }));
    },
    example: example(["extra AB==", "index 0"]),
  },
  {
    name: "leading-zeros",
    covers: "C-204",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) =>
      mendProof(
        mendHead(input, (line) => mendAfter(line, "index", canonicalDecimal)),
        ({ head, note }) => ({ head, note: mendNote(note, ({ text, lines }) => ({ text: mendSize(text), lines })) }),
      ),
    example: example(["index 007"]),
  },
  {
    name: "empty-extra",
    covers: "C-203",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) => mendProof(input, ({ head, note }) => ({ head: head.replace("\nextra \n", "\n"), note })),
    example: example(["extra ", "index 0"]),
  },
  {
    name: "number-above-63-bits",
    covers: "C-204",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor(
      (parts) =>
        isAbove63Bits(sizeOf(checkpointText(parts))) ||
        headLines(parts).some((line) => line.startsWith("index ") && isAbove63Bits(line.slice(6))),
    ),
    example: example(["index 0"], TEXT.replace("\n9\n", "\n9223372036854775808\n")),
  },
  {
    name: "proof-over-63-hashes",
    covers: "C-205",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor((parts) => hashLines(parts).length > 63),
    example: example(["index 0", ...Array.from({ length: 64 }, () => ROOT)]),
  },
  {
    name: "root-not-32-bytes",
    covers: "C-49",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor((parts) => hasOddRoot(checkpointText(parts))),
    example: example(["index 0"], "a\n9\nAAAA\n"),
  },
  {
    name: "extension-lines-unread",
    covers: "C-51",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor((parts) => hasBadExtensions(checkpointText(parts))),
    example: example(["index 0"], `${TEXT}b\n\nc\n`),
  },
  {
    name: "note-over-64-signatures",
    covers: "C-28",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor(({ note }) => (splitNote(note)?.lines.length ?? 0) > NOTE_SIGNATURES_MAX),
    example: [bytesOf(proofOf(["index 0"], TEXT, UNKNOWN.repeat(NOTE_SIGNATURES_MAX + 1)))],
  },
  {
    name: "note-over-256-kib",
    covers: "C-29",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor(({ note }) => note.length > NOTE_BYTES_MAX),
    example: [bytesOf(proofOf(["index 0"], TEXT + `${"x".repeat(1023)}\n`.repeat(256), UNKNOWN))],
  },
  {
    name: "line-over-64-kib",
    covers: "C-29",
    of: ["formats"],
    form: "they-refuse",
    holds: ([proof = new Uint8Array()]) =>
      octetsOf(proof)
        .split("\n")
        .some((line) => line.length > 65_535),
    example: example([`extra ${encodeBase64(new Uint8Array(60_000))}`, "index 0"]),
  },
];

export const TLOG_PROOF: Subject = { name: "tlog-proof", code: "t", share: 15, ours, kinds: KINDS };
