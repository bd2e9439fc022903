/** The errors of a log: one class, stable codes. */
import { TallystickError } from "@tallystick/core";

/**
 * Trying again can help: `log-overloaded` (after `details.retryAfterSeconds`), `log-starting`, `receipt-not-ready`,
 * `outcome-unknown` (with the same id: nothing is logged twice).
 * Somebody has to look: `log-stopped`, `log-rolled-back`, `log-forked`, `log-corrupt`, `clock-jumped`.
 * The caller's: `event-refused`, `id-conflict`, `erased`, `sequence-gap`, `stream-malformed`, `sender-key-unknown`,
 * `batch-refused`, `index-unknown`, `size-unknown`, `rules-malformed`.
 */
export type LogErrorCode =
  | "batch-refused"
  | "clock-jumped"
  | "erased"
  | "event-refused"
  | "id-conflict"
  | "index-unknown"
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
  | "sender-key-unknown"
  | "sequence-gap"
  | "size-unknown"
  | "stream-malformed";

/** A failed operation of a log, or one that it had to refuse. */
export class LogError extends TallystickError<LogErrorCode> {
  override readonly name = "LogError";
}
