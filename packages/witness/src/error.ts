/** What can go wrong around a witness: one class, one code per kind of failure. */
import { TallystickError } from "@tallystick/core";

/**
 * Refusals of a request, which the protocol maps to statuses:
 * - `request-malformed`: the body is not what the endpoint takes.
 * - `origin-unknown`: no log with this origin is configured.
 * - `signature-refused`: no valid signature of a key that is trusted for this request, or an invalid one in its name.
 * - `size-regressed`: the old size is above the size of the checkpoint.
 * - `checkpoint-conflict`: the old size is not the size that this witness cosigned last.
 * - `checkpoint-inconsistent`: the checkpoint is not shown to extend the one cosigned last.
 * - `body-too-large`, `body-too-slow`, `not-found`, `method-not-allowed`: as HTTP has them.
 * - `witness-overloaded`, `log-overloaded`: too many requests wait, for all logs or for this one. Try again.
 *
 * States in which the witness does not sign:
 * - `state-rolled-back`: its state is an older copy. Restore the newest one, or begin anew with new keys.
 * - `state-corrupt`: a file of the state is damaged.
 * - `clock-behind`: the clock is far behind the time of the last cosignature.
 * - `persist-failed`: the state could not be written. Trying again can help.
 * - `witness-closed`: it is shutting down, or is closed.
 *
 * Configuration:
 * - `config-missing`, `config-malformed`: there is no `witness.json`, or not one that can be used.
 * - `profile-unmet`: something is missing that the chosen profile asks for; the message and `details.points` name all of it.
 * - `witness-exists`: the folder holds a witness already.
 * - `name-unusable`: not a name for a cosigner.
 * - `key-unusable`: a key file is damaged, or belongs to another witness.
 * - `log-unusable`: what was given cannot be the key, origin or URL of a log.
 * - `log-unknown`: no such log or key is configured.
 * - `log-list-missing`: there is no list of logs at the path, or it cannot be read.
 * - `log-list-malformed`: not a list of logs in the format `logs/v0`.
 */
export type WitnessErrorCode =
  | "request-malformed"
  | "origin-unknown"
  | "signature-refused"
  | "size-regressed"
  | "checkpoint-conflict"
  | "checkpoint-inconsistent"
  | "body-too-large"
  | "body-too-slow"
  | "not-found"
  | "method-not-allowed"
  | "witness-overloaded"
  | "log-overloaded"
  | "state-rolled-back"
  | "state-corrupt"
  | "clock-behind"
  | "persist-failed"
  | "witness-closed"
  | "config-missing"
  | "config-malformed"
  | "profile-unmet"
  | "witness-exists"
  | "name-unusable"
  | "key-unusable"
  | "log-unusable"
  | "log-unknown"
  | "log-list-missing"
  | "log-list-malformed";

/** A refused request, a witness that must not sign, or a configuration that cannot be used. The message says which. */
export class WitnessError extends TallystickError<WitnessErrorCode> {
  override readonly name = "WitnessError";
}

/** The message of whatever was thrown. `fetch` says only that it failed: why, its cause tells. */
export function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const why = cause instanceof TypeError && cause.cause instanceof Error ? cause.cause.message : "";
  return why === "" ? cause.message : `${cause.message} (${why})`;
}
