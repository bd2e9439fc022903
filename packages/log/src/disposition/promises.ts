/** For how long contents were promised to be kept, by the rules under which they were logged. */
import { HOLD_CLASS, decodeLeaf, dayOf } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { firstSince } from "../lost-keys.ts";
import { TABLE } from "../rows.ts";
import { ruleOf } from "../rules/rules.ts";
import { DAY_MS } from "./day.ts";
import type { ApprovedRules } from "./rules-in-force.ts";

/** Entries that are read in one go. */
const STEP = 1024;

export interface PromisesOptions {
  readonly storage: LogStorage;
  readonly approved: Pick<ApprovedRules, "versions">;
  /** Entries that are durable. */
  readonly size: () => number;
}

interface PromisedClassDay {
  readonly class: string;
  readonly day: number;
  /** As its row says. */
  readonly atLeastDays: number;
}

export class Promises {
  readonly #options: PromisesOptions;

  constructor(options: PromisesOptions) {
    this.#options = options;
  }

  /**
   * The days that rules promised to entries of a class-day, where these are more than its row says; else `undefined`.
   * Reads entries only of days in which rules held that promised more than the row. Of entries before the first rules were
   * approved only the row tells.
   */
  async beyond({ class: retentionClass, day, atLeastDays }: PromisedClassDay): Promise<number | undefined> {
    const { storage, approved, size } = this.#options;
    // What a hold keeps was promised nothing.
    if (HOLD_CLASS.test(retentionClass)) return undefined;
    const end = size();
    const held = approved.versions
      .map(({ index, rules }, at, all) => {
        const { atLeastDays: promised } = ruleOf(rules, retentionClass);
        return { promised, from: index + 1, to: all[at + 1]?.index ?? end };
      })
      .filter(({ promised }) => promised > atLeastDays)
      .toSorted((a, b) => b.promised - a.promised);
    if (held.length === 0) return undefined;
    // Not by the row: whoever shortened its promise may have shortened its extent.
    const first = await firstSince(storage, { size: end, since: day * DAY_MS });
    const last = await firstSince(storage, { size: end, since: (day + 1) * DAY_MS });
    for (const { promised, from, to } of held) {
      const range = { from: Math.max(from, first), to: Math.min(to, last) };
      if (await this.#hasEntry(retentionClass, day, range)) return promised;
    }
    return undefined;
  }

  async #hasEntry(
    retentionClass: string,
    day: number,
    { from, to }: { readonly from: number; readonly to: number },
  ): Promise<boolean> {
    for (let first = from; first < to; first += STEP) {
      const keys = Array.from({ length: Math.min(STEP, to - first) }, (_, at) => indexKey(first + at));
      for (const bytes of await this.#options.storage.getRows(TABLE.leaf, keys)) {
        if (bytes === undefined) continue;
        const leaf = decodeLeaf(bytes);
        if (leaf.class === retentionClass && dayOf(leaf.loggedAt) === day) return true;
      }
    }
    return false;
  }
}
