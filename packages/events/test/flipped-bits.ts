/** Copies of `bytes`, each with another bit flipped. */
export function* flippedBits(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 1; bit < 256; bit *= 2) {
      const flipped = bytes.slice();
      flipped[at] = Number(bytes[at]) ^ bit;
      yield flipped;
    }
  }
}
