/** The documents of session limits that a log announces, and which of them was in force when. */
import type { TallyEvent } from "@tallystick/events";
import { SessionError } from "./error.ts";
import { type PolicyInForce, hashPolicy, parsePolicyDocument } from "./policy.ts";

/** A check that began before a document came into force may end after it, and decide by the one before. */
export const POLICY_GRACE_MS = 10_000;
/** Documents that are kept, the latest. Each has at most 8 KiB. */
const POLICIES_MAX = 1000;

export class ReplayPolicies {
  /** By since. */
  readonly #policies: PolicyInForce[] = [];

  /** @returns The document; a text where the event has none that is whole. */
  add({ context = {}, time }: TallyEvent): PolicyInForce | string {
    const { hash, document, since = time } = context;
    if (typeof document !== "string" || typeof since !== "number") return "it has no document, or not since when";
    const actual = hashPolicy(document);
    if (hash !== actual) return `its document has the hash ${actual}, not the one that it names`;
    try {
      const inForce = { policy: parsePolicyDocument(document), hash: actual, since };
      this.#policies.push(inForce);
      this.#policies.sort((one, other) => one.since - other.since);
      if (this.#policies.length > POLICIES_MAX) this.#policies.shift();
      return inForce;
    } catch (error) {
      if (error instanceof SessionError) return error.message;
      throw error;
    }
  }

  /** The document of that hash, as it came into force last before `at`. */
  named(hash: string, at: number): PolicyInForce | undefined {
    return this.#policies.findLast((each) => each.hash === hash && each.since <= at);
  }

  inForce(at: number): PolicyInForce | undefined {
    return this.#policies.findLast(({ since }) => since <= at);
  }

  /** All by which a check at that time may have decided. */
  around(at: number): PolicyInForce[] {
    const before = this.inForce(at - POLICY_GRACE_MS);
    const during = this.#policies.filter(({ since }) => since > at - POLICY_GRACE_MS && since <= at);
    return before === undefined ? during : [before, ...during];
  }

  /** How many sessions a user could have when one began. */
  sessionsMax(at: number): number {
    const policies = this.around(at);
    return policies.length === 0
      ? Infinity
      : Math.max(...policies.map(({ policy }) => policy.concurrent?.max ?? Infinity));
  }
}
