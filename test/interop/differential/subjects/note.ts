/** Signed notes: opened by us with the vkeys that come with them, and by x/mod's note package. */
import {
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  type NoteSignature,
  ORIGIN_BYTES_MAX,
  type Verifier,
  concatBytes,
  emptyRootHash,
  encodeBase64,
  encodeHex,
  equalBytes,
  formatCheckpoint,
  formatKeyId,
  formatNote,
  openSignatures,
  parseCheckpoint,
  parseNote,
  parseVkey,
  u32,
  utf8,
} from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, octetsOf, octetsOfText, textOf } from "../octets.ts";
import { LOG, PQ_WITNESS, WITNESS, hostileLine } from "../signers.ts";
import { joinNote, mendNote, mendSignatureBase64, readSignatureLine, splitNote } from "./lines.ts";
import { assertWrittenBack, digest, verdictOf } from "./verdict.ts";

/** A note and the vkeys under which it is opened. */
export function noteInput(octets: string, vkeys: readonly string[]): Input {
  return [bytesOf(octets), ...vkeys.map((vkey) => utf8(vkey))];
}

const verifiers = new Map<string, Verifier>();

function verifiersOf([, ...vkeys]: Input): Verifier[] {
  return vkeys.map((bytes) => {
    const vkey = textOf(octetsOf(bytes));
    const verifier = verifiers.get(vkey) ?? parseVkey(vkey);
    verifiers.set(vkey, verifier);
    return verifier;
  });
}

function ours(input: Input): string {
  const [note = new Uint8Array()] = input;
  const known = verifiersOf(input);
  return verdictOf(() => {
    const parsed = parseNote(note);
    const signatures = parsed.signatures.map(({ line }) => line);
    assertWrittenBack(textOf(octetsOf(note)), formatNote({ text: parsed.text, signatures }));
    const { textBytes, verified, unknown } = openSignatures(parsed, known);
    const good = verified.map(({ verifier: { name, keyId }, timestamp }) => {
      const time = timestamp === undefined ? "" : `@${timestamp}`;
      return `${encodeHex(utf8(name))}:${formatKeyId(keyId)}${time}`;
    });
    return `text ${digest(textBytes)} verified ${asSet(good)} others ${linesOf(unknown)}`;
  });
}

/** Signature lines that nobody verified, as the peer writes them. */
export function linesOf(signatures: readonly NoteSignature[]): string {
  return asSet(
    signatures.map(({ name, keyId, signature }) => {
      const bytes = concatBytes(u32(keyId), signature);
      return `${encodeHex(utf8(name))}:${formatKeyId(keyId)}:${digest(bytes)}`;
    }),
  );
}

function asSet(lines: readonly string[]): string {
  return [...new Set(lines)].sort().join(",");
}

interface KnownLine {
  readonly verifier: Verifier;
  readonly bytes: Uint8Array;
}

/** The known key of a line, with the line's bytes as Go reads them. */
function knownLine(line: string, known: readonly Verifier[]): KnownLine | undefined {
  const read = readSignatureLine(line);
  if (read === undefined) return undefined;
  const verifier = known.find(
    ({ name, keyId }) => octetsOfText(name) === read.name && equalBytes(u32(keyId), read.bytes.subarray(0, 4)),
  );
  return verifier === undefined ? undefined : { verifier, bytes: read.bytes };
}

/** Whether any line of a known key, over this text, is such a one. */
function hasKnownLine(input: Input, isSuch: (line: KnownLine, text: string) => boolean): boolean {
  const parts = splitNote(octetsOf(input[0] ?? new Uint8Array()));
  const known = verifiersOf(input);
  return (parts?.lines ?? []).some((line) => {
    const found = knownLine(line, known);
    return found !== undefined && isSuch(found, parts?.text ?? "");
  });
}

function mendOctets([note = new Uint8Array(), ...vkeys]: Input, mend: (octets: string) => string): Input {
  return [bytesOf(mend(octetsOf(note))), ...vkeys];
}

const TEXT = octetsOfText(formatCheckpoint({ origin: "differential.example/log", size: 0, rootHash: emptyRootHash() }));
const KEYS = [LOG.vkey, WITNESS.vkey, PQ_WITNESS.vkey];
const UNKNOWN = `${octetsOfText("— someone.else ")}AAAAAAA=\n`;

/** Signed by all three, over whatever text. */
function signed(text: string, ...more: readonly string[]): string {
  return joinNote({ text, lines: [LOG, WITNESS].map((signer) => hostileLine(signer, text)).concat(more) });
}

/** An ML-DSA-44 cosignature covers what was parsed, so it matters whether the text is a checkpoint for us. */
function isCheckpointForUs(text: string): boolean {
  return verdictOf(() => String(parseCheckpoint(textOf(text)).size)) !== "refused";
}

