/** The errors of a log: one class, stable codes. */
import { TallystickError } from "@tallystick/core";

/**
 * Trying again can help: `log-overloaded` (after `details.retryAfterSeconds`), `log-starting`, `receipt-not-ready`,
 * `outcome-unknown` (with the same id: nothing is logged twice).
 * Somebody has to look: `keys-unavailable`, `log-stopped`, `log-rolled-back`, `log-forked`, `log-corrupt`, `clock-jumped`.
 * The caller's: `forbidden`, `event-refused`, `id-conflict`, `erased`, `sequence-gap`, `stream-malformed`, `sender-key-unknown`,
 * `batch-refused`, `index-unknown`, `key-lost`, `rules-unknown`, `size-unknown`, `subject-unknown`, `subject-refused`, `destruction-unknown`, `hold-unknown`.
 */
export type LogErrorCode =
  | "batch-refused"
  | "clock-jumped"
  | "destruction-unknown"
  | "erased"
  | "event-refused"
  | "forbidden"
  | "hold-unknown"
  | "id-conflict"
  | "index-unknown"
  | "key-lost"
  | "keys-unavailable"
  | "log-closed"
  | "log-corrupt"
  | "log-forked"
  | "log-overloaded"
  | "log-rolled-back"
  | "log-starting"
  | "log-stopped"
  | "outcome-unknown"
  | "receipt-not-ready"
  | "rules-malformed"
  | "rules-unknown"
  | "sender-key-unknown"
  | "sequence-gap"
  | "size-unknown"
  | "stream-malformed"
  | "subject-refused"
  | "subject-unknown";

/** What went wrong, whatever was thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** A failed operation of a log, or one that it had to refuse. */
export class LogError extends TallystickError<LogErrorCode> {
  override readonly name = "LogError";
}
