/** The evidence file: a receipt and the opening that goes with it, in one JSON file. docs/reference/formats.md. */
import { decodeBase64, encodeBase64, quote } from "@tallystick/core";
import { EventError } from "./error.ts";

export interface Evidence {
  /** The text of a c2sp.org/tlog-proof with the leaf in `extra`. */
  readonly proof: string;
  /** The encoded opening. */
  readonly opening: Uint8Array;
}

export const EVIDENCE_FORMAT = "tallystick/evidence@1";

/** Formats an evidence file: indented JSON that ends in a newline. Does not look into its parts. */
export function formatEvidence({ proof, opening }: Evidence): string {
  const evidence = { format: EVIDENCE_FORMAT, proof, opening: encodeBase64(opening) };
  return `${JSON.stringify(evidence, undefined, 2)}\n`;
}

/**
 * Parses an evidence file: JSON with exactly these three members, each once. Does not look into its parts.
 *
 * @throws {EventError} `evidence-malformed`.
 */
export function parseEvidence(text: string): Evidence {
  const { format, proof, opening, ...others } = parseMembers(text);
  if (format !== EVIDENCE_FORMAT) refuse("format", `expected "${EVIDENCE_FORMAT}"`);
  if (typeof proof !== "string") refuse("proof", `expected text, got ${typeof proof}`);
  if (typeof opening !== "string") refuse("opening", `expected base64, got ${typeof opening}`);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) refuse("file", `expected no member but format, proof and opening, got ${quote(unknown)}`);
  // JSON.parse takes the last of several members of one name, other parsers the first.
  if (countStrings(text) !== 6) refuse("file", "a member stands there twice");
  return { proof, opening: decodeOpeningText(opening) };
}

function parseMembers(text: string): Readonly<Record<"format" | "proof" | "opening", unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EventError("evidence-malformed", "file: expected JSON", { details: { field: "file" }, cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse("file", "expected a JSON object");
  return value as Record<"format" | "proof" | "opening", unknown>;
}

/** Strings in a JSON text: names of members and values alike. */
function countStrings(json: string): number {
  return json.match(/"(?:[^"\\]|\\.)*"/g)?.length ?? 0;
}

function decodeOpeningText(text: string): Uint8Array {
  try {
    return decodeBase64(text);
  } catch (cause) {
    throw new EventError("evidence-malformed", "opening: expected canonical base64", {
      details: { field: "opening" },
      cause,
    });
  }
}

function refuse(field: string, message: string): never {
  throw new EventError("evidence-malformed", `${field}: ${message}`, { details: { field } });
}
