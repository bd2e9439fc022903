/** The errors of the server itself: requests that do not reach a log, and servers that cannot be set up. */
import { TallystickError } from "@tallystick/core";

/**
 * Requests: `unauthenticated`, `forbidden`, `rate-limited`, `log-unknown`, `log-unavailable`, `not-found`,
 * `method-not-allowed`, `not-acceptable`, `media-type-unsupported`, `request-malformed`, `body-too-large`,
 * `body-too-slow`, `identity-unavailable`, `purpose-required`, `approval-invalid`, `approval-outdated`, `approval-by-same-person`. Of these `rate-limited` and `log-unavailable` can be tried again.
 * Folders: `config-malformed`, `server-exists`, `tokens-malformed`, `token-unknown`.
 */
export type ServerErrorCode =
  | "approval-by-same-person"
  | "approval-invalid"
  | "approval-outdated"
  | "body-too-large"
  | "body-too-slow"
  | "client-certificate-required"
  | "config-malformed"
  | "forbidden"
  | "identity-unavailable"
  | "key-unknown"
  | "log-unavailable"
  | "log-unknown"
  | "media-type-unsupported"
  | "method-not-allowed"
  | "not-acceptable"
  | "not-found"
  | "profile-unmet"
  | "purpose-required"
  | "rate-limited"
  | "request-malformed"
  | "rotation-missing"
  | "rotation-under-way"
  | "server-exists"
  | "token-unknown"
  | "tokens-malformed"
  | "unauthenticated";

/** A request that the server refused, or a server that could not be set up. */
export class ServerError extends TallystickError<ServerErrorCode> {
  override readonly name = "ServerError";
}
