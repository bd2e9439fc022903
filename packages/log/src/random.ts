/** Random bytes for salts, nonces and ids. */
import { randomBytes } from "node:crypto";

/** A call into the platform costs some microseconds however few bytes it is for: two an event were a tenth of its CPU. */
const BLOCK_BYTES = 8192;

/** Makes a source of random bytes that draws them from the platform in blocks and gives each byte out once. */
export function createRandom(draw: (bytes: number) => Uint8Array = randomBytes): (bytes: number) => Uint8Array {
  let block: Uint8Array = new Uint8Array();
  let used = 0;
  return (bytes) => {
    if (bytes > BLOCK_BYTES) return new Uint8Array(draw(bytes));
    if (used + bytes > block.length) {
      // No Buffer, of which to take a part and to overwrite one costs three times as much.
      const { buffer, byteOffset, length } = draw(BLOCK_BYTES);
      block = new Uint8Array(buffer, byteOffset, length);
      used = 0;
    }
    const given = block.slice(used, used + bytes);
    // What was given out may be the salt of something that is erased one day: no copy of it stays here.
    block.fill(0, used, used + bytes);
    used += bytes;
    return given;
  };
}
