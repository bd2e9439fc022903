/** The errors of sessions: one class, stable codes. What becomes of a session is no error but a verdict. */
import { TallystickError } from "@tallystick/core";

/**
 * - `session-state-unavailable`: the store did not answer, so that nobody can tell whether a session is alive. Over HTTP
 *   503; nothing is served.
 * - `session-denied`: the user has as many sessions as `concurrent` allows, and it says `deny-new`.
 * - `session-state-corrupt`: what is in the store is not what was put there.
 * - `sessions-closed`: this manager was closed.
 */
export type SessionErrorCode =
  | "session-denied"
  | "session-state-corrupt"
  | "session-state-unavailable"
  | "sessions-closed";

/** An operation on sessions that failed. */
export class SessionError extends TallystickError<SessionErrorCode> {
  override readonly name = "SessionError";
}
