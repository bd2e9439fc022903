/**
 * One log, as its witness sees it: takes one checkpoint after the other, so that comparing and persisting are one step.
 *
 * The state in memory is that on disk. When a write fails nobody knows which of the two it is, so it is dropped, and read
 * again before the next decision.
 */
import { type Signer, encodeBase64, formatNote } from "@tallystick/core";
import type { KnownLog } from "./config.ts";
import { cosignCheckpoint, nextTime } from "./cosign.ts";
import { type Admission, type Refusal, decideUpdate } from "./decide.ts";
import { WitnessError, type WitnessErrorCode, messageOf } from "./error.ts";
import type { EvidenceStore } from "./evidence.ts";
import type { WitnessLogger } from "./logger.ts";
import { type Fetch, fetchPublishedHead } from "./published-head.ts";
import type { AddCheckpointRequest, SubmittedNote } from "./request.ts";
import { RequestBudget } from "./request-budget.ts";
import { type OwnHead, describeRollback } from "./rollback.ts";
import type { OriginState, StateStore } from "./state.ts";
import type { StopStore } from "./stop-store.ts";
import { TurnQueue } from "./turn-queue.ts";
import { type VerifiedLine, firstOfEachKey, verifyLines } from "./verified-line.ts";

/** What all logs of a witness share. */
export interface Shared {
  readonly store: StateStore;
  readonly stops: StopStore;
  readonly evidence: EvidenceStore;
  readonly signers: readonly Signer[];
  readonly now: () => number;
  readonly fetch: Fetch;
  readonly fetchTimeoutMs: number;
  readonly closing: AbortSignal;
  readonly logger: WitnessLogger;
}

/** Why a log is not cosigned for, or was not the last time. */
export interface Trouble {
  readonly code: WitnessErrorCode;
  readonly origin: string;
  readonly message: string;
}

export interface OriginWorkerOptions {
  readonly origin: string;
  readonly originHash: string;
  readonly state: OriginState | undefined;
  readonly waitingMax: number;
}

/** What came of a checkpoint or a subtree. */
export type Decided = { readonly kind: "cosigned"; readonly lines: string } | Refusal;

interface Submission {
  readonly request: AddCheckpointRequest;
  readonly admission: Admission;
}

export class OriginWorker {
  readonly origin: string;
  readonly #shared: Shared;
  readonly #hash: string;
  readonly #queue: TurnQueue;
  #state: OriginState | undefined;
  /** Whether `#state` may differ from the disk. It still is the newest that was served. */
  #dropped = false;
  #checked: Promise<void> = Promise.resolve();
  #checking = false;
  #failure: Trouble | undefined;
  #budget: { readonly qpd: number; readonly left: RequestBudget } | undefined;

  constructor(shared: Shared, { origin, originHash, state, waitingMax }: OriginWorkerOptions) {
    this.#shared = shared;
    this.origin = origin;
    this.#hash = originHash;
    this.#state = state;
    this.#queue = new TurnQueue(waitingMax);
  }

  /** The newest state that was durable. */
  get state(): OriginState | undefined {
    return this.#state;
  }

  /** Whether the log is still being asked what it has published. */
  get isChecking(): boolean {
    return this.#checking;
  }

  get trouble(): Trouble | undefined {
    const stopped = this.#shared.stops.reasonFor(this.#hash, this.#state);
    return stopped === undefined ? this.#failure : { code: "state-rolled-back", origin: this.origin, message: stopped };
  }

