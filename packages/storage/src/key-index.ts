/** Where the row of a lookup is: an open-addressed table of 12 bytes a slot, 16 to 32 bytes a key. */

/** Two words of the lookup, then the row number + 1; 0 is an empty slot. */
const SLOT_WORDS = 3;
const SLOTS_MIN = 1024;
const LOAD_MAX = 0.75;

/** Tells whether the row at a number has the lookup that is asked for: 64 bits of a lookup may be equal by chance. */
export type RowMatch = (row: number) => boolean;

export class KeyIndex {
  #slots: Uint32Array = new Uint32Array(SLOTS_MIN * SLOT_WORDS);
  #used = 0;

  /** How many lookups have a row. */
  get size(): number {
    return this.#used;
  }

  find(lookup: Uint8Array, matches: RowMatch): number | undefined {
    const row = (this.#slots[this.#place(wordsOf(lookup), matches) + 2] ?? 0) - 1;
    return row < 0 ? undefined : row;
  }

  /** Puts `row` where the lookup is found, in place of an earlier row of the same lookup. */
  set(lookup: Uint8Array, row: number, matches: RowMatch): void {
    if (this.#used >= this.#capacity * LOAD_MAX) this.#grow();
    const words = wordsOf(lookup);
    const at = this.#place(words, matches);
    if (this.#slots[at + 2] === 0) this.#used++;
    this.#slots.set([...words, row + 1], at);
  }

  get #capacity(): number {
    return this.#slots.length / SLOT_WORDS;
  }

  /** The slot of the lookup, or the empty one where it belongs. There always is an empty one. */
  #place([first, second]: Words, matches: RowMatch): number {
    const slots = this.#slots;
    const capacity = this.#capacity;
    for (let slot = first % capacity; ; slot = (slot + 1) % capacity) {
      const at = slot * SLOT_WORDS;
      const row = slots[at + 2] ?? 0;
      if (row === 0 || (slots[at] === first && slots[at + 1] === second && matches(row - 1))) return at;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      if (old[at + 2] === 0) continue;
      // Every one of them is another lookup, also where the words are equal.
      const to = this.#place([old[at] ?? 0, old[at + 1] ?? 0], () => false);
      this.#slots.set(old.subarray(at, at + SLOT_WORDS), to);
    }
  }
}

type Words = readonly [number, number];

function wordsOf(lookup: Uint8Array): Words {
  const view = new DataView(lookup.buffer, lookup.byteOffset, 8);
  return [view.getUint32(0), view.getUint32(4)];
}
