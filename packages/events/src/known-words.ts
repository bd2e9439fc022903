/** Words that passed a check before: those of one system are few, and a look into a set is cheaper than most checks. */

/** Bounds on what a set keeps. Who sends other words all the time only makes it check them all. */
const WORDS_MAX = 1024;
const WORD_CHARS_MAX = 128;

/** A check whose answer depends on the word alone, with a memory for those that pass. */
export class KnownWords {
  readonly #check: (word: string) => boolean;
  readonly #known = new Set<string>();

  constructor(check: (word: string) => boolean) {
    this.#check = check;
  }

  /** Whether `word` passes the check. */
  has(word: string): boolean {
    return this.#known.has(word) || this.#learn(word);
  }

  #learn(word: string): boolean {
    if (!this.#check(word)) return false;
    if (word.length <= WORD_CHARS_MAX) {
      if (this.#known.size === WORDS_MAX) this.#known.clear();
      this.#known.add(word);
    }
    return true;
  }
}
