/**
 * Which sessions a user has: one entry per user, by which a limit on sessions at once is kept.
 *
 * A login reserves its place here, by compare-and-swap, before its session exists. So there are never more than the limit,
 * however many log in at a time.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { compareAndSwap } from "./compare-and-swap.ts";
import { SessionError } from "./error.ts";
import type { ConcurrentLimit } from "./policy.ts";
import type { SessionStore } from "./store.ts";

/** A place that a login reserved and did not take by then is free again. */
export const RESERVATION_MS = 10_000;
const WAIT_MS = 5;
/**
 * From so many on, those that have ended are left out even where nothing limits them: each time when there are twice as many
 * as the time before, or whoever has many sessions would have all of them looked at by each login.
 */
const PRUNE_ABOVE = 32;

interface Place {
  readonly id: string;
  readonly at: number;
}

/** What becomes of a place: its session is alive, has ended, or is not there yet. */
export type PlaceState = "alive" | "over" | "missing";

export interface Tenants {
  /** Looks a session up, and ends it where it has reached its deadline. */
  readonly look: (id: string) => Promise<PlaceState>;
  /** Ends a session for the sake of a newer one. */
  readonly supersede: (id: string) => Promise<void>;
}

export class UserSessions {
  readonly #store: SessionStore;
  readonly #tenants: Tenants;
  /** Logins of one user in this process stand in line instead of in each other's way. */
  readonly #lines = new Map<string, Promise<unknown>>();

  constructor(store: SessionStore, tenants: Tenants) {
    this.#store = store;
    this.#tenants = tenants;
  }

  /** The ids of all sessions that a user may have, the oldest first. Some may have ended. */
  async ids(user: string): Promise<string[]> {
    const entry = await this.#store.get(keyOf(user));
    return placesOf(entry?.value).map(({ id }) => id);
  }

  /**
   * Asks about a session until it is there, for as long as its login has a place and may still begin it: what is done to
   * all sessions of a user must not miss that one.
   */
  async begun<Result>(user: string, id: string, ask: () => Promise<Result | undefined>): Promise<Result | undefined> {
    for (;;) {
      const result = await ask();
      if (result !== undefined || !(await this.#isAwaited(user, id))) return result;
      await sleep(WAIT_MS);
    }
  }

  async #isAwaited(user: string, id: string): Promise<boolean> {
    const [entry, now] = await Promise.all([this.#store.get(keyOf(user)), this.#store.now()]);
    return placesOf(entry?.value).some((place) => place.id === id && now - place.at < RESERVATION_MS);
  }

  /**
   * Reserves a place for a new session.
   *
   * @returns When. The session has to begin within {@link RESERVATION_MS}.
   * @throws {SessionError} `session-denied`
   */
  async reserve(user: string, id: string, limit: ConcurrentLimit | null): Promise<number> {
    const key = keyOf(user);
    const before = this.#lines.get(key) ?? Promise.resolve();
    const mine = before.then(async () => this.#reserve(key, id, limit));
    const settled = mine.catch(() => undefined);
    this.#lines.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#lines.get(key) === settled) this.#lines.delete(key);
    }
  }

  /** Its place is free again. */
  async release(user: string, id: string): Promise<void> {
    await compareAndSwap(this.#store, keyOf(user), async (entry) => {
      const places = placesOf(entry?.value);
      const left = places.filter((place) => place.id !== id);
      if (left.length === places.length) return { done: undefined };
      return { value: left.length === 0 ? null : JSON.stringify(left), result: undefined };
    });
  }

  async #reserve(key: string, id: string, limit: ConcurrentLimit | null): Promise<number> {
    return compareAndSwap(this.#store, key, async (entry) => {
      const places = placesOf(entry?.value);
      const taken = limit === null ? await this.#pruned(places) : await this.#withRoom(places, limit);
      const at = await this.#store.now();
      return { value: JSON.stringify([...taken, { id, at }]), result: at };
    });
  }

  async #pruned(places: readonly Place[]): Promise<Place[]> {
    if (places.length <= PRUNE_ABOVE || !isPowerOfTwo(places.length)) return [...places];
    return (await this.#look(places)).map(({ place }) => place);
  }

  /** The places that stay taken when there has to be room for one more. */
  async #withRoom(places: readonly Place[], { max, beyond }: ConcurrentLimit): Promise<Place[]> {
    let taken = await this.#look(places);
    while (taken.length >= max) {
      if (beyond === "deny-new") {
        const text = `the user has ${taken.length} sessions, and ${max} are allowed at once`;
        throw new SessionError("session-denied", text, { details: { sessions: taken.length, max } });
      }
      const oldest = taken.find(({ state }) => state === "alive");
      // All are logins that have not begun yet: one has to, before it can end.
      if (oldest === undefined) await sleep(WAIT_MS);
      else await this.#tenants.supersede(oldest.place.id);
      taken = await this.#look(taken.map(({ place }) => place));
    }
    return taken.map(({ place }) => place);
  }

  /** Those that are alive, or about to be. */
  async #look(places: readonly Place[]): Promise<{ place: Place; state: PlaceState }[]> {
    const now = await this.#store.now();
    const states = await Promise.all(places.map(async ({ id }) => this.#tenants.look(id)));
    return places
      .map((place, at) => ({ place, state: states[at] ?? "missing" }))
      .filter(({ place, state }) => state === "alive" || (state === "missing" && now - place.at < RESERVATION_MS));
  }
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

/** A hash: what a user is called has no place among keys. */
function keyOf(user: string): string {
  return `user/${createHash("sha256").update(user).digest("base64url")}`;
}

function placesOf(value: string | undefined): Place[] {
  return value === undefined ? [] : (JSON.parse(value) as Place[]);
}
