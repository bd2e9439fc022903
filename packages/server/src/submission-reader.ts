/**
 * Reads large submissions in a thread of its own: while it parses and checks one, the log writes another, and small
 * requests are answered. docs/decisions/0068-large-submissions-in-a-thread.md
 */
import type { Worker } from "node:worker_threads";
import type { Preparation, Prepared, Refused } from "@tallystick/log";
import { READY, type ReadingAnswer, type ReadingJob, type ReadingResult, receivedError } from "./reading-messages.ts";
import { ServerError } from "./error.ts";
import type { EventMediaType } from "./submission.ts";
import { endProcess, startThread, threadModule } from "./thread.ts";

/** 350 events or so. What is smaller is read sooner than another thread has heard of it. */
const BODY_BYTES_MIN = 65_536;
/** With so many before it, a body is read sooner here. */
const WAITING_MAX = 8;

const THREAD = threadModule("reading-thread", import.meta.url);

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
  /** What the thread runs; by default what is meant for it. */
  readonly thread?: URL;
  /** Told why there is no thread, once. By default nobody is. */
  readonly onTrouble?: (error: unknown) => void;
}

/** A submission to be read. */
export interface Reading {
  readonly writer: string;
  /** Handed over. */
  readonly body: Uint8Array;
  readonly mediaType: EventMediaType;
  readonly preparation: Preparation;
}

interface Waiting extends PromiseWithResolvers<ReadingResult> {
  readonly writer: string;
}

export class SubmissionReader {
  readonly #bodyBytesMin: number;
  readonly #waitingMax: number;
  readonly #thread: URL;
  readonly #onTrouble: (error: unknown) => void;
  #worker: Worker | undefined;
  #isReady = false;
  #isClosed = false;
  #last = 0;
  readonly #waiting = new Map<number, Waiting>();
  /** Of how many submissions that wait each is the writer. */
  readonly #writers = new Map<string, number>();
  /** Who wait until nothing else does. */
  readonly #idle: (() => void)[] = [];

  constructor(options: SubmissionReaderOptions = {}) {
    const { bodyBytesMin = BODY_BYTES_MIN, waitingMax = WAITING_MAX, thread = THREAD } = options;
    this.#bodyBytesMin = bodyBytesMin;
    this.#waitingMax = waitingMax;
    this.#thread = thread;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
  }

  /**
   * Whether a body is to be read by {@link SubmissionReader.read}. The first large one starts the thread, and is not. As long as one of a writer
   * waits, whatever else that writer sends goes the same way: it is logged in the order in which it came.
   */
  takes(body: Uint8Array, writer: string): boolean {
    if (this.#isClosed) return false;
    if (this.#writers.has(writer)) return true;
    if (body.length < this.#bodyBytesMin) return false;
    if (this.#worker === undefined) this.#start();
    return this.#isReady && this.#waiting.size < this.#waitingMax;
  }

  /**
   * Reads and prepares a submission.
   *
   * @throws {ServerError | EventError} As readSubmission() does. @throws {Error} The thread ended.
   */
  async read({ writer, body, mediaType, preparation }: Reading): Promise<ReadSubmission> {
    const number = (this.#last += 1);
    const waiting = { writer, ...Promise.withResolvers<ReadingResult>() };
    const bytes = ownBytes(body);
    const job: ReadingJob = { number, body: bytes, mediaType, preparation };
    this.#worker?.postMessage(job, [bytes.buffer]);
    this.#waiting.set(number, waiting);
    this.#writers.set(writer, (this.#writers.get(writer) ?? 0) + 1);
    const result = await waiting.promise;
    if (result.kind === "prepared") return result;
    if (result.kind === "failed") throw new Error(`a submission could not be read: ${result.message}`);
    const error = receivedError(result.error);
    if (result.kind === "unreadable" || error instanceof ServerError) throw error;
    return { prepared: { kind: "refused", error }, single: false };
  }

  /** Once nothing waits to be read, and who waited for it has gone on; or after so long. */
  async idle(timeoutMs: number): Promise<void> {
    if (this.#waiting.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      this.#idle.push(resolve);
      await promise;
      clearTimeout(timer);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** What still waits is refused. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
  }

  #start(): void {
    try {
      const worker = startThread(this.#thread);
      this.#worker = worker;
      worker.on("message", (answer: ReadingAnswer | typeof READY) => {
        if (answer === READY) this.#isReady = true;
        else this.#settle(answer);
      });
      worker.once("error", (error) => this.#fail(error));
      worker.once("messageerror", (error) => this.#fail(error));
      worker.once("exit", (code) => this.#fail(new Error(`the thread that reads submissions ended with ${code}`)));
    } catch (error) {
      this.#fail(error);
    }
  }

  #settle({ number, result }: ReadingAnswer): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    const others = (this.#writers.get(waiting.writer) ?? 0) - 1;
    if (others > 0) this.#writers.set(waiting.writer, others);
    else this.#writers.delete(waiting.writer);
    waiting.resolve(result);
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /**
   * Without it all is read as before. But one that ended while it was at work, and nobody wanted it to, is as any error that
   * nobody catches, which ends the process.
   */
  #fail(error: unknown): void {
    const isStarting = !this.#isReady;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#writers.clear();
    for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (isStarting) this.#onTrouble(error);
    else endProcess(error);
  }
}

/** Those of a body may lie among others. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const isOwn = bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length;
  return isOwn ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
