/** Retention: the keys of class-days whose time is over are destroyed, and their sealed events removed from the disk. */
import { HOLD_CLASS, decodeLeaf, decodeSealed, newEventId } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import type { LogClock } from "../clock.ts";
import { LogError } from "../error.ts";
import { type LogSecrets, classDayName, decodeSealedRow } from "../keys.ts";
import type { Reason } from "../log-api.ts";
import type { Rules } from "../rules/rules.ts";
import { classDayDueAt } from "../rules/simulate-rules.ts";
import { TABLE } from "../rows.ts";
import type { Sequencer } from "../sequencer.ts";
import type { ClassDay, ClassDayScope, RetentionRun } from "./api.ts";
import type { ClassDayOrder, Destructions } from "./destructions.ts";
import { type HeldEntry, type HoldRecord, type Holds, holdClass } from "./holds.ts";
import { type ClassDayRow, classDayKey, decodeClassDay, encodeClassDay, parseClassDayKey } from "./ledger.ts";
import type { Promises } from "./promises.ts";
import { type DestructionRecord, pendingRecords, recordRows } from "./record.ts";
import { type Resealed, sealAnew, writeResealed } from "./sealing.ts";

/** Entries that are read in one go. */
const STEP = 1024;
/** Class-days that are ordered in one commit. */
const ORDERS_MAX = 500;

export interface RetentionOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly sequencer: Sequencer;
  readonly clock: LogClock;
  readonly destructions: Destructions;
  readonly holds: Holds;
  readonly rules: () => Pick<Rules, "classes" | "other">;
  readonly promises: Promises;
  /** Called before anything is ordered: the rules by which it is have to be in the log. */
  readonly beforeOrders: () => Promise<void>;
  readonly random: (bytes: number) => Uint8Array;
  readonly signal: AbortSignal;
}

/** A class-day with what decides about it. */
interface Entry {
  readonly scope: ClassDayScope;
  readonly row: ClassDayRow;
  readonly dueAt: number | undefined;
}

interface SealedEntry extends HeldEntry {
  readonly index: number;
  readonly sealedClass: string;
}

export class Retention {
  readonly #options: RetentionOptions;
  /** One run after the other. */
  #running: Promise<unknown> = Promise.resolve();
  /** Class-days that were due at the last run, though more was promised than their rows say. */
  #shortened: readonly string[] = [];

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** What an operator should see to. */
  troubles(): Reason[] {
    const [first] = this.#shortened;
    if (first === undefined) return [];
    const more = this.#shortened.length === 1 ? "" : `, and so of ${this.#shortened.length - 1} more`;
    const message = `${first}${more}: nothing of it is destroyed; stop the log and run fsck --repair`;
    return [{ code: "retention-row-mismatch", message }];
  }

  async *classDays(): AsyncGenerator<ClassDay> {
    const { holds } = this.#options;
    for await (const { scope, row, dueAt } of this.#entries()) {
      const held = HOLD_CLASS.test(scope.class) || holds.ofClassDay(scope.class, scope.day).length > 0;
      yield { ...scope, atLeastDays: row.atLeastDays, dueAt, held };
    }
  }

