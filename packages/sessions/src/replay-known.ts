/** Which entry each number of a chain was: so one that is reported a second time is told from another one of its number. */
import { hash, randomBytes } from "node:crypto";
import type { TallyEvent } from "@tallystick/events";

/** Of each session that is open, the latest. */
const KNOWN_MAX = 1024;
/** Of each that ended. */
export const KNOWN_OF_ENDED = 32;
/** Nobody who writes entries can know it, and make two that have the same fingerprint. */
const SECRET = randomBytes(16).toString("hex");

export class KnownEntries {
  /** Number and fingerprint in turn: small integers take no room of their own. */
  readonly #known: number[] = [];
  /** Some were let go of. */
  #isPartial = false;

  add(n: number, event: TallyEvent): void {
    this.#known.push(n, fingerprintOf(event));
    if (this.#known.length >= 4 * KNOWN_MAX) this.shrink(KNOWN_MAX);
  }

  /** `undefined`: that is too long ago to tell. */
  isSame(n: number, event: TallyEvent): boolean | undefined {
    for (let at = this.#known.length - 2; at >= 0; at -= 2) {
      if (this.#known[at] === n) return this.#known[at + 1] === fingerprintOf(event);
    }
    return this.#isPartial ? undefined : false;
  }

  /** Keeps the latest. */
  shrink(count: number): void {
    if (this.#known.length <= 2 * count) return;
    this.#known.splice(0, this.#known.length - 2 * count);
    this.#isPartial = true;
  }
}

/** 31 bits of what the manager of sessions wrote: whoever reports it again has it from the same state. */
function fingerprintOf({ id, type, time, outcome, reason, context }: TallyEvent): number {
  const words = JSON.stringify([SECRET, id, type, time, outcome, reason ?? null, context]);
  return Number.parseInt(hash("sha256", words, "hex").slice(0, 8), 16) >>> 1;
}