  /** Takes up how often a day the log may grow. What it has used up today stays so, unless the number changes. */
  limit({ qpd }: KnownLog): void {
    if (qpd === this.#budget?.qpd) return;
    this.#budget = qpd === undefined ? undefined : { qpd, left: new RequestBudget(qpd, this.#shared.now()) };
  }

  /** Asks the log, where its URL is known, what it has published. Nothing is cosigned before it answers, or fails to. */
  check(log: KnownLog): void {
    const { url } = log;
    if (url === undefined) return;
    this.#checking = true;
    this.#checked = this.#checkPublished({ ...log, url }).finally(() => {
      this.#checking = false;
    });
  }

  /** Takes an admitted checkpoint in its turn. @throws {WitnessError} why nothing can be signed now. */
  async submit(submission: Submission): Promise<Decided> {
    if (this.#queue.isFull) throw new WitnessError("log-overloaded", "too many requests for this log are waiting");
    return this.#queue.run(() => this.#update(submission));
  }

  /**
   * Stops signing for the log where a note bears a cosignature of ours that is ahead of our state.
   *
   * @throws {WitnessError} `state-rolled-back`: so it is, or was before.
   */
  async assertNotAhead({
    request,
    ownLines,
  }: {
    readonly request: SubmittedNote;
    readonly ownLines: readonly VerifiedLine[];
  }): Promise<void> {
    const { checkpoint } = request;
    await this.#stopIfAhead({ checkpoint, ownLines }, () => noteOf(request, ownLines));
    const reason = this.#shared.stops.reasonFor(this.#hash, this.#state);
    if (reason !== undefined) throw new WitnessError("state-rolled-back", reason);
  }

  /** Resolves when everything submitted and asked has ended. */
  async idle(): Promise<void> {
    await this.#checked;
    await this.#queue.idle();
  }

  async #update({ request, admission }: Submission): Promise<Decided> {
    await this.#checked;
    const state = await this.#reloadIfDropped();
    await this.assertNotAhead({ request, ownLines: admission.ownLines });
    const decision = decideUpdate({ request, state });
    if (decision.kind === "refuse") {
      await this.#keepEvidence({ decision, submission: { request, admission }, state });
      return decision;
    }
    const { now, signers } = this.#shared;
    const time = this.#failing(() => nextTime(now(), state));
    if (request.checkpoint.size > (state?.checkpoint.size ?? 0n)) this.#assertBudget();
    const { next, lines } = cosignCheckpoint({ request, logLines: admission.logLines, state, time, signers });
    await this.#save(next);
    return { kind: "cosigned", lines };
  }

  #assertBudget(): void {
    const waitMs = this.#budget?.left.take(this.#shared.now());
    if (this.#budget === undefined || waitMs === undefined) return;
    const { qpd } = this.#budget;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    const message = `this log has had its ${qpd} larger checkpoints a day; the next one in ${retryAfterSeconds} s`;
    throw new WitnessError("log-overloaded", message, { details: { retryAfterSeconds } });
  }

  async #reloadIfDropped(): Promise<OriginState | undefined> {
    if (!this.#dropped) return this.#state;
    try {
      this.#state = await this.#shared.store.load(this.#hash);
      this.#dropped = false;
      return this.#state;
    } catch (cause) {
      throw this.#fail(cause instanceof WitnessError ? cause : persistFailed(cause));
    }
  }

  async #save(next: OriginState): Promise<void> {
    try {
      await this.#shared.store.save(next);
    } catch (cause) {
      // The state is dropped before anybody can ask again; the cosignatures go with it.
      this.#dropped = true;
      throw this.#fail(persistFailed(cause));
    }
    this.#state = next;
    this.#failure = undefined;
  }

  /** Our own signature proves it, whoever shows it. In memory the stop holds even where it cannot be written. */
  async #stopIfAhead(head: OwnHead, textOf: () => string): Promise<void> {
    const { stops, logger } = this.#shared;
    const reason = describeRollback(head, this.#state);
    if (reason === undefined || stops.reasonFor(this.#hash, this.#state) !== undefined) return;
    logger.error("stopped signing for a log: the state is an older copy", { origin: this.origin, reason });
    try {
      await stops.stop({ ...head, note: textOf() });
    } catch (cause) {
      logger.error("could not write down that signing has stopped", { origin: this.origin, error: messageOf(cause) });
    }
  }

  async #checkPublished(log: KnownLog & { readonly url: string }): Promise<void> {
    const { fetch, fetchTimeoutMs: timeoutMs, closing: signal, signers, logger } = this.#shared;
    try {
      const { text, note, checkpoint } = await fetchPublishedHead({ log, fetch, timeoutMs, signal });
      const ownVerifiers = signers.map(({ verifier }) => verifier);
      const { lines: ownLines } = verifyLines(note, ownVerifiers);
      await this.#stopIfAhead({ checkpoint, ownLines }, () => text);
    } catch (cause) {
      logger.warn("could not compare with what the log has published", {
        origin: this.origin,
        error: messageOf(cause),
      });
    }
  }

  async #keepEvidence({
    decision,
    submission,
    state,
  }: {
    decision: Refusal;
    submission: Submission;
    state: OriginState | undefined;
  }): Promise<void> {
    const { contradiction } = decision;
    if (contradiction === undefined || state === undefined) return;
    const { evidence, logger } = this.#shared;
    const { checkpoint } = submission.request;
    const details = {
      origin: this.origin,
      cosigned: { size: String(state.checkpoint.size), rootHash: encodeBase64(state.checkpoint.rootHash) },
      refused: { size: String(checkpoint.size), rootHash: encodeBase64(checkpoint.rootHash) },
    };
    try {
      const { origin } = this;
      const refused = noteOf(submission.request, submission.admission.logLines);
      const path = await evidence.keep({ origin, cosigned: state.note, refused, proof: contradiction.proof });
      if (path !== undefined) logger.error("a log has signed two heads that do not go together", { ...details, path });
    } catch (cause) {
      logger.error("could not keep evidence against a log", { ...details, error: messageOf(cause) });
    }
  }

  #failing<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      if (cause instanceof WitnessError) throw this.#fail(cause);
      throw cause;
    }
  }

  #fail(error: WitnessError): WitnessError {
    this.#failure = { code: error.code, origin: this.origin, message: error.message };
    this.#shared.logger.error("could not cosign", { ...this.#failure });
    return error;
  }
}

function noteOf({ note: { text } }: SubmittedNote, lines: readonly VerifiedLine[]): string {
  return formatNote({ text, signatures: firstOfEachKey(lines).map(({ line }) => line) });
}

function persistFailed(cause: unknown): WitnessError {
  return new WitnessError("persist-failed", `the state could not be written: ${messageOf(cause)}`, { cause });
}
