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

/** The published head, and waits that end when it moves. */
export class Published extends News {
  readonly #reached: EntryState;
  #head: PublishedHead | undefined;

  /** `reached`: what an entry under a published head is: witnessed where the policy asks for witnesses. */
  constructor(reached: EntryState, head: PublishedHead | undefined) {
    super();
    this.#reached = reached;
    this.#head = head;
  }

  get head(): PublishedHead | undefined {
    return this.#head;
  }

  /** Of its tree; 0 before the first. */
  get treeSize(): number {
    return this.#head?.size ?? 0;
  }

  set(head: PublishedHead): void {
    this.#head = head;
    this.notify();
  }

  stateOf(index: number): EntryState {
    return index < this.treeSize ? this.#reached : "durable";
  }

  /** Waits until an entry has a state, and gives the one it has then. */
  async waitFor(input: {
    readonly index: number;
    readonly state: EntryState;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<EntryState> {
    const deadline = performance.now() + input.timeoutMs;
    while (rank(this.stateOf(input.index)) < rank(input.state)) {
      const left = deadline - performance.now();
      if (left <= 0 || input.signal?.aborted === true) break;
      if (this.size >= WAITS_MAX) break;
      await this.wait(left, input.signal);
    }
    return this.stateOf(input.index);
  }
}

function rank(state: EntryState): number {
  return ["durable", "published", "witnessed"].indexOf(state);
}
