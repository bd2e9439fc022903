/** Opening a note: which of its signatures hold, under keys that the caller knows. c2sp.org/signed-note, Signatures */
import { TlogError, quote } from "./error.ts";
import { type Note, type NoteSignature, formatNote, parseNote, parseSignatureLine } from "./note.ts";
import { type Verifier, formatKeyId } from "./vkey.ts";

/** Several lines of one key are allowed; each costs a verification, so their number is bounded. */
const LINES_PER_KEY_MAX = 4;

export interface VerifiedSignature {
  readonly verifier: Verifier;
  readonly line: string;
  /** Seconds since 1970; absent in a log's Ed25519 signature. */
  readonly timestamp?: bigint;
}

export interface OpenedNote extends Note {
  /** One for each known key that signed: the newest, where a key signed more than once. */
  readonly verified: readonly VerifiedSignature[];
  /** The other signatures of these keys, older ones, that hold as well. */
  readonly older: readonly VerifiedSignature[];
  /** Lines of keys that are not known: neither counted nor held against the note. */
  readonly unknown: readonly NoteSignature[];
}

/**
 * Verifies every signature of a known key, the cheap kinds first.
 *
 * @throws {TlogError} `note-malformed`; `signature-invalid`: the signature of a known key does not hold, whatever others
 *   there are; `signature-untrusted`: no known key signed.
 */
export function openNote(note: Uint8Array | string, verifiers: readonly Verifier[]): OpenedNote {
  const opened = openSignatures(parseNote(note), verifiers);
  if (opened.verified.length > 0) return opened;
  const names = opened.unknown.map(({ name, keyId }) => `${quote(name)} ${formatKeyId(keyId)}`);
  throw new TlogError("signature-untrusted", `note: no signature of a known key, only of ${names.join(", ")}`);
}

/**
 * The same for a note that is parsed, and allowed to bear no known signature.
 *
 * @throws {TlogError} `signature-invalid`
 */
export function openSignatures(note: Note, verifiers: readonly Verifier[]): OpenedNote {
  const unknown: NoteSignature[] = [];
  const known: { verifier: Verifier; signature: NoteSignature }[] = [];
  for (const signature of note.signatures) {
    const verifier = verifiers.find(({ name, keyId }) => name === signature.name && keyId === signature.keyId);
    if (verifier === undefined) unknown.push(signature);
    else known.push({ verifier, signature });
  }
  known.sort((a, b) => a.verifier.type - b.verifier.type);
  const byKey = new Map<Verifier, VerifiedSignature[]>();
  for (const { verifier, signature } of known) {
    const before = byKey.get(verifier) ?? [];
    if (before.some(({ line }) => line === signature.line)) continue;
    if (before.length === LINES_PER_KEY_MAX)
      throw invalid(signature, `more than ${LINES_PER_KEY_MAX} signatures of this key`);
    before.push(verifyLine(note, verifier, signature));
    byKey.set(verifier, before);
  }
  const verified: VerifiedSignature[] = [];
  const older: VerifiedSignature[] = [];
  for (const signatures of byKey.values()) {
    const [newest, ...others] = signatures.sort(compareAge);
    if (newest !== undefined) verified.push(newest);
    older.push(...others);
  }
  return { ...note, verified, older, unknown };
}

function compareAge({ timestamp: a = 0n }: VerifiedSignature, { timestamp: b = 0n }: VerifiedSignature): number {
  return Number(b - a);
}

function verifyLine(note: Note, verifier: Verifier, signature: NoteSignature): VerifiedSignature {
  const claim = verifier.verify(note, signature.signature);
  if (claim === undefined) throw invalid(signature, "the signature does not hold over this text");
  return { verifier, line: signature.line, ...claim };
}

function invalid({ name, keyId }: NoteSignature, text: string): TlogError {
  return new TlogError("signature-invalid", `signature of ${quote(name)} ${formatKeyId(keyId)}: ${text}`, {
    details: { name, keyId: formatKeyId(keyId) },
  });
}

/**
 * Adds the cosignatures that an answer brings to a note. Lines that are there already stay as they are, known or not; a
 * newer cosignature of a key takes the place of its older one; lines of unknown keys in the answer are passed over.
 *
 * @throws {TlogError} `note-malformed`; `signature-invalid`: a line of a known key does not hold: discard the answer.
 */
export function mergeCosignatures({
  note,
  lines,
  verifiers,
}: {
  readonly note: string;
  readonly lines: readonly string[];
  readonly verifiers: readonly Verifier[];
}): string {
  const parsed = parseNote(note);
  const answer = openSignatures({ ...parsed, signatures: lines.map(parseSignatureLine) }, verifiers);
  const present = openSignatures(parsed, verifiers);
  const merged = parsed.signatures.map(({ line }) => line);
  for (const { verifier, line, timestamp = 0n } of answer.verified) {
    const before = present.verified.find((known) => known.verifier === verifier);
    if (before === undefined) merged.push(line);
    else if (timestamp > (before.timestamp ?? 0n)) merged[merged.indexOf(before.line)] = line;
  }
  return formatNote({ text: parsed.text, signatures: merged });
}
