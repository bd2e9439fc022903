/** The signature lines of a note that were made by given keys, checked one by one. */
import type { Note, NoteSignature, Verifier } from "@tallystick/core";
import type { KeyRef } from "./signature-line.ts";

/** A signature line that was verified. */
export interface VerifiedLine {
  /** Without its newline. */
  readonly line: string;
  readonly verifier: Verifier;
  /** Of a cosignature: seconds since 1970, 0 for none. */
  readonly timestamp: bigint | undefined;
}

export interface VerifiedLines {
  /** In the note's order; a key may come twice. */
  readonly lines: VerifiedLine[];
  /** Lines that bear the name and key ID of one of the keys, and a signature that is not its. */
  readonly failed: NoteSignature[];
}

/** Verifies all lines that name one of `verifiers`, whatever other lines there are. */
export function verifyLines(note: Note, verifiers: readonly Verifier[]): VerifiedLines {
  const found: VerifiedLines = { lines: [], failed: [] };
  for (const signature of note.signatures) {
    const verifier = verifiers.find((each) => isNamed(each, signature));
    if (verifier === undefined) continue;
    const claim = verifier.verify(note, signature.signature);
    if (claim === undefined) found.failed.push(signature);
    else found.lines.push({ line: signature.line, verifier, timestamp: claim.timestamp });
  }
  return found;
}

/** The first line of each key. */
export function firstOfEachKey(lines: readonly VerifiedLine[]): VerifiedLine[] {
  return lines.filter((line, index) => lines.findIndex(({ verifier }) => verifier === line.verifier) === index);
}

/** Whether a line names this key. */
export function isNamed(verifier: Verifier, { name, keyId }: KeyRef): boolean {
  return verifier.name === name && verifier.keyId === keyId;
}
