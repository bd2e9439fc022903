/** Refusals over HTTP: RFC 9457 problems with a stable code, a status for every code there is. */
import { TallystickError, type TlogErrorCode } from "@tallystick/core";
import type { EventErrorCode } from "@tallystick/events";
import type { LogErrorCode, Reason } from "@tallystick/log";
import type { StorageErrorCode } from "@tallystick/storage";
import type { ServerErrorCode } from "./error.ts";
import type { Reply } from "./http/request.ts";

export type ProblemCode =
  | EventErrorCode
  | LogErrorCode
  | ServerErrorCode
  | StorageErrorCode
  | TlogErrorCode
  | "internal";

interface Kind {
  readonly status: 400 | 401 | 403 | 404 | 405 | 406 | 408 | 409 | 410 | 413 | 415 | 422 | 429 | 500 | 503;
  readonly title: string;
}

const MALFORMED: Kind = { status: 400, title: "The request does not parse" };
const BAD_PROOF: Kind = { status: 400, title: "The evidence does not hold" };
const OURS: Kind = { status: 500, title: "The server cannot do this now" };
const STORAGE: Kind = { status: 503, title: "The log's storage does not work" };

/** Of every code its status and title: a code without one does not compile. */
export const PROBLEMS: Readonly<Record<ProblemCode, Kind>> = {
  "approval-by-same-person": { status: 403, title: "A second person has to approve this" },
  "approval-invalid": { status: 422, title: "The ticket is not valid" },
  "approval-outdated": { status: 409, title: "What was to be approved has changed" },
  "batch-malformed": { status: 400, title: "The signed batch does not parse" },
  "batch-refused": { status: 422, title: "The signed batch is refused" },
  "body-too-large": { status: 413, title: "The body is too large" },
  "body-too-slow": { status: 408, title: "The body came too slowly" },
  "bundle-malformed": BAD_PROOF,
  "cbor-malformed": MALFORMED,
  "cbor-unencodable": MALFORMED,
  "checkpoint-malformed": BAD_PROOF,
  "client-certificate-required": { status: 403, title: "A writer here has to show a client certificate" },
  "clock-jumped": { status: 503, title: "The log's clock is not believed" },
  "commitment-mismatch": OURS,
  "config-malformed": OURS,
  "cosignature-malformed": BAD_PROOF,
  "destruction-unknown": { status: 404, title: "The log knows no such erasure" },
  "encoding-malformed": MALFORMED,
  "entry-too-large": { status: 413, title: "An entry is too large" },
  erased: { status: 410, title: "The contents were erased" },
  "event-invalid": { status: 422, title: "An event is not valid" },
  "event-refused": { status: 422, title: "An event is not taken from this sender" },
  "evidence-malformed": BAD_PROOF,
  forbidden: { status: 403, title: "This token's role does not allow it" },
  "head-conflict": STORAGE,
  "hold-unknown": { status: 404, title: "The log has no such hold" },
  "id-conflict": { status: 409, title: "The id stands for another event" },
  "identity-unavailable": { status: 503, title: "The identity provider does not answer" },
  "index-unknown": { status: 404, title: "The log has no such entry" },
  internal: OURS,
  "json-malformed": { status: 400, title: "The JSON does not parse" },
  "key-backup-malformed": STORAGE,
  "key-backup-unreadable": STORAGE,
  "key-store-corrupt": STORAGE,
  "key-store-exists": STORAGE,
  "key-store-rolled-back": STORAGE,
  "key-unknown": OURS,
  "key-lost": { status: 410, title: "The key of the contents was lost" },
  "keys-unavailable": { status: 503, title: "The log's keys are not there: it serves heads and proofs only" },
  "leaf-malformed": OURS,
  "leaf-mismatch": OURS,
  "log-closed": { status: 503, title: "The log is closing" },
  "log-corrupt": { status: 500, title: "The log's storage is damaged" },
  "log-forked": { status: 503, title: "The log stopped: it was forked" },
  "log-overloaded": { status: 503, title: "The log has too much to do" },
  "log-rolled-back": { status: 503, title: "The log stopped: it was put back to an older state" },
  "log-starting": { status: 503, title: "The log is starting" },
  "log-stopped": { status: 503, title: "The log stopped" },
  "log-unavailable": { status: 503, title: "The log could not be opened" },
  "log-unknown": { status: 404, title: "There is no such log" },
  "master-key-malformed": STORAGE,
  "master-key-unavailable": STORAGE,
  "master-key-wrong": STORAGE,
  "media-type-unsupported": { status: 415, title: "This media type is not taken" },
  "method-not-allowed": { status: 405, title: "The method is not allowed here" },
  "not-acceptable": { status: 406, title: "No form of the answer is accepted" },
  "not-found": { status: 404, title: "There is nothing here" },
  "note-malformed": BAD_PROOF,
  "certificate-malformed": OURS,
  "opening-malformed": OURS,
  "origin-unknown": BAD_PROOF,
  "outcome-unknown": { status: 503, title: "Whether it was logged is not known: send it again with the same id" },
  "policy-malformed": BAD_PROOF,
  "profile-unmet": OURS,
  "proof-invalid": BAD_PROOF,
  "proof-malformed": BAD_PROOF,
  "purpose-required": { status: 400, title: "The rules ask for a purpose" },
  "quorum-not-met": BAD_PROOF,
  "rate-limited": { status: 429, title: "Too many requests" },
  "receipt-not-ready": { status: 404, title: "There is no receipt yet" },
  "request-malformed": MALFORMED,
  "rules-unknown": { status: 404, title: "No rules of this digest were ever approved" },
  "rules-malformed": { status: 422, title: "The rules are not valid" },
  "sealed-malformed": OURS,
  "sealed-unopenable": OURS,
  "secret-file-exposed": STORAGE,
  "sender-key-unknown": { status: 403, title: "This sender key is not taken" },
  "sequence-gap": { status: 409, title: "Another sequence is expected" },
  "rotation-missing": OURS,
  "rotation-under-way": OURS,
  "server-exists": OURS,
  "signature-invalid": { status: 403, title: "The signature does not hold" },
  "signature-untrusted": BAD_PROOF,
  "signer-malformed": OURS,
  "size-unknown": { status: 404, title: "No published head has this size" },
  "storage-corrupt": { status: 500, title: "The log's storage is damaged" },
  "storage-full": STORAGE,
  "storage-locked": STORAGE,
  "storage-rolled-back": STORAGE,
  "storage-unavailable": STORAGE,
  "stream-malformed": { status: 422, title: "The stream does not begin as it must" },
  "subject-refused": { status: 422, title: "A credential cannot be erased" },
  "subject-unknown": { status: 404, title: "Nothing is held about this subject" },
  "tile-malformed": MALFORMED,
  "tls-unusable": OURS,
  "token-unknown": { status: 404, title: "There is no such token" },
  "tokens-malformed": OURS,
  unauthenticated: { status: 401, title: "A valid token is needed" },
  "vkey-malformed": BAD_PROOF,
  "vkey-unsupported": BAD_PROOF,
};

