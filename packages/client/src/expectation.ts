/** What a sender can tell of the leaf that its own event must become, and holding the log's answer against it. */
import { TallystickError, concatBytes, decodeHex, encodeHex, hashLeaf } from "@tallystick/core";
import {
  type Leaf,
  type LeafSignature,
  type TallyEvent,
  actorTag,
  computeCommitment,
  dayOf,
  decodeEvent,
  decodeLeaf,
  personalId,
  retentionClass,
  sessionTag,
  streamId,
  subjectTag,
  tenantTag,
} from "@tallystick/events";
import { ClientError } from "./error.ts";
import type { Numbered, StreamIdentity } from "./outbox.ts";
import type { Expectation } from "./receipt.ts";

/** The keys that the log made an acknowledged batch's tags with, by day and person, and by tenant. */
export interface TagKeys {
  readonly personDays: readonly { readonly id: string; readonly day: number; readonly key: Uint8Array }[];
  readonly tenants: readonly { readonly id: string; readonly key: Uint8Array }[];
}

export interface Sent extends Numbered {
  readonly sequence: number;
  readonly sentAt: number;
}

/**
 * Class, commitment, stream, sequence and session tag of an event, as its sender signs them. Not the time of sending:
 * one wrong clock, perhaps this host's, refutes no entry.
 */
export function expectationOf(sent: Sent, stream: StreamIdentity): Expectation {
  const event = decodeEvent(sent.event);
  return {
    class: retentionClass(event),
    commitment: computeCommitment(sent),
    stream: sent.sequence === 1 ? concatBytes(stream.publicKey, stream.instance) : streamId(stream),
    sequence: sent.sequence,
    sessionTag: event.session === undefined ? null : sessionTag(decodeHex(event.session.id)),
  };
}

/**
 * Holds an acknowledged leaf against what was sent, tags included, before it is believed to be the event's.
 *
 * @throws {ClientError} `log-misbehaved`: names the field, what was sent and what the leaf bears.
 */
export function acceptLeaf(options: {
  readonly sent: Sent;
  readonly leaf: Uint8Array;
  readonly leafHash: Uint8Array;
  readonly expect: Expectation;
  /** Stands in the last leaf of a batch, as it was sent; `null` in the others. */
  readonly signature: LeafSignature | null;
  readonly tagKeys: TagKeys;
}): Leaf {
  const { sent, expect, tagKeys } = options;
  const check = (field: string, wanted: unknown, got: unknown): void => {
    if (wanted === got) return;
    const text = `sequence ${sent.sequence}: ${field}: sent ${String(wanted)}, the log's leaf bears ${String(got)}`;
    throw new ClientError("log-misbehaved", text, { details: { sequence: sent.sequence, field } });
  };
  check("leaf hash", encodeHex(hashLeaf(options.leaf)), encodeHex(options.leafHash));
  const leaf = readLeaf(options.leaf, sent.sequence);
  check("sequence", expect.sequence, leaf.sequence);
  check("class", expect.class, leaf.class);
  check("commitment", hexOf(expect.commitment), hexOf(leaf.commitment));
  check("stream", hexOf(expect.stream), hexOf(leaf.stream));
  check("session tag", hexOf(expect.sessionTag), hexOf(leaf.session?.tag));
  const tags = tagsOf(decodeEvent(sent.event), tagKeys);
  check("actor tag", hexOf(tags.actor), hexOf(leaf.actor?.tag));
  check("subject tag", hexOf(tags.subject), hexOf(leaf.subject?.tag));
  check("tenant tag", hexOf(tags.tenant), hexOf(leaf.tenant?.tag));
  check("signature", signatureText(options.signature), signatureText(leaf.signature));
  return leaf;
}

function readLeaf(bytes: Uint8Array, sequence: number): Leaf {
  try {
    return decodeLeaf(bytes);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    const text = `sequence ${sequence}: what the log answers is no leaf: ${cause.message}`;
    throw new ClientError("log-misbehaved", text, { cause, details: { sequence, field: "leaf" } });
  }
}

function signatureText(signature: LeafSignature | null): string {
  return signature === null ? "none" : `${encodeHex(signature.signature)} over ${signature.count}`;
}

function hexOf(bytes: Uint8Array | null | undefined): string {
  return bytes === null || bytes === undefined ? "none" : encodeHex(bytes);
}

interface Tags {
  readonly actor: Uint8Array | null;
  readonly subject: Uint8Array | null;
  readonly tenant: Uint8Array | null;
}

/** The tags of an event under the keys that the log says it used; a key that it withheld leaves a tag that fits nothing. */
function tagsOf(event: TallyEvent, { personDays, tenants }: TagKeys): Tags {
  const day = dayOf(event.time);
  const dayKeyOf = (id: string): Uint8Array =>
    personDays.find((known) => known.id === id && known.day === day)?.key ?? WITHHELD;
  const actor = personalId(event.actor);
  const subject = personalId(event.subject);
  const tenantKey = tenants.find(({ id }) => id === event.tenant)?.key ?? WITHHELD;
  return {
    actor: actor === undefined ? null : actorTag({ personDayKey: dayKeyOf(actor), id: actor }),
    subject:
      subject === undefined || subject === actor ? null : subjectTag({ personDayKey: dayKeyOf(subject), id: subject }),
    tenant: event.tenant === undefined ? null : tenantTag({ tenantKey, id: event.tenant }),
  };
}

const WITHHELD = new Uint8Array(32);
