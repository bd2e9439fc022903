/**
 * Reads large submissions in a thread of its own: while it parses and checks one, the log writes another, and small
 * requests are answered. docs/decisions/0068-large-submissions-in-a-thread.md
 */
import { Worker } from "node:worker_threads";
import type { Preparation, Prepared, Refused } from "@tallystick/log";
import { READY, type ReadingAnswer, type ReadingJob, type ReadingResult, receivedError } from "./reading-messages.ts";
import { ServerError } from "./error.ts";
import type { EventMediaType } from "./submission.ts";

/** 350 events or so. What is smaller is read sooner than another thread has heard of it. */
const BODY_BYTES_MIN = 65_536;
/** With so many before it, a body is read sooner here. */
const WAITING_MAX = 8;

/** What is read lives shortly: with more room it would only be collected later. */
const YOUNG_GENERATION_MB = 24;

/** Beside this module, as it is: source or built. */
const THREAD = new URL(
  import.meta.url.endsWith(".ts") ? "./reading-thread.ts" : "./reading-thread.js",
  import.meta.url,
);

export interface ReadSubmission {
  readonly prepared: Prepared | Refused;
  /** Whether it was one event, and no list. */
  readonly single: boolean;
}

export interface SubmissionReaderOptions {
  /** 65,536 by default. */
  readonly bodyBytesMin?: number;
  /** 8 by default. */
  readonly waitingMax?: number;
}

export class SubmissionReader {
  readonly #bodyBytesMin: number;
  readonly #waitingMax: number;
  #worker: Worker | undefined;
  #isReady = false;
  #isClosed = false;
  #last = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<ReadingResult>>();

  constructor({ bodyBytesMin = BODY_BYTES_MIN, waitingMax = WAITING_MAX }: SubmissionReaderOptions = {}) {
    this.#bodyBytesMin = bodyBytesMin;
    this.#waitingMax = waitingMax;
  }

  /** Whether a body is better read by {@link SubmissionReader.read}. The first one starts the thread, and is not. */
  takes(body: Uint8Array): boolean {
    if (body.length < this.#bodyBytesMin || this.#isClosed) return false;
    this.#worker ??= this.#start();
    return this.#isReady && this.#waiting.size < this.#waitingMax;
  }

  /**
   * Reads and prepares a submission. The bytes are handed over.
   *
   * @throws {ServerError | EventError} As readSubmission() does. @throws {Error} The thread ended.
   */
  async read(body: Uint8Array, mediaType: EventMediaType, preparation: Preparation): Promise<ReadSubmission> {
    const number = (this.#last += 1);
    const waiting = Promise.withResolvers<ReadingResult>();
    this.#waiting.set(number, waiting);
    const bytes = ownBytes(body);
    const job: ReadingJob = { number, body: bytes, mediaType, preparation };
    this.#worker?.postMessage(job, [bytes.buffer]);
    const result = await waiting.promise;
    if (result.kind === "prepared") return result;
    if (result.kind === "failed") throw new Error(`a submission could not be read: ${result.message}`);
    const error = receivedError(result.error);
    if (result.kind === "unreadable" || error instanceof ServerError) throw error;
    return { prepared: { kind: "refused", error }, single: false };
  }

  /** Once nothing is read any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(THREAD, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
    worker.on("message", (answer: ReadingAnswer | typeof READY) => {
      if (answer === READY) {
        this.#isReady = true;
        return;
      }
      this.#waiting.get(answer.number)?.resolve(answer.result);
      this.#waiting.delete(answer.number);
    });
    worker.once("error", (error) => this.#fail(error));
    worker.once("exit", (code) => this.#fail(new Error(`the thread that reads submissions ended with ${code}`)));
    return worker;
  }

  /** Where nobody wanted it to end it is as any error that nobody catches, which ends the process. */
  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    if (this.#isClosed) return;
    this.#isClosed = true;
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Those of a body may lie among others. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const isOwn = bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length;
  return isOwn ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
