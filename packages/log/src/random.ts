/** Random bytes for salts, nonces and ids. */
import { randomFillSync } from "node:crypto";

/** A call into the platform costs some microseconds however few bytes it is for: two an event were a tenth of its CPU. */
const BLOCK_BYTES = 8192;

/** Makes a source of random bytes that draws them from the platform in blocks and gives each byte out once. */
export function createRandom(fill: (block: Uint8Array) => void = randomFillSync): (bytes: number) => Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  let used = BLOCK_BYTES;
  return (bytes) => {
    if (bytes > BLOCK_BYTES) return filled(new Uint8Array(bytes), fill);
    if (used + bytes > BLOCK_BYTES) {
      fill(block);
      used = 0;
    }
    const given = block.slice(used, used + bytes);
    // What was given out may be the salt of something that is erased one day: no copy of it stays here.
    block.fill(0, used, used + bytes);
    used += bytes;
    return given;
  };
}

function filled(bytes: Uint8Array, fill: (block: Uint8Array) => void): Uint8Array {
  fill(bytes);
  return bytes;
}
