/** One witness, asked outside of the sequencing path: one request at a time, with deadlines, and never blindly again. */
import { type Hash, type Verifier, planConsistency } from "@tallystick/core";
import type { SignedHead } from "./heads.ts";
import type { WitnessStatus, WitnessTarget } from "./log-api.ts";
import type { StoredTiles } from "./tiles.ts";
import { type WitnessAnswer, addCheckpoint } from "./witness-client.ts";

export interface WitnessWorkerOptions {
  readonly target: WitnessTarget;
  readonly tiles: StoredTiles;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  readonly monotonic: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Told of every cosignature that verified; says why it does not count, if it does not. */
  readonly onCosignature: (
    worker: WitnessWorker,
    head: SignedHead,
    lines: readonly CosignatureLine[],
  ) => string | undefined;
  /** Told when the witness claims a head that ours does not extend: it may hold one that bears our signature. */
  readonly onContradiction: (worker: WitnessWorker) => Promise<void>;
}

export interface CosignatureLine {
  readonly verifier: Verifier;
  readonly line: string;
  readonly timestamp: bigint;
}

/** A witness that keeps naming other sizes is not followed for ever. */
const CONFLICTS_MAX = 3;
/** Failures after which a pause is made, and how long it gets at most: a witness that is back is used within seconds. */
const FAILURES_BEFORE_PAUSE = 3;
const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 3000;

export class WitnessWorker {
  readonly target: WitnessTarget;
  readonly #options: WitnessWorkerOptions;
  /** The size that it is believed to have cosigned last; 0 is a guess that its answer corrects. */
  #knownSize = 0;
  #cosignedSize = 0;
  #cosigned: SignedHead | undefined;
  #claimedSize = 0n;
  #failures = 0;
  #pausedUntil = 0;
  #busy: Promise<void> | undefined;
  #asked: SignedHead | undefined;
  #lastError: string | undefined;
  #state: WitnessStatus["state"] = "behind";
  errors = 0;

  constructor(options: WitnessWorkerOptions) {
    this.#options = options;
    this.target = options.target;
  }

  get status(): WitnessStatus {
    const { name } = this.target;
    return {
      name,
      state: this.#state,
      size: this.#cosignedSize,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  /** The size that it says it cosigned, where that is larger than what we asked for; 0 once it cosigns what we have. */
  get claimedSize(): bigint {
    return this.#claimedSize;
  }

  /** Tells the worker what the witness showed as its newest head. */
  learnSize(size: number): void {
    this.#knownSize = size;
  }

  /** Whether a request for this head is under way. */
  isAsking(head: SignedHead): boolean {
    return this.#asked === head;
  }

  /** Whether it has not cosigned this head, and may be asked now. */
  isReadyFor(head: SignedHead | undefined): boolean {
    return head !== undefined && head !== this.#cosigned && this.#isFree();
  }

  #isFree(): boolean {
    const { signal, monotonic } = this.#options;
    return this.#busy === undefined && !signal.aborted && monotonic() >= this.#pausedUntil;
  }

  /** Asks for a cosignature, unless a request is under way or a pause is on. Resolves when the witness has had its say. */
  async ask(head: SignedHead): Promise<void> {
    if (!this.#isFree()) return;
    this.#asked = head;
    this.#busy = this.#askNow(head).finally(() => {
      this.#busy = undefined;
      this.#asked = undefined;
    });
    await this.#busy;
  }

  async settled(): Promise<void> {
    await this.#busy;
  }

  async #askNow(head: SignedHead): Promise<void> {
    for (let conflicts = 0; conflicts <= CONFLICTS_MAX; conflicts += 1) {
      if (this.#knownSize > head.size)
        return this.#contradict(`it holds size ${this.#knownSize}, we signed ${head.size}`);
      const answer = await this.#submit(head);
      if (answer.kind !== "conflict") return this.#take(answer, head);
      if (answer.size > BigInt(head.size)) {
        this.#claimedSize = answer.size;
        return this.#contradict(`it holds size ${answer.size}, we signed ${head.size}`);
      }
      this.#knownSize = Number(answer.size);
    }
    this.#fail("faulty", "it names another size each time it is asked");
  }

  async #submit(head: SignedHead): Promise<WitnessAnswer> {
    const { target, tiles, fetch, timeoutMs, signal } = this.#options;
    const from = this.#knownSize;
    const empty: readonly Hash[] = [];
    const proof =
      from === 0 || from === head.size ? empty : await tiles.prove(planConsistency({ from, to: head.size }), head.size);
    return addCheckpoint({ target, from, proof, note: head.note, fetch, timeoutMs, signal });
  }

  async #take(answer: Exclude<WitnessAnswer, { kind: "conflict" }>, head: SignedHead): Promise<void> {
    switch (answer.kind) {
      case "cosigned":
        return this.#takeCosignature(head, answer.lines);
      case "refused":
        return this.#contradict(`it does not accept size ${head.size} after size ${this.#knownSize}`);
      case "faulty":
      case "unreachable":
        this.#fail(answer.kind, answer.message);
    }
  }

  #takeCosignature(head: SignedHead, lines: readonly CosignatureLine[]): void {
    this.#knownSize = head.size;
    this.#claimedSize = 0n;
    const refusal = this.#options.onCosignature(this, head, lines);
    if (refusal !== undefined) return this.#fail("faulty", refusal);
    this.#cosigned = head;
    this.#cosignedSize = Math.max(this.#cosignedSize, head.size);
    this.#failures = 0;
    this.#lastError = undefined;
    this.#state = "ok";
  }

  async #contradict(message: string): Promise<void> {
    this.#knownSize = 0;
    this.#fail("faulty", message);
    await this.#options.onContradiction(this);
  }

  #fail(state: "unreachable" | "faulty", message: string): void {
    this.errors += 1;
    this.#state = state;
    this.#lastError = message;
    this.#failures += 1;
    if (this.#failures < FAILURES_BEFORE_PAUSE) return;
    const pause = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** (this.#failures - FAILURES_BEFORE_PAUSE));
    this.#pausedUntil = this.#options.monotonic() + pause * (0.5 + this.#options.random() / 2);
  }
}
