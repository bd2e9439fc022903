/** The errors of the SDK: one class, stable codes, details that another program can act on. */
import { TallystickError } from "@tallystick/core";

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
  override readonly name = "ClientError";
}
