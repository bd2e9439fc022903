/** What every error of Tallystick has in common, and the errors of this package. */

/** What an error knows beyond its message. */
export interface ErrorOptionsWithDetails {
  /** Values that a program can act on. Never secret, never personal. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What led to this error. */
  readonly cause?: unknown;
}

/**
 * The base of every error that Tallystick throws on purpose, but for the `TypeError` and `RangeError` of a wrong argument.
 *
 * `code` never changes and is the same in TypeScript, over HTTP and in the CLI's JSON; `message` is for people.
 */
export class TallystickError<C extends string = string> extends Error {
  override readonly name: string = "TallystickError";
  readonly code: C;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: C, message: string, options: ErrorOptionsWithDetails = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/**
 * - `encoding-malformed`: text or bytes that are not in their one canonical form.
 * - `proof-malformed`, `note-malformed`, `checkpoint-malformed`, `cosignature-malformed`, `policy-malformed`,
 *   `vkey-malformed`, `signer-malformed`, `tile-malformed`, `bundle-malformed`: what came from outside does not parse.
 * - `proof-invalid`: a proof does not lead to the hash that it should lead to, or has the wrong number of hashes.
 * - `leaf-mismatch`: an entry is not the one whose hash is in the tree.
 * - `entry-too-large`: an entry does not fit into an entry bundle.
 * - `signature-invalid`: the signature of a known key does not verify.
 * - `signature-untrusted`: no signature of a key that is trusted.
 * - `quorum-not-met`: fewer witnesses than the policy asks for.
 * - `origin-unknown`: a checkpoint of another log than the one expected.
 * - `vkey-unsupported`: a key of a signature type that this package does not know.
 */
export type TlogErrorCode =
  | "encoding-malformed"
  | "proof-malformed"
  | "proof-invalid"
  | "tile-malformed"
  | "bundle-malformed"
  | "entry-too-large"
  | "leaf-mismatch"
  | "note-malformed"
  | "signature-invalid"
  | "signature-untrusted"
  | "vkey-malformed"
  | "vkey-unsupported"
  | "signer-malformed"
  | "checkpoint-malformed"
  | "origin-unknown"
  | "cosignature-malformed"
  | "quorum-not-met"
  | "policy-malformed";

/** Evidence that was refused: malformed, wrongly signed, or proving something else. Trying again does not help. */
export class TlogError extends TallystickError<TlogErrorCode> {
  override readonly name = "TlogError";
}

/**
 * Stops on a state that cannot be.
 *
 * @throws {Error} `internal error: …`: a bug in Tallystick, whatever the input was.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal error: ${message}`);
}

/** What JSON leaves as it is although it ends a line or steers a terminal. */
const STEERING = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Puts a value from outside into an error message: quoted, on one line, at most about a hundred characters. */
export function quote(text: string): string {
  const QUOTED_CHARS_MAX = 80;
  const quoted = JSON.stringify(text.slice(0, QUOTED_CHARS_MAX)).replace(
    STEERING,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length <= QUOTED_CHARS_MAX ? quoted : `${quoted}… (${text.length} characters)`;
}
