/**
 * Which sessions a user has: one entry per user of a tenant, by which a limit on sessions at once is kept.
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

interface Looked {
  readonly place: Place;
  readonly state: PlaceState;
}

/** Whose sessions: the same id in another tenant, or without one, is another user. */
export interface Owner {
  readonly user: string;
  readonly tenant?: string | undefined;
}

/** What becomes of a place: its session is alive, has ended, is not there yet, or is of somebody else of the same id. */
export type PlaceState = "alive" | "over" | "missing" | "another's";

export interface Occupants {
  /** Looks a session up, and ends it where it has reached its deadline. */
  readonly look: (id: string, owner: Owner) => Promise<PlaceState>;
  /** Ends a session for the sake of a newer one. */
  readonly supersede: (id: string) => Promise<void>;
}

export class UserSessions {
  readonly #store: SessionStore;
  readonly #occupants: Occupants;
  /** Logins of one user in this process stand in line instead of in each other's way. */
  readonly #lines = new Map<string, Promise<unknown>>();

  constructor(store: SessionStore, occupants: Occupants) {
    this.#store = store;
    this.#occupants = occupants;
  }

  /** The ids of all sessions that a user may have, the oldest first. Some may have ended, or be another's of the same id. */
  async ids(owner: Owner): Promise<string[]> {
    return (await this.#all(owner)).map(({ id }) => id);
  }

  async #all(owner: Owner): Promise<Place[]> {
    const [former, entry] = await Promise.all([this.#former(owner), this.#store.get(keyOf(owner))]);
    return [...former, ...placesOf(entry?.value)];
  }

  /** Places that were taken before those of tenants were kept apart: of any tenant. */
  async #former({ user, tenant }: Owner): Promise<Place[]> {
    return tenant === undefined ? [] : placesOf((await this.#store.get(keyOf({ user })))?.value);
  }

  /**
   * Asks about a session until it is there, for as long as its login has a place and may still begin it: what is done to
   * all sessions of a user must not miss that one.
   */
  async begun<Result>(owner: Owner, id: string, ask: () => Promise<Result | undefined>): Promise<Result | undefined> {
    for (;;) {
      const result = await ask();
      if (result !== undefined || !(await this.#isAwaited(owner, id))) return result;
      await sleep(WAIT_MS);
    }
  }

  async #isAwaited(owner: Owner, id: string): Promise<boolean> {
    const [places, now] = await Promise.all([this.#all(owner), this.#store.now()]);
    return places.some((place) => place.id === id && now - place.at < RESERVATION_MS);
  }

  /**
   * Reserves a place for a new session.
   *
   * @returns When. The session has to begin within {@link RESERVATION_MS}.
   * @throws {SessionError} `session-denied`
   */
  async reserve(owner: Owner, id: string, limit: ConcurrentLimit | null): Promise<number> {
    const key = keyOf(owner);
    const before = this.#lines.get(key) ?? Promise.resolve();
    const mine = before.then(async () => this.#reserve(owner, id, limit));
    const settled = mine.catch(() => undefined);
    this.#lines.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#lines.get(key) === settled) this.#lines.delete(key);
    }
  }

  /** Its place is free again. */
  async release(owner: Owner, id: string): Promise<void> {
    const isReleased = await this.#release(keyOf(owner), id);
    if (!isReleased && owner.tenant !== undefined) await this.#release(keyOf({ user: owner.user }), id);
  }

  async #release(key: string, id: string): Promise<boolean> {
    return compareAndSwap<boolean>(this.#store, key, async (entry) => {
      const places = placesOf(entry?.value);
      const left = places.filter((place) => place.id !== id);
      if (left.length === places.length) return { done: false };
      return { value: left.length === 0 ? null : JSON.stringify(left), result: true };
    });
  }

  async #reserve(owner: Owner, id: string, limit: ConcurrentLimit | null): Promise<number> {
    return compareAndSwap(this.#store, keyOf(owner), async (entry) => {
      const places = placesOf(entry?.value);
      const taken = limit === null ? await this.#pruned(places, owner) : await this.#withRoom(places, owner, limit);
      const at = await this.#store.now();
      return { value: JSON.stringify([...taken, { id, at }]), result: at };
    });
  }

  async #pruned(places: readonly Place[], owner: Owner): Promise<Place[]> {
    if (places.length <= PRUNE_ABOVE || !isPowerOfTwo(places.length)) return [...places];
    return (await this.#look(places, owner)).map(({ place }) => place);
  }

  /** The places that stay taken when there has to be room for one more. */
  async #withRoom(own: readonly Place[], owner: Owner, limit: ConcurrentLimit): Promise<Place[]> {
    const former = await this.#former(owner);
    const looked = await this.#look([...former, ...own], owner);
    const another = looked.filter(({ state }) => state === "another's");
    const taken = await this.#makeRoom(
      looked.filter(({ state }) => state !== "another's"),
      owner,
      limit,
    );
    // What lies in another entry stays there.
    return [...another, ...taken].map(({ place }) => place).filter((place) => !former.includes(place));
  }

  async #makeRoom(
    places: readonly Looked[],
    owner: Owner,
    { max, beyond }: ConcurrentLimit,
  ): Promise<readonly Looked[]> {
    let taken = places;
    while (taken.length >= max) {
      if (beyond === "deny-new") {
        const text = `the user has ${taken.length} sessions, and ${max} are allowed at once`;
        throw new SessionError("session-denied", text, { details: { sessions: taken.length, max } });
      }
      const oldest = taken.find(({ state }) => state === "alive");
      // All are logins that have not begun yet: one has to, before it can end.
      if (oldest === undefined) await sleep(WAIT_MS);
      else await this.#occupants.supersede(oldest.place.id);
      taken = await this.#look(
        taken.map(({ place }) => place),
        owner,
      );
    }
    return taken;
  }

  /** Those that are alive, or about to be. */
  async #look(places: readonly Place[], owner: Owner): Promise<Looked[]> {
    const now = await this.#store.now();
    const states = await Promise.all(places.map(async ({ id }) => this.#occupants.look(id, owner)));
    return places
      .map((place, at) => ({ place, state: states[at] ?? "missing" }))
      .filter(({ place, state }) =>
        state === "missing" ? now - place.at < RESERVATION_MS : state === "alive" || state === "another's",
      );
  }
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

/** A hash: what a user is called has no place among keys. */
function keyOf({ user, tenant }: Owner): string {
  const [prefix, name] = tenant === undefined ? ["user", user] : ["tenant-user", JSON.stringify([tenant, user])];
  return `${prefix}/${createHash("sha256").update(name).digest("base64url")}`;
}

function placesOf(value: string | undefined): Place[] {
  return value === undefined ? [] : (JSON.parse(value) as Place[]);
}
