/** The errors of the SDK: stable codes, details that another program can act on, classes for those that callers tell apart. */
import { type ErrorOptionsWithDetails, TallystickError } from "@tallystick/core";

/** Every code that a `ClientError` can bear; docs/reference/client.md says what to do about each. */
export type ClientErrorCode =
  | "audit-unavailable"
  | "client-closed"
  | "evidence-malformed"
  | "id-reused"
  | "log-answer-malformed"
  | "log-forked"
  | "log-misbehaved"
  | "log-refused"
  | "log-time-disputed"
  | "outbox-corrupt"
  | "outbox-full"
  | "outbox-locked"
  | "outbox-outdated"
  | "receipt-refuted"
  | "receipt-unknown"
  | "unproved-too-long"
  | "wait-timeout";

/** A failed operation of the SDK, or evidence that it had to refuse. */
export class ClientError extends TallystickError<ClientErrorCode> {
  override readonly name: string = "ClientError";
}

/** What cannot be recorded or read just now: code `audit-unavailable`. To try again can help; over HTTP it is a 503. */
export class AuditUnavailableError extends ClientError {
  override readonly name: string = "AuditUnavailableError";

  constructor(message: string, options?: ErrorOptionsWithDetails) {
    super("audit-unavailable", message, options);
  }
}

/** Two heads that the log signed contradict each other: code `log-forked`. Nothing more is sent, everything is queued. */
export class LogForkedError extends ClientError {
  override readonly name: string = "LogForkedError";
  /** A file of fork evidence: what a stranger needs to be convinced. */
  readonly evidence: string;

  constructor(message: string, { evidence }: { readonly evidence: string }) {
    super("log-forked", message, { details: { evidence } });
    this.evidence = evidence;
  }
}

/** An error whose code is known at run time only, in the class that it has. */
export function clientError(
  code: Exclude<ClientErrorCode, "log-forked">,
  message: string,
  options?: ErrorOptionsWithDetails,
): ClientError {
  return code === "audit-unavailable"
    ? new AuditUnavailableError(message, options)
    : new ClientError(code, message, options);
}
