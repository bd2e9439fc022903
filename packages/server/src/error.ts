/** The errors of the server itself: requests that do not reach a log. */
import { TallystickError } from "@tallystick/core";

export type ServerErrorCode =
  | "authentication-required"
  | "body-too-large"
  | "body-too-slow"
  | "config-malformed"
  | "forbidden"
  | "log-unavailable"
  | "log-unknown"
  | "media-type-unsupported"
  | "method-not-allowed"
  | "not-found"
  | "rate-limited"
  | "request-malformed"
  | "server-exists"
  | "tokens-malformed";

/** A request that the server refused, or a server that could not be set up. */
export class ServerError extends TallystickError<ServerErrorCode> {
  override readonly name = "ServerError";
}
