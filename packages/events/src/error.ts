/** What can be wrong with an event or with the bytes made from one: one class, one code per kind of failure. */
import { TallystickError } from "@tallystick/core";

/**
 * - `cbor-malformed`: bytes that are not canonical CBOR; `details.offset` names the byte.
 * - `cbor-unencodable`: a value that canonical CBOR cannot hold; `details.path` names it.
 * - `json-malformed`: text that is not strict JSON; `details.line` and `.column` name the place.
 * - `event-invalid`: not an event, or not one that its type allows; `details.defects` names every field.
 * - `leaf-malformed`, `opening-malformed`, `batch-malformed`, `sealed-malformed`, `evidence-malformed`: canonical CBOR
 *   (or JSON, for evidence), but not of that format; `details.field` names the part.
 * - `certificate-malformed`: an event whose context is no certificate of an erasure; `details.field` names the part.
 * - `commitment-mismatch`: salt and event do not hash to the commitment.
 * - `sealed-unopenable`: the key or the commitment is another one, or the bytes were changed.
 * - `signature-invalid`: a sender's signature does not cover what it comes with.
 */
export type EventErrorCode =
  | "cbor-malformed"
  | "cbor-unencodable"
  | "json-malformed"
  | "event-invalid"
  | "leaf-malformed"
  | "opening-malformed"
  | "batch-malformed"
  | "commitment-mismatch"
  | "sealed-malformed"
  | "sealed-unopenable"
  | "signature-invalid"
  | "evidence-malformed"
  | "certificate-malformed";

/**
 * Bad evidence or a bad event. Retrying does not help.
 *
 * No message and no detail holds a key, or what an event says, but for its type, time, outcome and
 * the like: only names of fields, offsets and lengths.
 */
export class EventError extends TallystickError<EventErrorCode> {
  override readonly name = "EventError";

  /** The same error, told of one of many: with its place in `details.entry`. */
  ofEntry(entry: number, message: string = this.message): EventError {
    return new EventError(this.code, message, { details: { ...this.details, entry }, cause: this });
  }
}