function isOddEmptyTree(text: string): boolean {
  if (!isCheckpointForUs(text)) return false;
  const { size, rootHash } = parseCheckpoint(textOf(text));
  return size === 0n && !equalBytes(rootHash, emptyRootHash());
}

const KINDS: readonly Kind[] = [
  {
    name: "base64-not-canonical",
    covers: "C-20 C-21",
    of: ["x/mod"],
    form: "they-tolerate",
    mend: (input) => mendOctets(input, (octets) => mendNote(octets, mendSignatureBase64)),
    example: noteInput(signed(TEXT, UNKNOWN.replace("A=", "B=")), KEYS),
  },
  {
    name: "note-over-64-signatures",
    covers: "C-28",
    of: ["x/mod"],
    form: "we-refuse",
    holds: ([note = new Uint8Array()]) => (splitNote(octetsOf(note))?.lines.length ?? 0) > NOTE_SIGNATURES_MAX,
    example: noteInput(signed(TEXT, ...Array.from({ length: 63 }, () => UNKNOWN)), KEYS),
  },
  {
    name: "note-over-256-kib",
    covers: "C-29",
    of: ["x/mod"],
    form: "we-refuse",
    holds: ([note]) => note !== undefined && note.length > NOTE_BYTES_MAX,
    example: noteInput(signed(`${TEXT}${"x".repeat(NOTE_BYTES_MAX)}\n`), KEYS),
  },
  {
    name: "second-line-of-a-key",
    covers: "C-25 C-30",
    of: ["x/mod"],
    form: "read-differently",
    mend: (input) => {
      const seen = new Set<Verifier>();
      const known = verifiersOf(input);
      const isFirst = (line: string): boolean => {
        const verifier = knownLine(line, known)?.verifier;
        const first = verifier === undefined || !seen.has(verifier);
        if (verifier !== undefined) seen.add(verifier);
        return first;
      };
      return mendOctets(input, (octets) =>
        mendNote(octets, ({ text, lines }) => ({ text, lines: lines.filter(isFirst) })),
      );
    },
    example: noteInput(signed(TEXT, hostileLine(LOG, "another text\n")), KEYS),
  },
  {
    name: "cosignature-time-above-63-bits",
    covers: "C-66",
    of: ["x/mod"],
    form: "we-refuse",
    holds: (input) =>
      hasKnownLine(
        input,
        ({ verifier: { type }, bytes }) => type !== 1 && bytes.length >= 12 && Number(bytes[4]) > 127,
      ),
    example: noteInput(signed(TEXT, hostileLine(PQ_WITNESS, TEXT, 2n ** 63n)), KEYS),
  },
  {
    name: "cosignature-over-one-line",
    covers: "C-67",
    of: ["x/mod"],
    form: "they-refuse",
    holds: (input) => hasKnownLine(input, ({ verifier: { type } }, text) => type === 4 && text.split("\n").length < 3),
    example: noteInput(joinNote({ text: "a\n", lines: [hostileLine(WITNESS, "a\n")] }), KEYS),
  },
  {
    name: "mldsa44-over-no-checkpoint",
    covers: "C-70",
    of: ["x/mod"],
    form: "we-refuse",
    holds: (input) => hasKnownLine(input, ({ verifier: { type } }, text) => type === 6 && !isCheckpointForUs(text)),
    example: (() => {
      const text = TEXT.replace("\n0\n", "\n00\n");
      return noteInput(signed(text, hostileLine(PQ_WITNESS, text)), KEYS);
    })(),
  },
  {
    name: "mldsa44-origin-over-255-bytes",
    covers: "C-60",
    of: ["x/mod"],
    form: "we-refuse",
    holds: (input) =>
      hasKnownLine(input, ({ verifier: { type } }, text) => type === 6 && text.indexOf("\n") > ORIGIN_BYTES_MAX),
    example: (() => {
      const text = `${"o".repeat(256)}\n1\n${TEXT.split("\n")[2]}\n`;
      return noteInput(signed(text, hostileLine(PQ_WITNESS, text)), KEYS);
    })(),
  },
  {
    name: "mldsa44-over-odd-empty-tree",
    covers: "C-50",
    of: ["x/mod"],
    form: "we-refuse",
    holds: (input) => hasKnownLine(input, ({ verifier: { type } }, text) => type === 6 && isOddEmptyTree(text)),
    example: (() => {
      const text = TEXT.replace(/[^\n]*\n$/, `${encodeBase64(new Uint8Array(32))}\n`);
      return noteInput(signed(text, hostileLine(PQ_WITNESS, text)), KEYS);
    })(),
  },
];

export const NOTE: Subject = { name: "note", code: "n", share: 20, ours, kinds: KINDS };