  /** Class-days whose keys are there, and not ordered to be destroyed, the earliest day first. */
  async *#entries(): AsyncGenerator<Entry> {
    const { storage, destructions, rules } = this.#options;
    for await (const { key, value } of storage.scanRows(TABLE.classDay)) {
      if (destructions.orderedClassDays.has(key)) continue;
      const { class: retentionClass, day } = parseClassDayKey(key);
      const row = decodeClassDay(value);
      const due = classDayDueAt(rules(), { class: retentionClass, day, atLeastDays: row.atLeastDays });
      // What a hold keeps has no time of its own.
      const dueAt = HOLD_CLASS.test(retentionClass) ? undefined : due;
      const { first, last, count } = row;
      yield { scope: { class: retentionClass, day, first, last, count }, row, dueAt };
    }
  }

  /** Destroys what is due now. */
  async run(): Promise<RetentionRun> {
    return this.#serially(async () => this.#run());
  }

  async #serially<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#running;
    const mine = before.then(work, work);
    this.#running = mine.catch(() => undefined);
    return mine;
  }

  async #run(): Promise<RetentionRun> {
    const now = this.#now();
    const found: Entry[] = [];
    for await (const entry of this.#entries()) {
      if (entry.dueAt !== undefined && entry.dueAt <= now) found.push(entry);
    }
    if (found.length > 0) await this.#options.beforeOrders();
    const due = await this.#withoutShortened(found);
    const destroyed: ClassDayScope[] = [];
    let held = 0;
    for (let at = 0; at < due.length && !this.#options.signal.aborted; at += ORDERS_MAX) {
      const group = await this.#order(due.slice(at, at + ORDERS_MAX), "retention");
      destroyed.push(...group.destroyed);
      held += group.held;
    }
    if (destroyed.length > 0) await this.#report(destroyed, held);
    return { destroyed, held };
  }

  /** Whoever can write to the disk can make the promise in a row shorter; the rules that made it are in the log. */
  async #withoutShortened(due: readonly Entry[]): Promise<Entry[]> {
    const kept: Entry[] = [];
    const shortened: string[] = [];
    for (const entry of due) {
      const { class: retentionClass, day } = entry.scope;
      const { atLeastDays } = entry.row;
      const promised = await this.#options.promises.beyond({ class: retentionClass, day, atLeastDays });
      if (promised === undefined) kept.push(entry);
      else
        shortened.push(
          `class ${retentionClass}, day ${day}: rules promised ${promised} days, its row says ${atLeastDays}`,
        );
    }
    this.#shortened = shortened;
    return kept;
  }

  async #report(destroyed: readonly ClassDayScope[], held: number): Promise<void> {
    const entries = destroyed.reduce((sum, { count }) => sum + count, 0) - held;
    const context = { change: "run", classDays: destroyed.length, entries, held };
    await this.#options.sequencer.report({ type: "log.retention", context });
  }

  /** Seals anew what holds keep of these class-days, and orders the destruction of the rest. */
  async #order(entries: readonly Entry[], ground: string): Promise<{ destroyed: ClassDayScope[]; held: number }> {
    const { sequencer, destructions, holds, random } = this.#options;
    for (;;) {
      const { version } = holds;
      const orders: ClassDayOrder[] = [];
      let held = 0;
      for (const { scope } of entries) {
        const kept = await this.#keep(scope);
        if (kept === "all") continue;
        held += kept;
        orders.push({
          request: newEventId(this.#now(), random(16)),
          ground,
          keys: [{ kind: "class-day", name: classDayName(scope.class, scope.day) }],
          classDay: scope,
          kept: kept === 0 ? [] : [[scope.class, kept]],
        });
      }
      if (orders.length === 0) return { destroyed: [], held: 0 };
      // A hold that was set meanwhile may cover more: then all of this is looked at again.
      const ordered = await sequencer.alone(async (turn) =>
        holds.version === version ? destructions.orderClassDays(turn, orders) : undefined,
      );
      if (ordered !== undefined)
        return { destroyed: ordered.flatMap(({ classDay }) => (classDay === undefined ? [] : [classDay])), held };
    }
  }

  /** A clock that is not believed must not end the time of anything: that could never be undone. */
  #now(): number {
    const reading = this.#options.clock.read();
    if (!reading.ok) throw new LogError("clock-jumped", reading.message, { details: { retryAfterSeconds: 60 } });
    return reading.now;
  }

  /** Seals anew what holds keep of a class-day; gives how many entries, or that all of it stays as it is. */
  async #keep(scope: ClassDayScope): Promise<number | "all"> {
    const { holds } = this.#options;
    const isOfHold = HOLD_CLASS.test(scope.class);
    const found = isOfHold ? holds.active : holds.ofClassDay(scope.class, scope.day);
    if (found.length === 0) return 0;
    if (!isOfHold && found.some((hold) => holds.coversAll(hold, scope.day))) return "all";
    let kept = 0;
    for (let from = scope.first; from <= scope.last; from += STEP)
      kept += await this.#keepStep(scope, found, { from, to: Math.min(from + STEP, scope.last + 1) });
    if (kept > 0) await this.#reportKept(scope, kept);
    return kept;
  }

  async #keepStep(
    scope: ClassDayScope,
    holds: readonly HoldRecord[],
    { from, to }: { readonly from: number; readonly to: number },
  ): Promise<number> {
    const { storage, secrets, random, sequencer } = this.#options;
    const resealed: Resealed[] = [];
    const added = new Map<string, ClassDayRow>();
    let kept = 0;
    for await (const { index, row, leaf, sealedClass } of this.#entriesIn(scope, { from, to })) {
      // An earlier run that did not come to its end sealed it anew already.
      if (sealedClass !== scope.class) {
        kept += 1;
        continue;
      }
      const hold = this.#options.holds.find(holds, { leaf, row });
      if (hold === undefined) continue;
      const name = holdClass(hold);
      const anew = sealAnew({ secrets, random, row, leaf, class: name, keepPerson: true });
      if (anew === undefined) continue;
      resealed.push({ index, before: row, after: anew });
      const key = classDayKey(name, scope.day);
      const known = added.get(key) ?? (await this.#readClassDay(key));
      added.set(key, {
        first: Math.min(known?.first ?? index, index),
        last: Math.max(known?.last ?? index, index),
        count: (known?.count ?? 0) + 1,
        atLeastDays: 0,
      });
    }
    if (resealed.length === 0) return kept;
    // First the key, then what is sealed under it.
    await secrets.sync();
    const ledger = [...added].map(([key, row]) => ({ table: TABLE.classDay, key, value: encodeClassDay(row) }));
    await storage.putRows(ledger);
    const changed = await sequencer.alone(async () => writeResealed(storage, resealed));
    // An erasure sealed some of them anew meanwhile: they are looked at again.
    return changed.length === 0 ? kept + resealed.length : this.#keepStep(scope, holds, { from, to });
  }

  async #readClassDay(key: string): Promise<ClassDayRow | undefined> {
    const row = await this.#options.storage.getRow(TABLE.classDay, key);
    return row === undefined ? undefined : decodeClassDay(row);
  }

  /** The entries of a range that are of a class-day, or sealed under its key, and under the key of which class they are. */
  async *#entriesIn(
    { class: retentionClass, day }: ClassDayScope,
    { from, to }: { readonly from: number; readonly to: number },
  ): AsyncGenerator<SealedEntry> {
    const { storage } = this.#options;
    const keys = Array.from({ length: to - from }, (_, at) => indexKey(from + at));
    const [leaves, rows] = [await storage.getRows(TABLE.leaf, keys), await storage.getRows(TABLE.sealed, keys)];
    for (const [at, row] of rows.entries()) {
      const bytes = leaves[at];
      if (row === undefined || bytes === undefined) continue;
      const sealed = decodeSealed(decodeSealedRow(row).bytes);
      const leaf = decodeLeaf(bytes);
      if (sealed.day === day && (sealed.class === retentionClass || leaf.class === retentionClass))
        yield { index: from + at, row, leaf, sealedClass: sealed.class };
    }
  }

  async #reportKept({ class: retentionClass, day }: ClassDayScope, count: number): Promise<void> {
    const context = { change: "sealed-anew", why: "hold", class: retentionClass, day, count };
    await this.#options.sequencer.report({ type: "log.retention", context });
  }

  /**
   * Destroys the keys under which only holds that are lifted kept entries; what another hold covers is sealed under that
   * one's. Of all of them, since dying right after one was lifted leaves its keys.
   */
  async endLifted(): Promise<void> {
    await this.#serially(async () => {
      const ended = await this.#liftedClasses();
      const entries: Entry[] = [];
      for await (const entry of this.#entries()) if (ended.has(entry.scope.class)) entries.push(entry);
      const counted: Entry[] = [];
      for (const entry of entries) {
        const scope = await this.#counted(entry.scope);
        if (scope !== undefined) counted.push({ ...entry, scope });
      }
      for (let at = 0; at < counted.length; at += ORDERS_MAX)
        await this.#order(counted.slice(at, at + ORDERS_MAX), "hold-lifted");
    });
  }

  async #liftedClasses(): Promise<ReadonlySet<string>> {
    const { holds } = this.#options;
    const classes = new Set<string>();
    for await (const hold of holds.all()) if (hold.liftedAt !== undefined) classes.add(holdClass(hold));
    for (const hold of holds.active) classes.delete(holdClass(hold));
    return classes;
  }

  /** A hold's ledger counts what it meant to seal: a crash may have come in between. */
  async #counted(scope: ClassDayScope): Promise<ClassDayScope | undefined> {
    const found: number[] = [];
    for (let from = scope.first; from <= scope.last; from += STEP) {
      const range = { from, to: Math.min(from + STEP, scope.last + 1) };
      for await (const { index, sealedClass } of this.#entriesIn(scope, range))
        if (sealedClass === scope.class) found.push(index);
    }
    const [first, last] = [found[0], found.at(-1)];
    if (first !== undefined && last !== undefined) return { ...scope, first, last, count: found.length };
    await this.#options.storage.deleteRows(TABLE.classDay, [classDayKey(scope.class, scope.day)]);
    return undefined;
  }

  /** Removes from the disk what can never be opened again. */
  async prune(records: readonly DestructionRecord[]): Promise<void> {
    for (const record of records) {
      if (this.#options.signal.aborted) return;
      await this.#serially(async () => this.#prune(record));
    }
  }

  /** As {@link prune}, of what a former run of the log left. */
  async pruneRest(): Promise<void> {
    const pending = await pendingRecords(this.#options.storage);
    await this.prune(pending.filter(({ state, unpruned }) => state === "done" && unpruned));
  }

  async #prune(record: DestructionRecord): Promise<void> {
    const { storage } = this.#options;
    const { classDay } = record;
    if (classDay !== undefined) {
      for (let from = classDay.first; from <= classDay.last; from += STEP) {
        const range = { from, to: Math.min(from + STEP, classDay.last + 1) };
        const keys: string[] = [];
        for await (const { index, sealedClass } of this.#entriesIn(classDay, range))
          if (sealedClass === classDay.class) keys.push(indexKey(index));
        // Before they are gone: after a crash only what is still there is found again.
        await this.#forgetKept(new Set(keys), range);
        if (keys.length > 0) await storage.deleteRows(TABLE.sealed, keys);
      }
    }
    await storage.putRows(recordRows({ ...record, unpruned: false }));
  }

  /** What a duty kept is gone with its class-day: nobody has to find it any more. */
  async #forgetKept(pruned: ReadonlySet<string>, { from, to }: { from: number; to: number }): Promise<void> {
    const { storage } = this.#options;
    const keys: string[] = [];
    for await (const { key } of storage.scanRows(TABLE.kept, { gte: indexKey(from), lt: indexKey(to) }))
      if (pruned.has(key.slice(0, key.indexOf(" ")))) keys.push(key);
    if (keys.length > 0) await storage.deleteRows(TABLE.kept, keys);
  }

  async settled(): Promise<void> {
    await this.#running;
  }
}