export const PROBLEM_TYPE = "application/problem+json";

/** Details that a client may see, by name. Whatever else an error knows stays here. */
const PUBLIC_DETAILS = [
  "entry",
  "index",
  "expected",
  "state",
  "bytesMax",
  "offset",
  "line",
  "column",
  "allow",
  "certificate",
];

/** A client that waits as told must not come back with all the others. */
const JITTER_SECONDS = 2;

/** 5xx whose words are meant for whoever asks: they say what to wait for, and name no file. */
const TOLD: ReadonlySet<string> = new Set<ProblemCode>([
  "clock-jumped",
  "identity-unavailable",
  "log-closed",
  "log-forked",
  "log-overloaded",
  "log-rolled-back",
  "log-starting",
  "log-unavailable",
]);

/** Reasons in status that are no errors, and stop nothing: they name witnesses and times, and no file. */
const TOLD_REASONS: ReadonlySet<string> = new Set([
  "clock-behind",
  "clock-disputed",
  "key-backup-late",
  "publication-late",
  "quorum-not-met",
  "witness-unreachable",
]);

/** Turns whatever was thrown into a reply. `id` is a UUID, by which the operator finds the rest in the server's log. */
export function problemReply(error: unknown, id: string): Reply {
  const code = codeOf(error);
  const { status, title }: Kind = PROBLEMS[code];
  const told = toldOf(error, code);
  const body = {
    type: `/problems/${code}`,
    title,
    status,
    ...(told === undefined ? {} : { detail: told.message }),
    instance: `urn:uuid:${id}`,
    code,
    ...(told === undefined ? {} : publicDetails(told)),
  };
  const headers = { "content-type": PROBLEM_TYPE, "cache-control": "no-store", ...headersFor(error, code) };
  return { status, headers, body: JSON.stringify(body) };
}

export function codeOf(error: unknown): ProblemCode {
  if (error instanceof TallystickError && Object.hasOwn(PROBLEMS, error.code)) return error.code as ProblemCode;
  return "internal";
}

/** What may be told of an error. 5xx are ours: their messages can name files, and are for the server's log. */
function toldOf(error: unknown, code: ProblemCode): TallystickError | undefined {
  if (!(error instanceof TallystickError)) return undefined;
  return PROBLEMS[code].status < 500 || TOLD.has(code) ? error : undefined;
}

/** The words for a reason of trouble where anybody may read them: the reason's own, or what its code says in general. */
export function toldReason({ code, message }: Reason): Reason {
  if (TOLD.has(code) || TOLD_REASONS.has(code)) return { code, message };
  const title = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode].title : PROBLEMS.internal.title;
  return { code, message: `${title}; the server's log says more` };
}

function publicDetails({ details }: TallystickError): Record<string, unknown> {
  const told = Object.fromEntries(
    PUBLIC_DETAILS.flatMap((name) => (details[name] === undefined ? [] : [[name, details[name]]])),
  );
  const { defects, entry = 0 } = details;
  if (!Array.isArray(defects)) return told;
  return { ...told, defects: defects.map((defect: Readonly<Record<string, unknown>>) => ({ entry, ...defect })) };
}

function headersFor(error: unknown, code: ProblemCode): Record<string, string> {
  const details = error instanceof TallystickError ? error.details : {};
  const { status }: Kind = PROBLEMS[code];
  const { allow, retryAfterSeconds } = details;
  return {
    ...(status === 503 || status === 429 || retryAfterSeconds !== undefined ? retryAfter(retryAfterSeconds) : {}),
    ...(status === 401 ? { "www-authenticate": 'Bearer realm="tallystick"' } : {}),
    ...(typeof allow === "string" ? { allow } : {}),
    // What is left of the body will not be read, so the connection is of no more use.
    ...(CUTTING.has(code) ? { connection: "close" } : {}),
  };
}

const CUTTING: ReadonlySet<ProblemCode> = new Set(["body-too-large", "body-too-slow", "log-closed"]);

function retryAfter(known: unknown): Record<string, string> {
  const seconds = typeof known === "number" ? known : 5;
  return { "retry-after": String(Math.max(1, Math.ceil(seconds + Math.random() * JITTER_SECONDS))) };
}
