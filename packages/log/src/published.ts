/** What is published, and who waits for it. */
import type { EntryState } from "./log-api.ts";
import { News } from "./news.ts";

export interface PublishedHead {
  readonly size: number;
  readonly rootHash: Uint8Array;
  /** The signed note, cosignatures included. */
  readonly note: string;
}

/** Waits at one time; beyond, a wait ends at once with the state as it is. */
const WAITS_MAX = 100_000;

interface Wait {
  readonly index: number;
  readonly end: () => void;
}

/** The published head, and waits that end when it covers what they wait for. */
export class Published {
  readonly #reached: EntryState;
  readonly #closing: AbortSignal;
  readonly #waits = new Set<Wait>();
  /** Those of them that a head can end. */
  #awaiting = 0;
  /** Told when {@link isAwaited} begins. */
  readonly awaited: News = new News();
  #head: PublishedHead | undefined;

  /**
   * @param reached - What an entry under a published head is: witnessed where the policy asks for witnesses.
   * @param closing - Ends all waits.
   */
  constructor(input: {
    readonly reached: EntryState;
    readonly head: PublishedHead | undefined;
    readonly closing: AbortSignal;
  }) {
    this.#reached = input.reached;
    this.#head = input.head;
    this.#closing = input.closing;
    this.#closing.addEventListener("abort", () => this.#endBelow(Infinity), { once: true });
  }

  get head(): PublishedHead | undefined {
    return this.#head;
  }

  /** Of its tree; 0 before the first. */
  get treeSize(): number {
    return this.#head?.size ?? 0;
  }

  /** How many wait. */
  get waits(): number {
    return this.#waits.size;
  }

  /** Whether somebody waits for what a head can give. */
  get isAwaited(): boolean {
    return this.#awaiting > 0;
  }

  set(head: PublishedHead): void {
    this.#head = head;
    this.#endBelow(head.size);
  }

  stateOf(index: number): EntryState {
    return index < this.treeSize ? this.#reached : "durable";
  }

  /** Waits until an entry has a state, the time is over or the signal fires, and gives the state that it has then. */
  async waitFor(input: {
    readonly index: number;
    readonly state: EntryState;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<EntryState> {
    const { index, state, timeoutMs, signal } = input;
    const isOver = timeoutMs <= 0 || signal?.aborted === true || this.#closing.aborted;
    if (rank(this.stateOf(index)) < rank(state) && !isOver && this.#waits.size < WAITS_MAX) {
      // What no head can give an entry here is waited for until the time is over.
      await this.#wait(rank(state) <= rank(this.#reached) ? index : Infinity, timeoutMs, signal);
    }
    return this.stateOf(index);
  }

  async #wait(index: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        if (this.#waits.delete(wait) && index !== Infinity) this.#awaiting -= 1;
        resolve();
      };
      const wait = { index, end };
      const timer = setTimeout(end, timeoutMs);
      signal?.addEventListener("abort", end, { once: true });
      this.#waits.add(wait);
      if (index === Infinity) return;
      this.#awaiting += 1;
      if (this.#awaiting === 1) this.awaited.notify();
    });
  }

  /** All that wait for less are answered together. */
  #endBelow(size: number): void {
    for (const { index, end } of this.#waits) if (index < size || size === Infinity) end();
  }
}

function rank(state: EntryState): number {
  return ["durable", "published", "witnessed"].indexOf(state);
}
