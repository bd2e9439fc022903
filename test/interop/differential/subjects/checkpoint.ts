/** Texts of checkpoints: parsed by us, by transparency-dev/formats and by x/mod's tlog package. */
import { type Checkpoint, decodeUtf8, encodeBase64, formatCheckpoint, parseCheckpoint, utf8 } from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, isAbove63Bits, isUtf8, octetsOf } from "../octets.ts";
import { hasBadExtensions, hasOddRoot, mendRootBase64, mendSize, sizeOf } from "./lines.ts";
import { assertWrittenBack, digest, verdictOf } from "./verdict.ts";

function ours([text = new Uint8Array()]: Input): string {
  // As parseNote() does with the note of which the text is a part.
  return verdictOf(() => {
    const decoded = decodeUtf8(text);
    const checkpoint = parseCheckpoint(decoded);
    assertWrittenBack(decoded, formatCheckpoint(checkpoint));
    return fieldsOf(checkpoint);
  });
}

/** What a checkpoint says, as the peer writes it. */
export function fieldsOf({ origin, size, rootHash, extensions }: Checkpoint): string {
  const rest = extensions.map((line) => `${line}\n`).join("");
  return `origin ${digest(utf8(origin))} size ${size} root ${digest(rootHash)} rest ${digest(utf8(rest))}`;
}

function holdsFor(holds: (text: string) => boolean): (input: Input) => boolean {
  return ([text = new Uint8Array()]) => holds(octetsOf(text));
}

function mendText([text = new Uint8Array()]: Input, mend: (text: string) => string): Input {
  return [bytesOf(mend(octetsOf(text)))];
}

const ROOT = encodeBase64(new Uint8Array(32));
const example = (...lines: readonly string[]): Input => [bytesOf(lines.join("\n"))];

const KINDS: readonly Kind[] = [
  {
    name: "base64-not-canonical",
    covers: "C-21 C-49",
    of: ["formats", "x/mod"],
    form: "they-tolerate",
    mend: (input) => mendText(input, mendRootBase64),
    example: example("a", "1", ROOT.replace("A=", "B="), ""),
  },
  {
    name: "leading-zeros",
    covers: "C-45",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) => mendText(input, mendSize),
    example: example("a", "007", ROOT, ""),
  },
  {
    name: "number-above-63-bits",
    covers: "C-48",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor((text) => isAbove63Bits(sizeOf(text))),
    example: example("a", "9223372036854775808", ROOT, ""),
  },
  {
    name: "root-not-32-bytes",
    covers: "C-49",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor(hasOddRoot),
    example: example("a", "1", "AAAA", ""),
  },
  {
    name: "extension-lines-unread",
    covers: "C-51",
    of: ["formats", "x/mod"],
    form: "we-refuse",
    holds: holdsFor(hasBadExtensions),
    example: example("a", "1", ROOT, "b", "", "c", ""),
  },
  {
    name: "checkpoint-not-utf8",
    covers: "C-17",
    of: ["formats", "x/mod"],
    form: "we-refuse",
    holds: holdsFor((text) => !isUtf8(text)),
    example: example("a\u00ff", "1", ROOT, ""),
  },
];

export const CHECKPOINT: Subject = { name: "checkpoint", code: "c", share: 15, ours, kinds: KINDS };
