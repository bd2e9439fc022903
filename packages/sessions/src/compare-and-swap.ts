/** Changing an entry of a store that others change as well. */
import { setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "./error.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

/** What a try found: that there is nothing to put, or what to put in place of what it read. */
export type Change<Result> =
  | { readonly done: Result }
  | { readonly value: string | null; readonly deadline?: number | undefined; readonly result: Result };

/** So often somebody else was faster. Each time somebody got on, so that this takes a crowd of as many at one session. */
const TRIES_MAX = 200;
const PAUSE_MS_MAX = 25;

/**
 * Reads, decides and puts, from the beginning while others put in between.
 *
 * @throws {SessionError} `session-state-unavailable`
 */
export async function compareAndSwap<Result>(
  store: SessionStore,
  key: string,
  decide: (entry: StoredEntry | undefined) => Promise<Change<Result>>,
): Promise<Result> {
  return compareAndSwapWith(store, { key, alongside: async () => undefined }, decide);
}

/** As {@link compareAndSwap}, with something else that is read at the same time: a store far away is waited for once. */
export async function compareAndSwapWith<Result, Other>(
  store: SessionStore,
  { key, alongside }: { readonly key: string; readonly alongside: () => Promise<Other> },
  decide: (entry: StoredEntry | undefined, other: Other) => Change<Result> | Promise<Change<Result>>,
): Promise<Result> {
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const [entry, other] = await Promise.all([store.get(key), alongside()]);
    const change = await decide(entry, other);
    if ("done" in change) return change.done;
    if (await store.put(key, change.value, entry?.version ?? 0, change.deadline)) return change.result;
    // At random, so that those who met once do not meet again.
    if (tries > 1) await sleep(Math.random() * Math.min(PAUSE_MS_MAX, tries));
  }
  throw new SessionError(
    "session-state-unavailable",
    `${TRIES_MAX} times somebody else changed the same session state`,
  );
}
