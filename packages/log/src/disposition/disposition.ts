/** Assembles what becomes of contents: rules in force, retention, erasure, holds, export. */
import { newEventId } from "@tallystick/events";
import { encodeHex, utf8 } from "@tallystick/core";
import type { LogStorage } from "@tallystick/storage";
import type { ChainEnds } from "../chain-ends.ts";
import type { LogClock } from "../clock.ts";
import { LogError, messageOf } from "../error.ts";
import type { LogSecrets } from "../keys.ts";
import type { Acknowledgement, EntryState, LogLogger, Reason } from "../log-api.ts";
import { pause } from "../pause.ts";
import type { Published } from "../published.ts";
import type { LogReader } from "../reader.ts";
import { type Rules, rulesDigest } from "../rules/rules.ts";
import { TABLE } from "../rows.ts";
import type { Sequencer } from "../sequencer.ts";
import type {
  ApprovedText,
  ClassDay,
  Destruction,
  Disposition,
  EraseInput,
  ExportedEntry,
  Hold,
  Ordered,
  RetentionRun,
  RulesInForce,
  SetHoldInput,
} from "./api.ts";
import { Destructions } from "./destructions.ts";
import { Erasures } from "./erasures.ts";
import { type HoldRecord, type Holds, holdOf, holdRow } from "./holds.ts";
import { decodeRecord, destructionOf } from "./record.ts";
import { Retention } from "./retention.ts";
import { OwnEntries } from "./own-entries.ts";
import { Promises } from "./promises.ts";
import { type ApprovedRules, changedRules } from "./rules-in-force.ts";
import { assertUuidV7, lineOf } from "./inputs.ts";
import { type PersonTag, type PreparedPerson, Subjects, unknownSubject } from "./subjects.ts";

const RUN_INTERVAL_MS = 3_600_000;
/** After a failure that need not last. */
const RETRY_MS = 60_000;
/** A check that finds what it should is logged once a day. */
const CHECK_INTERVAL_MS = 86_400_000;
const DESTRUCTIONS_MAX = 1000;
const TAGS_NAMED_MAX = 400;
/** With contents of 32 KiB each it is some megabytes. */
const EXPORTED_AT_ONCE = 64;
const CASE_CHARS_MAX = 128;
const REASON_CHARS_MAX = 1024;

export interface DispositionOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly sequencer: Sequencer;
  readonly chainEnds: ChainEnds;
  readonly published: Published;
  readonly reader: LogReader;
  readonly clock: LogClock;
  readonly approved: ApprovedRules;
  readonly holds: Holds;
  readonly awaited: EntryState;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  readonly finalOn: (now: number) => string;
  /** The rules as their file says now; `undefined` where there is none. */
  readonly proposedRules: () => Promise<string | undefined>;
  /** Notes whose batches are taken under other rules. @throws {LogError} Where nothing can be appended. */
  readonly reportSenderKeys: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly logger: LogLogger;
}

export class LogDisposition implements Disposition {
  readonly #options: DispositionOptions;
  readonly #destructions: Destructions;
  readonly #retention: Retention;
  readonly #erasures: Erasures;
  readonly #subjects: Subjects;
  /** The digest of a file of rules that is not the approved one. */
  #unapproved: string | undefined;
  /** Whether the rules on the disk are other ones than those that hold. */
  #areChanged = false;
  #checkedAt = -Infinity;
  #background: Promise<void> = Promise.resolve();

