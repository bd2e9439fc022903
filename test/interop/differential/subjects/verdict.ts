/** Our verdicts, in the words of the peer. */
import { TallystickError, encodeHex, sha256 } from "@tallystick/core";
import { REFUSED } from "../kind.ts";

/** What `read` says, after "ok"; "refused" where it throws what our parsers document, and nothing else. */
export function verdictOf(read: () => string): string {
  try {
    const what = read();
    return what === "" ? "ok" : `ok ${what}`;
  } catch (error) {
    if (error instanceof TallystickError || error instanceof RangeError || error instanceof TypeError) return REFUSED;
    throw error;
  }
}

/** Stands for bytes in a verdict. */
export function digest(bytes: Uint8Array): string {
  return encodeHex(sha256(bytes).subarray(0, 8));
}

/** What we take has one text: that which we write. Anything else is a bug of ours, whatever others say. */
export function assertWrittenBack(taken: string, written: string): void {
  if (taken !== written) throw new Error(`taken, but written back as ${JSON.stringify(written)}`);
}
