/** What waits to be sequenced: in order, bounded in entries and bytes. */
import type { Row } from "@tallystick/storage";
import type { BatchCandidates, OwnEvent, SentCandidate } from "./candidate.ts";
import { LogError } from "./error.ts";
import type { Acknowledgement, BatchAcknowledgement } from "./log-api.ts";

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export type Submission =
  | ({ readonly kind: "unsigned"; readonly candidates: readonly SentCandidate[] } & Settle<readonly Acknowledgement[]>)
  | ({
      readonly kind: "signed";
      readonly writer: string;
      readonly batch: BatchCandidates;
    } & Settle<BatchAcknowledgement>)
  | ({
      readonly kind: "own";
      /** One at least; they stand side by side in one commit. */
      readonly events: readonly OwnEvent[];
      /** What else is written in their commit, once it is known where they stand. */
      readonly rows?: RowsBeside | undefined;
    } & Settle<readonly Acknowledgement[]>);

/** Rows that become durable together with events of the log's own. */
export type RowsBeside = (indexes: readonly number[]) => readonly Row[];

/** What one event costs beyond its bytes, roughly. */
const ENTRY_OVERHEAD_BYTES = 512;

export class SubmissionQueue {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  #waiting: Submission[] = [];
  #entries = 0;
  #bytes = 0;

  constructor({ entriesMax, bytesMax }: { readonly entriesMax: number; readonly bytesMax: number }) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get entries(): number {
    return this.#entries;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** @throws {LogError} `log-overloaded`: nothing of it was taken. */
  push(submission: Submission): void {
    const { entries, bytes } = sizeOf(submission);
    if (this.#entries + entries > this.#entriesMax || this.#bytes + bytes > this.#bytesMax) {
      throw new LogError("log-overloaded", `${this.#entries} events wait to be logged: try again in a second`, {
        details: { retryAfterSeconds: 1 },
      });
    }
    this.#entries += entries;
    this.#bytes += bytes;
    this.#waiting.push(submission);
  }

  /** The oldest submissions, up to about so many entries; one at least. */
  take(entriesMax: number): Submission[] {
    const taken: Submission[] = [];
    let entries = 0;
    for (const submission of this.#waiting) {
      const size = sizeOf(submission);
      if (taken.length > 0 && entries + size.entries > entriesMax) break;
      entries += size.entries;
      this.#entries -= size.entries;
      this.#bytes -= size.bytes;
      taken.push(submission);
    }
    this.#waiting = this.#waiting.slice(taken.length);
    return taken;
  }
}

function sizeOf(submission: Submission): { entries: number; bytes: number } {
  if (submission.kind === "own") {
    const { length } = submission.events;
    return { entries: length, bytes: length * ENTRY_OVERHEAD_BYTES };
  }
  const candidates = submission.kind === "signed" ? submission.batch.candidates : submission.candidates;
  // The event, and the opening that holds it once more.
  const bytes = candidates.reduce((sum, { eventBytes }) => sum + 2 * eventBytes.length, 0);
  return { entries: candidates.length, bytes: bytes + candidates.length * ENTRY_OVERHEAD_BYTES };
}
