/** The keys that an event's maps can have, encoded: what event-writer.ts writes and event-reader.ts looks for. */
import { encodeCbor } from "./cbor.ts";

const NAMES = [
  "id",
  "auth",
  "time",
  "type",
  "actor",
  "amends",
  "reason",
  "source",
  "tenant",
  "context",
  "outcome",
  "session",
  "subject",
  "targets",
  "operation",
  "retention",
  "name",
  "ip",
  "device",
  "userAgent",
  "method",
  "factors",
  "provider",
] as const;

export const KEY: Readonly<Record<(typeof NAMES)[number], Uint8Array>> = encodedKeys(NAMES);

function encodedKeys<Name extends string>(names: readonly Name[]): Readonly<Record<Name, Uint8Array>> {
  return Object.fromEntries(names.map((name) => [name, encodeCbor(name)])) as Record<Name, Uint8Array>;
}
