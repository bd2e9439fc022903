/** One add-checkpoint exchange with a witness, and its monitoring head. c2sp.org/tlog-witness */
import {
  type Hash,
  type Verifier,
  TallystickError,
  decodeUtf8,
  encodeBase64,
  openSignatures,
  originHash,
  parseNote,
  parseSignatureLine,
  parseUint,
} from "@tallystick/core";
import { messageOf } from "./error.ts";
import type { WitnessTarget } from "./log-api.ts";

/** Answers are a few signature lines; 16 post-quantum ones fit. */
const ANSWER_BYTES_MAX = 65_536;
/** A head with many cosignatures. */
const HEAD_BYTES_MAX = 262_144;

export interface AddCheckpoint {
  readonly target: WitnessTarget;
  readonly from: number;
  readonly proof: readonly Hash[];
  /** Signed by the log alone. */
  readonly note: string;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  /** Ends the request before its time. */
  readonly signal: AbortSignal;
}

export type WitnessAnswer =
  | {
      readonly kind: "cosigned";
      readonly lines: readonly { readonly verifier: Verifier; readonly line: string; readonly timestamp: bigint }[];
    }
  /** 409: its latest is of another size. */
  | { readonly kind: "conflict"; readonly size: bigint }
  /** 422: it does not accept the step; a fork, if it holds another head of ours. */
  | { readonly kind: "refused" }
  | { readonly kind: "unreachable"; readonly message: string }
  | { readonly kind: "faulty"; readonly message: string };

/** Submits a head. Never throws for what the witness does. */
export async function addCheckpoint(request: AddCheckpoint): Promise<WitnessAnswer> {
  const { target, from, proof, note } = request;
  const body = `old ${from}\n${proof.map((hash) => `${encodeBase64(hash)}\n`).join("")}\n${note}`;
  const answer = await exchange({ ...request, url: `${target.url}/add-checkpoint`, body, bytesMax: ANSWER_BYTES_MAX });
  if ("failure" in answer) return { kind: "unreachable", message: answer.failure };
  try {
    return readAnswer(answer, target, note);
  } catch (error) {
    if (error instanceof TallystickError) return { kind: "faulty", message: error.message };
    throw error;
  }
}

function readAnswer({ status, contentType, body }: Answer, { verifiers }: WitnessTarget, note: string): WitnessAnswer {
  switch (status) {
    case 200: {
      const lines = cosignatureLines(decodeUtf8(body), verifiers, note);
      return lines.length > 0
        ? { kind: "cosigned", lines }
        : { kind: "faulty", message: "it answered without a cosignature of a key that we know" };
    }
    case 409: {
      const text = decodeUtf8(body);
      if (contentType !== "text/x.tlog.size" || !text.endsWith("\n"))
        return { kind: "faulty", message: "its 409 does not name a size" };
      return { kind: "conflict", size: parseUint(text.slice(0, -1), "checkpoint-malformed", "witness size") };
    }
    case 422:
      return { kind: "refused" };
    case 404:
      return { kind: "faulty", message: "it does not know this log: have its operator add the log's vkey" };
    default:
      return status >= 500 || status === 429
        ? { kind: "unreachable", message: `it answered ${status}` }
        : { kind: "faulty", message: `it answered ${status}` };
  }
}

/** The cosignatures of known keys; lines of others are passed over. @throws {TlogError} one of a known key does not hold. */
function cosignatureLines(
  text: string,
  verifiers: readonly Verifier[],
  note: string,
): { verifier: Verifier; line: string; timestamp: bigint }[] {
  if (!text.endsWith("\n")) return [];
  const signatures = text.slice(0, -1).split("\n").map(parseSignatureLine);
  const opened = openSignatures({ ...parseNote(note), signatures }, verifiers);
  return opened.verified.flatMap(({ verifier, line, timestamp }) =>
    timestamp === undefined ? [] : [{ verifier, line, timestamp }],
  );
}

export type MonitoredHead =
  | { readonly kind: "head"; readonly note: string }
  /** It never cosigned for this origin. */
  | { readonly kind: "none" }
  | { readonly kind: "unreachable"; readonly message: string };

/** The newest head that a witness shows for our origin. */
export async function fetchMonitoredHead(request: {
  readonly target: WitnessTarget;
  readonly origin: string;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  /** Ends the request before its time. */
  readonly signal: AbortSignal;
}): Promise<MonitoredHead> {
  const { target, origin } = request;
  const url = `${target.monitoringUrl ?? target.url}/${originHash(origin)}/checkpoint`;
  const answer = await exchange({ ...request, url, bytesMax: HEAD_BYTES_MAX });
  if ("failure" in answer) return { kind: "unreachable", message: answer.failure };
  if (answer.status === 404) return { kind: "none" };
  if (answer.status !== 200) return { kind: "unreachable", message: `it answered ${answer.status} for its head` };
  try {
    return { kind: "head", note: decodeUtf8(answer.body) };
  } catch {
    return { kind: "unreachable", message: "its head is not text" };
  }
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

interface Exchange {
  readonly url: string;
  readonly body?: string;
  readonly bytesMax: number;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  /** Ends the request before its time. */
  readonly signal: AbortSignal;
}

async function exchange({
  url,
  body,
  bytesMax,
  fetch,
  timeoutMs,
  signal,
}: Exchange): Promise<Answer | { readonly failure: string }> {
  const ending = AbortSignal.any([AbortSignal.timeout(timeoutMs), signal]);
  try {
    const response = await fetch(url, {
      method: body === undefined ? "GET" : "POST",
      redirect: "manual",
      signal: ending,
      ...(body === undefined ? {} : { body, headers: { "content-type": "text/plain; charset=utf-8" } }),
    });
    const bytes = await readBounded(response, bytesMax, ending);
    if (bytes === undefined) return { failure: `it answered more than ${bytesMax} bytes` };
    const contentType = (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim() ?? "";
    return { status: response.status, contentType, body: bytes };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    return { failure: cause ?? messageOf(error) };
  }
}

/** The body; `undefined` where it is longer. Ends with the signal, whatever the body's source does. */
async function readBounded(response: Response, bytesMax: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const cancel = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", cancel, { once: true });
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return new Uint8Array(Buffer.concat(parts));
      length += value.length;
      if (length > bytesMax) return undefined;
      parts.push(value);
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}