  constructor(options: DispositionOptions) {
    this.#options = options;
    const rules = (): Rules => options.approved.rules;
    this.#subjects = new Subjects(options);
    this.#destructions = new Destructions({
      ...options,
      onDone: (records) => void this.#retention.prune(records).catch((cause: unknown) => this.#warn(cause)),
    });
    this.#retention = new Retention({
      ...options,
      destructions: this.#destructions,
      rules,
      promises: new Promises({ ...options, size: () => options.sequencer.range.size }),
      beforeOrders: async () => {
        await options.approved.assertRest(new OwnEntries(options), { hasTime: false });
        const { index, text } = options.approved.inForce;
        if (index === undefined) await this.#approve({ text });
        else if (!(await options.sequencer.alone(async () => this.#areApproved()))) throw changedRules(index);
      },
    });
    this.#erasures = new Erasures({
      ...options,
      destructions: this.#destructions,
      subjects: this.#subjects,
      rules,
    });
  }

  /**
   * Completes what was interrupted, before anything else is logged; then the rest runs by itself. Call before the
   * sequencer is released.
   */
  begin(): void {
    this.#background = this.#run().catch((cause: unknown) => this.#warn(cause));
  }

  async #run(): Promise<void> {
    const { sequencer, signal } = this.#options;
    try {
      const resumed = sequencer.alone(async (turn) => this.#destructions.resume(turn));
      // At once behind it, so that whatever is logged is logged under rules that are in the log.
      const approved = this.#approveProposed().catch((cause: unknown) => this.#warn(cause));
      await resumed;
      await approved;
    } catch (cause) {
      // What is being retired was measured at this size: nothing may be logged before it is through.
      const text = `an erasure that was interrupted could not be completed: ${messageOf(cause)}; start the log again`;
      sequencer.stop(new LogError("log-stopped", text, { cause }));
      return;
    }
    this.#destructions.start();
    for (const step of this.#steps()) await this.#untilDone(step);
    while (!signal.aborted) {
      await pause(RUN_INTERVAL_MS, signal);
      await this.#untilDone(async () => this.#look());
    }
  }

  /** What a start does, one after the other. */
  #steps(): readonly (() => Promise<unknown>)[] {
    return [
      async () => this.#assertApproved(),
      async () => this.#approveProposed(),
      async () => this.#destructions.destroyAgain(),
      async () => this.#retention.pruneRest(),
      async () => this.#look(),
    ];
  }

  /** Tries again for as long as the log runs. */
  async #untilDone(step: () => Promise<unknown>): Promise<void> {
    const { sequencer, signal } = this.#options;
    while (!signal.aborted && sequencer.stopped === undefined) {
      try {
        await step();
        return;
      } catch (cause) {
        this.#warn(cause);
        await pause(RETRY_MS, signal);
      }
    }
  }

  /** The defaults are logged when something is destroyed by them for the first time, not in every log there is. */
  async #approveProposed(): Promise<void> {
    const { index, text } = this.rules();
    if (index === undefined && this.#options.approved.isProposed) await this.#approve({ text });
  }

  /** A log under rules that were put back must not go on. */
  async #assertApproved(): Promise<void> {
    const { approved, sequencer } = this.#options;
    try {
      await approved.assertRest(new OwnEntries(this.#options), { hasTime: true });
    } catch (cause) {
      if (!(cause instanceof LogError) || cause.code === "log-closed") throw cause;
      sequencer.stop(cause);
    }
  }

  async #look(): Promise<void> {
    const proposed = await this.#options.proposedRules();
    await this.#compare(proposed ?? this.rules().text, proposed !== undefined);
    await this.#retention.endLifted();
    await this.runRetention();
    // Last: an erasure that cannot be carried out must not keep anything else from being destroyed.
    await this.#erasures.resumeHeld();
  }

  async settled(): Promise<void> {
    await this.#background;
    await this.#destructions.settled();
    await this.#retention.settled();
  }

  #warn(cause: unknown): void {
    if (this.#options.signal.aborted) return;
    this.#options.logger.warn("retention and erasure did not come to their end; they are tried again", {
      message: messageOf(cause),
    });
  }

  /** What an operator should see to. */
  troubles(): Reason[] {
    const reasons: Reason[] = [...this.#retention.troubles()];
    if (this.#areChanged) {
      const message =
        "the rules on the disk are not those that were approved: nothing is destroyed; stop the log and run fsck --repair";
      reasons.push({ code: "rules-row-mismatch", message });
    }
    if (this.#unapproved !== undefined) {
      const message = `the file of rules is not the one that was approved (its digest is ${this.#unapproved}); apply it, or put the approved one back`;
      reasons.push({ code: "rules-not-approved", message });
    }
    return reasons;
  }

  rules(): RulesInForce {
    return this.#options.approved.inForce;
  }

  async rulesOf(digest: string): Promise<ApprovedText> {
    return this.#options.approved.textOf(digest);
  }

  async applyRules(input: Ordered & { readonly text: string }): Promise<Acknowledgement> {
    const answer = await this.#approve(input);
    this.#unapproved = undefined;
    return answer;
  }

  async #approve(input: Partial<Ordered> & { readonly text: string }): Promise<Acknowledgement> {
    const { approved, sequencer, reportSenderKeys } = this.#options;
    const answer = await sequencer.alone(async (turn) => {
      const approval = approved.approve(input);
      const [taken] = await turn.reportAll([approval.event], ([index = 0]) => approval.rows(index));
      if (taken === undefined) throw new LogError("log-stopped", "the rules could not be logged");
      approval.took(taken.index);
      return taken;
    });
    // The rules hold all the same; what could not be noted now, the next start notes.
    await reportSenderKeys().catch((cause: unknown) => this.#warn(cause));
    return answer;
  }

  async checkRules(text: string): Promise<boolean> {
    // Within a turn: the entry must not stand behind one that approves others.
    return this.#options.sequencer.alone(async (turn) => {
      const { digest, index } = this.rules();
      const held = rulesDigest(utf8(text)) === digest && (await this.#areApproved());
      const context = { check: "rules", digest: rulesDigest(utf8(text)), approved: index ?? null, held };
      await turn.reportAll([{ type: "log.check", outcome: held ? "success" : "failure", context }]);
      return held;
    });
  }

  /**
   * Whether the rules in force are those that their entry approved, and those on the disk: whoever can write there can
   * change them, for the next start. To be asked within a turn: to approve others changes both.
   */
  async #areApproved(): Promise<boolean> {
    const { digest, index } = this.rules();
    const { reader, approved } = this.#options;
    if (!(await approved.areStored())) return false;
    if (index === undefined) return true;
    try {
      const { event } = await reader.open(index, await reader.leaf(index));
      return event.type === "log.rules" && event.context?.["digest"] === digest;
    } catch (error) {
      // Then nothing tells.
      if (error instanceof LogError && error.code === "key-lost") return true;
      throw error;
    }
  }

  /** Logs what is new about the rules, and once a day that nothing is, where a file says which they should be. */
  async #compare(text: string, isFile: boolean): Promise<void> {
    const digest = rulesDigest(utf8(text));
    const areChanged = !(await this.#options.sequencer.alone(async () => this.#areApproved()));
    const unapproved = digest === this.rules().digest ? undefined : digest;
    const isNew = unapproved !== this.#unapproved || areChanged !== this.#areChanged;
    const now = this.#options.now();
    if (!isNew && (!isFile || now - this.#checkedAt < CHECK_INTERVAL_MS)) return;
    // Logged first: what status tells is in the log.
    await this.checkRules(text);
    this.#unapproved = unapproved;
    this.#areChanged = areChanged;
    this.#checkedAt = now;
  }

  async erase(input: EraseInput): Promise<Destruction> {
    return destructionOf(await this.#erasures.erase(input));
  }

  async destructions(
    input: { readonly limit?: number; readonly before?: string } = {},
  ): Promise<readonly Destruction[]> {
    const { limit = 100, before } = input;
    const range = {
      reverse: true,
      limit: Math.min(limit, DESTRUCTIONS_MAX),
      ...(before === undefined ? {} : { lt: before }),
    };
    const found: Destruction[] = [];
    for await (const { value } of this.#options.storage.scanRows(TABLE.destruction, range))
      found.push(destructionOf(decodeRecord(value)));
    return found;
  }

  async destruction(request: string): Promise<Destruction> {
    return destructionOf(await this.#destructions.read(request));
  }

  async waitForDestruction(request: string, timeoutMs: number, signal?: AbortSignal): Promise<Destruction> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = await this.destruction(request);
      const left = deadline - performance.now();
      if (found.state === "done" || left <= 0 || signal?.aborted === true) return found;
      await this.#destructions.changes.wait(left, signal);
    }
  }

  async setHold(input: SetHoldInput): Promise<Hold> {
    const { sequencer, holds, now, random } = this.#options;
    if (input.id !== undefined) assertUuidV7("id", input.id);
    const { by, approvedBy, reason, selectors } = input;
    const name = lineOf("case", input.case, CASE_CHARS_MAX);
    if (reason !== undefined) lineOf("reason", reason, REASON_CHARS_MAX);
    const { subject, class: retentionClass, from, to, operation } = selectors;
    if ([subject, retentionClass, from, to, operation].every((selector) => selector === undefined))
      throw new RangeError("selectors: expected at least one of subject, class, from, to, operation");
    const prepared = subject === undefined ? undefined : await this.#subjects.prepare(subject, sequencer.range.size);
    return sequencer.alone(async (turn) => {
      const known = input.id === undefined ? undefined : await holds.read(input.id);
      if (known !== undefined) return holdOf(known);
      // Within the turn: before it, an erasure may still have come in between.
      const person = prepared === undefined ? undefined : await this.#personOf(prepared, turn.size);
      holds.assertRoom();
      const setAt = now();
      const id = input.id ?? newEventId(setAt, random(16));
      let record: HoldRecord = {
        id,
        case: name,
        setBy: by,
        setAt,
        setIndex: 0,
        ...(reason === undefined ? {} : { reason }),
        ...(person === undefined ? {} : { person }),
        ...(retentionClass === undefined ? {} : { class: retentionClass }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(operation === undefined ? {} : { operation }),
      };
      const context = {
        hold: id,
        state: "set",
        case: name,
        selectors: {
          ...(person === undefined ? {} : { subject: true }),
          ...(retentionClass === undefined ? {} : { class: retentionClass }),
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
          ...(operation === undefined ? {} : { operation }),
        },
        by,
        ...(approvedBy === undefined ? {} : { approvedBy }),
        ...(reason === undefined ? {} : { reason }),
      };
      await turn.reportAll([{ type: "log.hold", context }], ([index = 0]) => {
        record = { ...record, setIndex: index };
        return [holdRow(record)];
      });
      holds.note(record);
      return holdOf(record);
    });
  }

  /** What the key store calls a person about whom something is held. @throws {LogError} `subject-unknown` */
  async #personOf(prepared: PreparedPerson, size: number): Promise<string> {
    const reference = this.#options.secrets.existingReference(prepared.id);
    const tags = await this.#subjects.tagsNow(prepared, size);
    if (reference === undefined || tags.length === 0) throw unknownSubject();
    return encodeHex(reference);
  }

  async liftHold({ id, by, approvedBy }: Ordered & { readonly id: string }): Promise<Hold> {
    const { sequencer, holds, now } = this.#options;
    const lifted = await sequencer.alone(async (turn) => {
      const before = await holds.read(id);
      if (before === undefined) throw new LogError("hold-unknown", `there is no hold ${id}`, { details: { hold: id } });
      if (before.liftedAt !== undefined) return before;
      const context = {
        hold: id,
        state: "lifted",
        case: before.case,
        by,
        ...(approvedBy === undefined ? {} : { approvedBy }),
      };
      let record: HoldRecord = before;
      await turn.reportAll([{ type: "log.hold", context }], ([index = 0]) => {
        record = { ...before, liftedBy: by, liftedAt: now(), liftedIndex: index };
        return [holdRow(record)];
      });
      holds.note(record);
      return record;
    });
    // What it kept beyond its time goes at once.
    await this.#retention.endLifted();
    await this.runRetention();
    await this.#erasures.resumeHeld();
    return holdOf(lifted);
  }

  async holds({ lifted = false }: { readonly lifted?: boolean } = {}): Promise<readonly Hold[]> {
    if (!lifted) return this.#options.holds.active.map(holdOf);
    const all: Hold[] = [];
    for await (const record of this.#options.holds.all()) all.push(holdOf(record));
    return all;
  }

  classDays(): AsyncIterable<ClassDay> {
    return this.#retention.classDays();
  }

  async runRetention(): Promise<RetentionRun> {
    return this.#retention.run();
  }

  async *exportSubject(input: {
    readonly subject: string;
    readonly reader: string;
    readonly purpose?: string;
  }): AsyncGenerator<ExportedEntry> {
    const { sequencer, reader } = this.#options;
    const tags = await this.#subjects.tagsOf(input.subject);
    const kept = await this.#subjects.keptOf(input.subject);
    if (tags.length + kept.length === 0) throw unknownSubject();
    const indexes = await this.#indexesOf(tags, kept);
    await sequencer.report({
      type: "log.export",
      actor: { type: "credential", id: input.reader },
      ...(input.purpose === undefined ? {} : { reason: input.purpose }),
      context: {
        count: indexes.length,
        tags: tags.slice(0, TAGS_NAMED_MAX).map(({ tag }) => encodeHex(tag)),
        ...(tags.length > TAGS_NAMED_MAX ? { moreTags: tags.length - TAGS_NAMED_MAX } : {}),
      },
    });
    for (let from = 0; from < indexes.length; from += EXPORTED_AT_ONCE)
      yield* exportedOf(reader, indexes.slice(from, from + EXPORTED_AT_ONCE));
  }

  async #indexesOf(tags: readonly PersonTag[], kept: readonly number[]): Promise<number[]> {
    const indexes = new Set<number>(kept);
    for (const tag of tags) for await (const { index } of this.#subjects.walk(tag)) indexes.add(index);
    return [...indexes].toSorted((a, b) => a - b);
  }
}

/** Read in one go: of somebody who is active they lie near each other. */
async function* exportedOf(reader: LogReader, indexes: readonly number[]): AsyncGenerator<ExportedEntry> {
  const [leaves, sealed] = await Promise.all([reader.leaves(indexes), reader.sealedRows(indexes)]);
  for (const [at, leaf] of leaves.entries()) {
    const index = indexes[at] ?? 0;
    const opening = await openIfThere(reader, { index, leaf, sealed: sealed[at] });
    if (opening === undefined) continue;
    yield { index, leaf, opening, receipt: await receiptIfReady(reader, index, leaf) };
  }
}

interface EntryToOpen {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly sealed: Uint8Array | undefined;
}

async function openIfThere(reader: LogReader, { index, leaf, sealed }: EntryToOpen): Promise<Uint8Array | undefined> {
  try {
    return (await reader.open(index, leaf, sealed)).opening;
  } catch (error) {
    // What another's erasure took: the person was the actor, the event is about somebody else.
    if (error instanceof LogError && error.code === "erased") return undefined;
    throw error;
  }
}

async function receiptIfReady(reader: LogReader, index: number, leaf: Uint8Array): Promise<string | undefined> {
  try {
    return await reader.receipt(index, "minimal", leaf);
  } catch (error) {
    if (error instanceof LogError && error.code === "receipt-not-ready") return undefined;
    throw error;
  }
}
