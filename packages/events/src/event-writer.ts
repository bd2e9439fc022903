/**
 * Writes an event's permanent bytes field by field, in the order of canonical CBOR, without sorting or copying.
 *
 * It knows the fields that an event can have. For anything else it gives up, and encodeEvent() goes the general way:
 * both give the same bytes wherever this one gives any.
 */
import { HASH_BYTES } from "@tallystick/core";
import { writeItem } from "./cbor-encoder.ts";
import type { CborWriter } from "./cbor-writer.ts";
import type { EventFields, Subject, TallyEvent } from "./event.ts";
import { KEY } from "./event-keys.ts";
import { UUID_BYTES, putHash, putUuid } from "./hex.ts";

/** Writes `event`; gives `false` where only the general way will do. What was written is worthless then. */
export function writeEvent(to: CborWriter, event: TallyEvent): boolean {
  const size = writeMapHead(to, event);
  const written =
    writeId(to, event.id) +
    writeAuth(to, event.auth) +
    writeTime(to, event.time) +
    writeText(to, KEY.type, event.type) +
    writeParty(to, KEY.actor, event.actor) +
    writeAmends(to, event.amends) +
    writeText(to, KEY.reason, event.reason) +
    writeSource(to, event.source) +
    writeText(to, KEY.tenant, event.tenant) +
    writeContext(to, event.context) +
    writeText(to, KEY.outcome, event.outcome) +
    writeSession(to, event.session) +
    writeParty(to, KEY.subject, event.subject) +
    writeTargets(to, event.targets) +
    writeText(to, KEY.operation, event.operation) +
    writeText(to, KEY.retention, event.retention);
  return written === size;
}

// Each of the following writes a field, its name first, and gives 1: one field written. It gives 0 where the field is
// not there, and UNFIT where it holds what only the general way can judge. So a sum is a map's size, or unfit.

const UNFIT = Number.NaN;

function writeText(to: CborWriter, key: Uint8Array, value: string | undefined): number {
  if (value === undefined) return 0;
  to.encoded(key);
  return typeof value === "string" && to.text(value) ? 1 : UNFIT;
}

function writeTexts(to: CborWriter, key: Uint8Array, values: readonly string[] | undefined): number {
  if (values === undefined) return 0;
  if (!Array.isArray(values)) return UNFIT;
  to.encoded(key);
  to.array(values.length);
  for (const value of values) if (typeof value !== "string" || !to.text(value)) return UNFIT;
  return 1;
}

function writeId(to: CborWriter, id: string): number {
  to.encoded(KEY.id);
  return oneIf(to.byteStringOf(id, UUID_BYTES, putUuid));
}

/** 32 bytes, from hex digits. */
function writeHash(to: CborWriter, key: Uint8Array, value: string): number {
  to.encoded(key);
  return oneIf(to.byteStringOf(value, HASH_BYTES, putHash));
}

function writeTime(to: CborWriter, time: number): number {
  if (!Number.isSafeInteger(time)) return UNFIT;
  to.encoded(KEY.time);
  to.integer(time);
  return 1;
}

function writeAmends(to: CborWriter, amends: EventFields["amends"]): number {
  return amends === undefined ? 0 : writeHash(to, KEY.amends, amends);
}

function writeContext(to: CborWriter, context: EventFields["context"]): number {
  if (context === undefined) return 0;
  to.encoded(KEY.context);
  return writeItem(to, context, 1) ? 1 : UNFIT;
}

function writeParty(to: CborWriter, key: Uint8Array, party: Subject | undefined): number {
  if (party === undefined) return 0;
  to.encoded(key);
  return writeNamed(to, party);
}

function writeTargets(to: CborWriter, targets: EventFields["targets"]): number {
  if (targets === undefined) return 0;
  if (!Array.isArray(targets)) return UNFIT;
  to.encoded(KEY.targets);
  to.array(targets.length);
  let written = 1;
  for (const target of targets) written *= writeNamed(to, target);
  return written;
}

function writeNamed(to: CborWriter, part: Subject): number {
  if (!isObject(part)) return UNFIT;
  const size = writeMapHead(to, part);
  return oneIf(
    size === writeText(to, KEY.id, part.id) + writeText(to, KEY.name, part.name) + writeText(to, KEY.type, part.type),
  );
}

function writeSession(to: CborWriter, session: EventFields["session"]): number {
  if (session === undefined) return 0;
  if (!isObject(session)) return UNFIT;
  to.encoded(KEY.session);
  const size = writeMapHead(to, session);
  return oneIf(size === writeHash(to, KEY.id, session.id));
}

function writeSource(to: CborWriter, source: EventFields["source"]): number {
  if (source === undefined) return 0;
  if (!isObject(source)) return UNFIT;
  to.encoded(KEY.source);
  const size = writeMapHead(to, source);
  return oneIf(
    size ===
      writeText(to, KEY.ip, source.ip) +
        writeText(to, KEY.device, source.device) +
        writeText(to, KEY.userAgent, source.userAgent),
  );
}

function writeAuth(to: CborWriter, auth: EventFields["auth"]): number {
  if (auth === undefined) return 0;
  if (!isObject(auth)) return UNFIT;
  to.encoded(KEY.auth);
  const size = writeMapHead(to, auth);
  return oneIf(
    size ===
      writeText(to, KEY.method, auth.method) +
        writeTexts(to, KEY.factors, auth.factors) +
        writeText(to, KEY.provider, auth.provider),
  );
}

/** What the types say already, but not every caller has types. */
function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function oneIf(fit: boolean): number {
  return fit ? 1 : UNFIT;
}

/** Writes the head of a map of all own fields that are there, known or not, and gives their number. */
function writeMapHead(to: CborWriter, fields: object): number {
  let size = 0;
  for (const field of Object.keys(fields)) if (fields[field as keyof object] !== undefined) size += 1;
  to.map(size);
  // An empty one may be an empty list.
  return size === 0 ? UNFIT : size;
}
