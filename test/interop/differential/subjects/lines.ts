/** Signed notes and checkpoints as lines of octets: what the kinds of several subjects look at and mend. */
import { canonicalBase64, canonicalDecimal, decodeLikeGo } from "../octets.ts";
import { DASH } from "../signers.ts";

/** A note cut at its last empty line. */
export interface NoteParts {
  /** With its final newline. */
  readonly text: string;
  /** With their newlines. */
  readonly lines: readonly string[];
}

export function splitNote(octets: string): NoteParts | undefined {
  const split = octets.lastIndexOf("\n\n");
  if (split === -1) return undefined;
  return { text: octets.slice(0, split + 1), lines: octets.slice(split + 2).match(/[^\n]*\n|[^\n]+$/g) ?? [] };
}

export function joinNote({ text, lines }: NoteParts): string {
  return `${text}\n${lines.join("")}`;
}

/** Mends the parts of a note; octets without them stay as they are. */
export function mendNote(octets: string, mend: (parts: NoteParts) => NoteParts): string {
  const parts = splitNote(octets);
  return parts === undefined ? octets : joinNote(mend(parts));
}

export interface SignatureLine {
  readonly name: string;
  /** As it stands. */
  readonly encoded: string;
  /** As Go reads it. */
  readonly bytes: Uint8Array;
}

/** A signature line as Go reads it. */
export function readSignatureLine(line: string): SignatureLine | undefined {
  if (!line.startsWith(DASH) || !line.endsWith("\n")) return undefined;
  const rest = line.slice(DASH.length, -1);
  const space = rest.indexOf(" ");
  if (space === -1) return undefined;
  const encoded = rest.slice(space + 1);
  const bytes = decodeLikeGo(encoded);
  return bytes === undefined ? undefined : { name: rest.slice(0, space), encoded, bytes };
}

/** The signature lines with their base64 in its canonical form. */
export function mendSignatureBase64({ text, lines }: NoteParts): NoteParts {
  return {
    text,
    lines: lines.map((line) => {
      const read = readSignatureLine(line);
      return read === undefined ? line : `${DASH}${read.name} ${canonicalBase64(read.encoded)}\n`;
    }),
  };
}

/** Mends one line of a checkpoint's text, or of whatever is made of lines. */
export function mendLine(text: string, at: number, mend: (line: string) => string): string {
  const lines = text.split("\n");
  const line = lines[at];
  return line === undefined ? text : lines.with(at, mend(line)).join("\n");
}

/** The text of a checkpoint with its root in canonical base64. */
export function mendRootBase64(text: string): string {
  return mendLine(text, 2, canonicalBase64);
}

/** The text of a checkpoint with no leading zeros in its size. */
export function mendSize(text: string): string {
  return mendLine(text, 1, canonicalDecimal);
}

/** Whether the extension lines are empty somewhere, or not ended. */
export function hasBadExtensions(text: string): boolean {
  const extensions = text.split("\n").slice(3);
  const ended = extensions.at(-1) === "";
  return extensions.length > 0 && (!ended || extensions.slice(0, -1).includes(""));
}

/** Whether the root is base64, but not of 32 bytes. */
export function hasOddRoot(text: string): boolean {
  const root = text.split("\n")[2];
  const bytes = root === undefined ? undefined : decodeLikeGo(root);
  return bytes !== undefined && bytes.length !== 32;
}

/** The size as it stands. */
export function sizeOf(text: string): string {
  return text.split("\n")[1] ?? "";
}
