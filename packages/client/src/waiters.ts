/** Callers who wait until an event has come so far. */
import { type RecordState, STATES } from "./options.ts";
import type { OutboxEntry } from "./outbox.ts";

export interface Reached {
  readonly state: RecordState;
  readonly index?: number;
  /** The tlog-proof, verified: nothing further can be waited for. */
  readonly receipt?: string;
}

export interface WaitOptions {
  readonly until: RecordState;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter {
  readonly until: RecordState;
  readonly resolve: (reached: Reached) => void;
  readonly reject: (error: Error) => void;
}

/** Waiters by the number of their event. */
export class Waiters {
  readonly #waiters = new Map<number, Set<Waiter>>();

  /** Resolves with the state that was reached: `until`, or less when the time is over or the signal comes. */
  async wait(entry: OutboxEntry, { until, timeoutMs, signal }: WaitOptions): Promise<Reached> {
    const reached = reachedBy(entry);
    if (suffices(reached, until) || signal?.aborted === true) return reached;
    const { promise, resolve, reject } = Promise.withResolvers<Reached>();
    const waiter: Waiter = { until, resolve, reject };
    const waiters = this.#waiters.get(entry.sequence) ?? new Set();
    this.#waiters.set(entry.sequence, waiters.add(waiter));
    const giveUp = (): void => resolve(reachedBy(entry));
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(entry.sequence);
    }
  }

  advance(sequence: number, reached: Reached): void {
    for (const { until, resolve } of this.#waiters.get(sequence) ?? []) if (suffices(reached, until)) resolve(reached);
  }

  reject(sequence: number, error: Error): void {
    for (const { reject } of this.#waiters.get(sequence) ?? []) reject(error);
  }

  rejectAll(error: Error): void {
    for (const sequence of this.#waiters.keys()) this.reject(sequence, error);
  }
}

function suffices({ state, receipt }: Reached, until: RecordState): boolean {
  // Under a policy without witnesses a verified receipt is as far as an event gets.
  return receipt !== undefined || STATES.indexOf(state) >= STATES.indexOf(until);
}

/** What an entry that has no receipt yet has reached. */
export function reachedBy({ index }: OutboxEntry): Reached {
  return index === undefined ? { state: "queued" } : { state: "durable", index };
}
