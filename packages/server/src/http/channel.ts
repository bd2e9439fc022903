/**
 * Messages between two threads, in their order: what is sent in one turn of the event loop goes together, since to wake the
 * other thread takes as long as to handle a request.
 */

/** Bytes that travel beside the messages of one batch: from where to where they are there. */
export type Span = readonly [start: number, end: number];

/** The bytes of a span; where they are little of their batch, a copy, which keeps nothing else of it in memory. */
export function bytesIn(span: Span, batch: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const [start, end] = span;
  return 2 * (end - start) < batch.length ? batch.slice(start, end) : batch.subarray(start, end);
}

interface Batch {
  readonly messages: readonly unknown[];
  /** Of all messages of the batch, one after the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a worker and a thread's port to its parent have in common. */
export interface ThreadPort {
  postMessage(value: Batch, transfer: readonly ArrayBuffer[]): void;
  on(event: "message", listener: (value: Batch) => void): unknown;
}

/** So many go at once: the other thread is to begin while this one is still at it. */
const MESSAGES_MAX = 24;

/** @typeParam Sent - Arrays of what structured cloning copies. */
export class Channel<Sent, Received> {
  readonly #port: ThreadPort;
  #messages: Sent[] = [];
  #parts: Uint8Array[] = [];
  #size = 0;
  #isFlushSet = false;

  /** Hears of `messages` and their `bytes`, in which their spans are. */
  constructor(port: ThreadPort, onBatch: (messages: readonly Received[], bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#port = port;
    // Sent by the channel at the other end, in this process.
    port.on("message", ({ messages, bytes }) => onBatch(messages as readonly Received[], bytes));
  }

  send(message: Sent): void {
    this.#messages.push(message);
    if (this.#messages.length >= MESSAGES_MAX) this.#flush();
    else if (!this.#isFlushSet) {
      this.#isFlushSet = true;
      setImmediate(() => {
        this.#isFlushSet = false;
        if (this.#messages.length > 0) this.#flush();
      });
    }
  }

  /**
   * Takes bytes along with the next message, which has to be sent without a wait between. They must not change in this turn
   * of the event loop.
   */
  attach(part: Uint8Array): Span {
    const start = this.#size;
    this.#parts.push(part);
    this.#size += part.length;
    return [start, this.#size];
  }

  #flush(): void {
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const messages = this.#messages;
    this.#messages = [];
    this.#parts = [];
    this.#size = 0;
    this.#port.postMessage({ messages, bytes }, [bytes.buffer]);
  }
}
