/**
 * Reads an event's permanent bytes field by field, in the order of canonical CBOR: the counterpart of event-writer.ts.
 *
 * It knows the fields that an event can have, and gives their view in JSON. For anything else it gives up: the decoder
 * and the schema have the say, and the words for what is wrong.
 */
import { HASH_BYTES } from "@tallystick/core";
import { compareKeys } from "./cbor-encoder.ts";
import { CborReader } from "./cbor-reader.ts";
import { CBOR_DEPTH_MAX, MAJOR } from "./cbor-value.ts";
import type { Context, ContextValue } from "./context.ts";
import { KEY } from "./event-keys.ts";
import { UUID_BYTES, formatHash, formatUuidBytes } from "./hex.ts";

/** The view in JSON of an encoded event, its shape not checked; `undefined` where the decoder has to be asked. */
export function readEventView(bytes: Uint8Array): object | undefined {
  const from = new CborReader(bytes);
  const size = from.map();
  const view = whole(from, size, {
    id: readId(from),
    auth: from.takes(KEY.auth) ? readAuth(from) : undefined,
    time: from.takes(KEY.time) ? from.integer() : undefined,
    type: readText(from, KEY.type),
    actor: from.takes(KEY.actor) ? readNamed(from) : undefined,
    amends: readHash(from, KEY.amends),
    reason: readText(from, KEY.reason),
    source: from.takes(KEY.source) ? readSource(from) : undefined,
    tenant: readText(from, KEY.tenant),
    context: from.takes(KEY.context) ? readValue(from, 1) : undefined,
    outcome: readText(from, KEY.outcome),
    session: from.takes(KEY.session) ? readSession(from) : undefined,
    subject: from.takes(KEY.subject) ? readNamed(from) : undefined,
    targets: from.takes(KEY.targets) ? readTargets(from) : undefined,
    operation: readText(from, KEY.operation),
    retention: readText(from, KEY.retention),
  });
  // In JSON it may be left out.
  return from.isDone && view.outcome !== undefined ? view : undefined;
}

/** The fields of a map of `size`; it fails where there are others, which were not read. */
function whole<Fields extends object>(from: CborReader, size: number, fields: Fields): Fields {
  let present = 0;
  for (const field in fields) if (fields[field] !== undefined) present += 1;
  if (present !== size) from.fail();
  return fields;
}

function readText(from: CborReader, key: Uint8Array): string | undefined {
  return from.takes(key) ? from.text() : undefined;
}

function readId(from: CborReader): string | undefined {
  return from.takes(KEY.id) ? formatUuidBytes(from.byteString(UUID_BYTES)) : undefined;
}

/** 32 bytes as hex digits. */
function readHash(from: CborReader, key: Uint8Array): string | undefined {
  return from.takes(key) ? formatHash(from.byteString(HASH_BYTES)) : undefined;
}

/** An actor, a subject or a target. */
function readNamed(from: CborReader): object {
  const size = from.map();
  const id = readText(from, KEY.id);
  const name = readText(from, KEY.name);
  return whole(from, size, { type: readText(from, KEY.type), id, name });
}

function readSession(from: CborReader): object {
  return whole(from, from.map(), { id: readHash(from, KEY.id) });
}

function readSource(from: CborReader): object {
  const size = from.map();
  const ip = readText(from, KEY.ip);
  const device = readText(from, KEY.device);
  return whole(from, size, { ip, userAgent: readText(from, KEY.userAgent), device });
}

function readAuth(from: CborReader): object {
  return whole(from, from.map(), {
    method: readText(from, KEY.method),
    factors: from.takes(KEY.factors) ? readList(from, () => from.text()) : undefined,
    provider: readText(from, KEY.provider),
  });
}

function readTargets(from: CborReader): object[] {
  return readList(from, () => readNamed(from));
}

function readList<Item>(from: CborReader, read: () => Item): Item[] {
  const items: Item[] = [];
  for (let left = from.array(); left > 0 && !from.hasFailed; left -= 1) items.push(read());
  return items;
}

/** What context can hold. `depth` levels of arrays and maps are around it. */
function readValue(from: CborReader, depth: number): ContextValue {
  switch (from.major()) {
    case MAJOR.text:
      return from.text();
    case MAJOR.unsigned:
    case MAJOR.negative:
      return from.signedInteger();
    case MAJOR.simple:
      return from.null() ? null : from.boolean();
    case MAJOR.array:
      if (depth === CBOR_DEPTH_MAX) from.fail();
      return readList(from, () => readValue(from, depth + 1));
    case MAJOR.map:
      if (depth === CBOR_DEPTH_MAX) from.fail();
      return readMap(from, depth + 1);
    default:
      from.fail();
      return null;
  }
}

function readMap(from: CborReader, depth: number): Context {
  const map: Record<string, ContextValue> = {};
  let previous: string | undefined;
  for (let left = from.map(); left > 0 && !from.hasFailed; left -= 1) {
    const key = from.text();
    // To set __proto__ would set the object's prototype.
    if (key === "__proto__" || (previous !== undefined && compareKeys(previous, key) >= 0)) from.fail();
    map[key] = readValue(from, depth);
    previous = key;
  }
  return map;
}
