/** The document of limits in force: one for all instances over a store, announced in the log. */
import { randomBytes } from "node:crypto";
import type { Report } from "@tallystick/client";
import { newEventId } from "@tallystick/events";
import { compareAndSwap } from "./compare-and-swap.ts";
import { SessionError } from "./error.ts";
import { REPORT_MS } from "./kept-session.ts";
import { type PolicyInForce, type SessionPolicy, formatPolicy, hashPolicy, parsePolicyDocument } from "./policy.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

interface Announced {
  readonly document: string;
  readonly since: number;
  readonly eventId: string;
}

interface KeptPolicy {
  readonly document: string;
  readonly since: number;
  /** The event that announces it, while the log may not have it. */
  readonly eventId: string | null;
  /** Documents before it that the log may not have either: sessions began under them. The earliest first. */
  readonly earlier?: readonly Announced[];
  /** When somebody else may announce it: whoever put it in force had time enough. */
  readonly retryAt: number;
  /** When somebody else may look at all sessions under it, as whoever does so has not said for so long that it goes on. */
  readonly tightenAt?: number | null;
}

export interface PutPolicy {
  /** What was in force before. */
  readonly before: "same" | "other" | "none";
  /** To be announced by whoever put it. */
  readonly event?: Report;
}

const KEY = "policy";
/** More are not set while the log takes nothing, but by somebody who goes round in circles. */
const EARLIER_MAX = 64;

export class PolicyKeeper {
  readonly #store: SessionStore;
  #parsed: { readonly value: string; readonly inForce: PolicyInForce } | undefined;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Puts a document in force, from now on. */
  async put(policy: SessionPolicy): Promise<PutPolicy> {
    const document = formatPolicy(policy);
    return compareAndSwap<PutPolicy>(this.#store, KEY, async (entry) => {
      const replaced = entry === undefined ? undefined : parse(entry.value);
      if (replaced?.document === document) return { done: { before: "same" } };
      const since = await this.#store.now();
      const eventId = newEventId(since, randomBytes(16));
      const earlier = replaced === undefined ? [] : unannounced(replaced);
      const retryAt = since + REPORT_MS;
      const tightenAt = replaced === undefined ? null : retryAt;
      const kept: KeptPolicy = { document, since, eventId, earlier, retryAt, tightenAt };
      const before = replaced === undefined ? "none" : "other";
      return { value: JSON.stringify(kept), result: { before, event: announcement({ ...kept, eventId }) } };
    });
  }

  /** @throws {SessionError} `session-state-unavailable`, `session-state-corrupt` */
  async inForce(): Promise<PolicyInForce> {
    return this.#read(await this.#store.get(KEY));
  }

  /** What is to be announced because whoever put it in force did not in time; nobody else gets to do it meanwhile. */
  async overdue(): Promise<Report | undefined> {
    return compareAndSwap<Report | undefined>(this.#store, KEY, async (entry) => {
      const kept = parse(entry?.value);
      const [first] = unannounced(kept);
      if (first === undefined) return { done: undefined };
      const now = await this.#store.now();
      if (now < kept.retryAt) return { done: undefined };
      const claimed: KeptPolicy = { ...kept, retryAt: now + REPORT_MS };
      return { value: JSON.stringify(claimed), result: announcement(first) };
    });
  }

  /** The log has it. */
  async announced(eventId: string): Promise<void> {
    await compareAndSwap(this.#store, KEY, async (entry) => {
      const kept = parse(entry?.value);
      const { earlier = [] } = kept;
      const left = earlier.filter((each) => each.eventId !== eventId);
      if (kept.eventId !== eventId && left.length === earlier.length) return { done: undefined };
      // Where others wait, the next is told at the next sweep.
      const retryAt = left.length === 0 ? kept.retryAt : await this.#store.now();
      const told: KeptPolicy = {
        ...kept,
        earlier: left,
        eventId: kept.eventId === eventId ? null : kept.eventId,
        retryAt,
      };
      return { value: JSON.stringify(told), result: undefined };
    });
  }

  /** The document in force, where nobody looks at all sessions under it who should: the caller is to, and nobody else. */
  async untightened(): Promise<SessionPolicy | undefined> {
    return this.#changeTightening(({ tightenAt = null, document }, now) =>
      tightenAt === null || now < tightenAt
        ? { done: undefined }
        : { tightenAt: now + REPORT_MS, result: parsePolicyDocument(document) },
    );
  }

  /** It goes on. `false`: another document is in force. */
  async tightens(policy: SessionPolicy): Promise<boolean> {
    const document = formatPolicy(policy);
    return this.#changeTightening((kept, now) =>
      kept.document === document ? { tightenAt: now + REPORT_MS, result: true } : { done: false },
    );
  }

  /** Every session was looked at under it. */
  async tightened(policy: SessionPolicy): Promise<void> {
    const document = formatPolicy(policy);
    await this.#changeTightening((kept) =>
      kept.document === document ? { tightenAt: null, result: undefined } : { done: undefined },
    );
  }

  async #changeTightening<Result>(
    change: (kept: KeptPolicy, now: number) => { done: Result } | { tightenAt: number | null; result: Result },
  ): Promise<Result> {
    return compareAndSwap<Result>(this.#store, KEY, async (entry) => {
      const kept = parse(entry?.value);
      const changed = change(kept, await this.#store.now());
      if ("done" in changed) return changed;
      const { tightenAt, result } = changed;
      return { value: JSON.stringify({ ...kept, tightenAt } satisfies KeptPolicy), result };
    });
  }

  /** Each check reads it, so that it is taken apart only when it is another. */
  #read(entry: StoredEntry | undefined): PolicyInForce {
    if (entry === undefined || this.#parsed?.value !== entry.value) {
      const { document, since } = parse(entry?.value);
      const inForce = { policy: parsePolicyDocument(document), hash: hashPolicy(document), since };
      this.#parsed = { value: entry?.value ?? "", inForce };
    }
    return this.#parsed.inForce;
  }
}

/** What the log may not have, the earliest first. */
function unannounced({ earlier = [], document, since, eventId }: KeptPolicy): Announced[] {
  const all = eventId === null ? earlier : [...earlier, { document, since, eventId }];
  return all.slice(-EARLIER_MAX);
}

function announcement({ eventId, document, since }: Announced): Report {
  const context = { hash: hashPolicy(document), document, since };
  return { id: eventId, time: since, type: "session.policy", outcome: "success", context };
}

function parse(text: string | undefined): KeptPolicy {
  if (text === undefined) throw new SessionError("session-state-corrupt", "session limits: expected them in the store");
  return JSON.parse(text) as KeptPolicy;
}
