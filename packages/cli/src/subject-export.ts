/** What a log gives out about a person, entry by entry: each is verified before anybody else sees it. */
import { ClientError, ReceiptVerifier, type VerifiedReceipt } from "@tallystick/client";
import { type Policy, TallystickError, decodeBase64, utf8 } from "@tallystick/core";
import { type TallyEvent, decodeEvent, decodeLeaf, verifyOpening } from "@tallystick/events";
import { jsonLines } from "./json-lines.ts";
import { indexOf, malformed, objectOf, parseAnswer, textOf } from "./log-answer.ts";
import { openStream } from "./log-request.ts";
import type { Target } from "./target.ts";

/** The log finds all entries first: of somebody with millions that takes minutes. */
const BEGIN_TIMEOUT_MS = 600_000;

export interface ExportRequest {
  readonly subject: string;
  readonly purpose: string | undefined;
  readonly policy: Policy;
  readonly signal: AbortSignal;
}

/** An entry about the person, whose contents are those that its leaf commits to. */
export interface VerifiedEntry {
  readonly index: number;
  readonly opening: Uint8Array;
  readonly event: TallyEvent;
  /** What proves that it is in the log; `undefined` while no published head covers it. */
  readonly proven: { readonly proof: string; readonly receipt: VerifiedReceipt } | undefined;
}

/**
 * Asks a log for all that it holds about a person, in the order of the log.
 *
 * @throws {ClientError} as `openStream`; `log-answer-malformed`: it was cut off, or is no such answer;
 *   `receipt-refuted`, `log-misbehaved`: an entry does not hold, or is not about this person.
 */
export async function* exportedEntries(target: Target, request: ExportRequest): AsyncGenerator<VerifiedEntry> {
  const { subject, purpose, policy, signal } = request;
  const body = await openStream(target, {
    path: "v1/subjects/export",
    method: "POST",
    headers: { "content-type": "application/json" },
    mediaType: "application/x-ndjson",
    timeoutMs: BEGIN_TIMEOUT_MS,
    body: utf8(JSON.stringify({ subject, ...(purpose === undefined ? {} : { purpose }) })),
    signal,
  });
  const receipts = { verifier: new ReceiptVerifier({ policy, requireQuorum: false }), now: Date.now() };
  let entries = 0;
  let last = -1;
  let isWhole = false;
  for await (const line of jsonLines(body)) {
    if (isWhole) throw malformed("expected nothing behind the number of entries");
    const value = objectOf(
      parseAnswer(() => line),
      `line ${entries + 1}`,
    );
    isWhole = value["entries"] !== undefined;
    if (isWhole) {
      if (value["entries"] !== entries) throw malformed(`expected the number of entries, ${entries}`);
      continue;
    }
    const entry = verifyEntry(value, { subject, receipts, last });
    last = entry.index;
    entries += 1;
    yield entry;
  }
  if (!isWhole) throw malformed("it was cut off");
}

/** One time for all that is decided. */
interface Receipts {
  readonly verifier: ReceiptVerifier;
  readonly now: number;
}

interface Known {
  readonly subject: string;
  readonly receipts: Receipts;
  /** Index of the entry before. */
  readonly last: number;
}

function verifyEntry(value: Readonly<Record<string, unknown>>, { subject, receipts, last }: Known): VerifiedEntry {
  const index = indexOf(value["index"], "index");
  if (index <= last) throw malformed(`index ${index}: expected one above ${last}`);
  const opening = bytesOf(value["opening"], "opening");
  const { receipt: proof } = value;
  const proven = proof === undefined ? undefined : provenBy(textOf(proof, "receipt"), { index, opening, receipts });
  const event = proven?.receipt.event ?? openedBy(bytesOf(value["leaf"], "leaf"), { index, opening });
  if (event.subject?.id !== subject && event.actor?.id !== subject)
    throw new ClientError("log-misbehaved", `index ${index} is not about this person`);
  return { index, opening, event, proven };
}

function provenBy(
  proof: string,
  { index, opening, receipts }: { readonly index: number; readonly opening: Uint8Array; readonly receipts: Receipts },
): { readonly proof: string; readonly receipt: VerifiedReceipt } {
  const { verifier, now } = receipts;
  return { proof, receipt: verifier.verify({ proof, opening, expect: { index }, now }) };
}

/** Nothing proves yet that such an entry is in the log; its contents are those of its leaf all the same. */
function openedBy(
  leaf: Uint8Array,
  { index, opening }: { readonly index: number; readonly opening: Uint8Array },
): TallyEvent {
  try {
    return decodeEvent(verifyOpening({ commitment: decodeLeaf(leaf).commitment, opening }).event);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ClientError("log-misbehaved", `index ${index}: ${cause.message}`, { cause });
  }
}

function bytesOf(value: unknown, place: string): Uint8Array {
  try {
    return decodeBase64(textOf(value, place));
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw malformed(`${place}: expected base64`, cause);
  }
}
