/** A set of indexes at one bit each, so that a log of many million entries fits. */

const CHUNK_BYTES = 8192;
const CHUNK_INDEXES = CHUNK_BYTES * 8;

export class IndexSet {
  readonly #chunks = new Map<number, Uint8Array>();

  add(index: number): void {
    const { chunk, byte, bit } = placeOf(index);
    let bits = this.#chunks.get(chunk);
    if (bits === undefined) this.#chunks.set(chunk, (bits = new Uint8Array(CHUNK_BYTES)));
    bits[byte] = (bits[byte] ?? 0) | (1 << bit);
  }

  has(index: number): boolean {
    const { chunk, byte, bit } = placeOf(index);
    return (((this.#chunks.get(chunk)?.[byte] ?? 0) >> bit) & 1) === 1;
  }

  delete(index: number): void {
    const { chunk, byte, bit } = placeOf(index);
    const bits = this.#chunks.get(chunk);
    if (bits !== undefined) bits[byte] = (bits[byte] ?? 0) & ~(1 << bit);
  }

  /** In the order in which the neighbourhoods were first added to; within one, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const [chunk, bits] of this.#chunks) {
      for (const [byte, value] of bits.entries()) {
        for (const bit of value === 0 ? [] : BITS) {
          if (((value >> bit) & 1) === 1) yield chunk * CHUNK_INDEXES + byte * 8 + bit;
        }
      }
    }
  }
}

const BITS = [0, 1, 2, 3, 4, 5, 6, 7];

/** Only the last step, within one byte, may use bit operators: an index can be larger than they take. */
function placeOf(index: number): { readonly chunk: number; readonly byte: number; readonly bit: number } {
  const within = index % CHUNK_INDEXES;
  return { chunk: Math.floor(index / CHUNK_INDEXES), byte: Math.floor(within / 8), bit: within % 8 };
}
