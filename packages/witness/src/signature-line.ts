/**
 * Signature lines whose base64 is right but for unused bits.
 *
 * Taken strictly such a note is malformed, which would be a 400. But the line may name a key that is trusted, and then
 * its signature is one that does not verify, which has to be a 403. So the line is read as what it names, and marked.
 */

/** Which key a signature line names. */
export interface KeyRef {
  readonly name: string;
  readonly keyId: number;
}

const BLANK_LINE = Buffer.from("\n\n");
const DASH = "— ";

/**
 * Gives the note with canonical base64 on all its signature lines, and the keys of the lines that were not.
 *
 * Whatever else is wrong with the note stays wrong.
 */
export function canonicalSignatureLines(bytes: Uint8Array): { canonical: Uint8Array; disfigured: KeyRef[] } {
  const note = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const split = note.lastIndexOf(BLANK_LINE);
  const disfigured: KeyRef[] = [];
  if (split < 0) return { canonical: bytes, disfigured };
  const head = note.subarray(0, split + BLANK_LINE.length);
  const tail = note.subarray(head.length);
  const lines = tail.toString("utf8").split("\n");
  const canonicalLines = lines.map((line) => canonicalLine(line, disfigured));
  if (disfigured.length === 0) return { canonical: bytes, disfigured };
  return { canonical: Buffer.concat([head, Buffer.from(canonicalLines.join("\n"))]), disfigured };
}

function canonicalLine(line: string, disfigured: KeyRef[]): string {
  const match = /^— (?<name>[^ ]+) (?<base64>[A-Za-z\d+/]+={0,2})$/u.exec(line);
  const { name, base64 } = match?.groups ?? {};
  if (name === undefined || base64 === undefined || base64.length % 4 !== 0) return line;
  const decoded = Buffer.from(base64, "base64");
  const canonical = decoded.toString("base64");
  if (canonical === base64 || canonical.length !== base64.length || decoded.length < 5) return line;
  disfigured.push({ name, keyId: decoded.readUInt32BE(0) });
  return `${DASH}${name} ${canonical}`;
}
