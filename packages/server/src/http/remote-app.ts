/** The application of another thread, as the HTTP server of this one sees it. */
import { Socket } from "node:net";
import { type BodySink, isSmall } from "./body-source.ts";
import { Slots } from "../slots.ts";
import { type Channel, type Span, bytesIn } from "./channel.ts";
import { REQUEST_HEADERS, type Reply, type Responder, type ServerRequest } from "./request.ts";
import type { FromHttp, ToApp, ToHttp } from "./thread-messages.ts";

/** Of bodies that the application has not taken yet: from then on connections are held up. */
const ON_THE_WAY_BYTES_MAX = 8 * 1_048_576;

type Sending = Channel<FromHttp, ToHttp>;

/** A request that is not answered yet, or whose answer is still coming. */
class Call {
  readonly request: ServerRequest;
  readonly reply: PromiseWithResolvers<Reply> = Promise.withResolvers<Reply>();
  /** Once it is asked for. */
  body: SentBody | undefined;
  stop: (() => void) | undefined;
  stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Who waits for the next chunk of the answer. */
  pulled: PromiseWithResolvers<void> | undefined;

  constructor(request: ServerRequest) {
    this.request = request;
  }

  /** What still comes of the body goes nowhere. */
  close(): void {
    this.body?.close();
    this.stop?.();
  }
}

export class RemoteApp implements Responder {
  readonly #channel: Sending;
  readonly #calls = new Slots<Call>();
  readonly #connections = new WeakMap<object, number>();
  readonly #flow = new Flow(ON_THE_WAY_BYTES_MAX);
  #connectionsSeen = 0;

  constructor(channel: Sending) {
    this.#channel = channel;
  }

  async respond(request: ServerRequest): Promise<Reply> {
    const { method, path, search, connection, isLocal, isCertified } = request;
    const { announcedBytes } = request.body;
    const headers = REQUEST_HEADERS.map((name) => request.header(name));
    const from = connection === undefined ? 0 : this.#numberOf(connection);
    const call = new Call(request);
    const id = this.#calls.add(call);
    this.#channel.send(["request", id, from, isLocal, isCertified, method, path, search, headers, announcedBytes]);
    if (isSmall(announcedBytes)) this.#read(id, call);
    return call.reply.promise;
  }

  /** What the application's thread says of its requests. Of one that has ended nothing matters any more. */
  receive(message: ToApp, bytes: Uint8Array<ArrayBuffer>): void {
    if (message[0] === "taken") return this.#flow.taken(message[1]);
    const [, id] = message;
    const call = this.#calls.get(id);
    if (call === undefined) return;
    switch (message[0]) {
      case "reply":
        this.#end(id, call);
        return call.reply.resolve({ status: message[2], headers: message[3], body: bodyIn(message[4], bytes) });
      case "stream":
        return call.reply.resolve({ status: message[2], headers: message[3], body: this.#streamOf(id, call) });
      case "chunk":
        call.stream?.enqueue(bytesIn(message[2], bytes));
        return call.pulled?.resolve();
      case "done":
        this.#end(id, call);
        return call.stream?.close();
      case "failed": {
        const failure = new Error("the application failed");
        this.#end(id, call);
        call.stream?.error(failure);
        return call.reply.reject(failure);
      }
      case "read":
        return this.#read(id, call);
      case "skip":
        return call.close();
      case "watch":
        return this.#watch(id, call);
    }
  }

  #end(id: number, call: Call): void {
    this.#calls.delete(id);
    call.close();
    call.pulled?.resolve();
  }

  /** Sends the body, once. */
  #read(id: number, call: Call): void {
    if (call.body !== undefined) return;
    call.body = new SentBody(id, { channel: this.#channel, flow: this.#flow });
    try {
      call.stop = call.request.body.sendTo(call.body);
    } catch (cause) {
      // Of an address that is none the web's types give no body.
      call.body.fail(cause);
    }
  }

  #streamOf(id: number, call: Call): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        call.stream = controller;
      },
      pull: async () => {
        call.pulled = Promise.withResolvers();
        this.#channel.send(["pull", id]);
        await call.pulled.promise;
      },
      cancel: () => {
        call.stream = undefined;
        call.close();
        // The number stays taken until the other thread has done: its last word may be on the way already.
        this.#channel.send(["cancel", id]);
      },
    });
  }

  #watch(id: number, call: Call): void {
    const { request } = call;
    const tell = (): void => {
      if (this.#calls.get(id) === call) this.#channel.send(["gone", id]);
    };
    if (request.signal.aborted) tell();
    else request.signal.addEventListener("abort", tell, { once: true });
  }

  #numberOf(connection: object): number {
    const known = this.#connections.get(connection);
    if (known !== undefined) return known;
    const number = (this.#connectionsSeen += 1);
    this.#connections.set(connection, number);
    if (connection instanceof Socket) connection.once("close", () => this.#channel.send(["closed", number]));
    return number;
  }
}

function bodyIn(body: string | Span | undefined, bytes: Uint8Array<ArrayBuffer>): Reply["body"] {
  return typeof body === "object" ? bytesIn(body, bytes) : body;
}

interface SentBodyOptions {
  readonly channel: Sending;
  readonly flow: Flow;
}

/** A body on its way to the application's thread. */
class SentBody implements BodySink {
  readonly #id: number;
  readonly #options: SentBodyOptions;
  #isOpen = true;

  constructor(id: number, options: SentBodyOptions) {
    this.#id = id;
    this.#options = options;
  }

  part(bytes: Uint8Array): Promise<void> | undefined {
    if (!this.#isOpen) return undefined;
    const { channel, flow } = this.#options;
    channel.send(["part", this.#id, channel.attach(bytes)]);
    return flow.sent(bytes.length);
  }

  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.channel.send(["end", this.#id]);
  }

  fail(cause: unknown): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.channel.send(["fail", this.#id, cause instanceof Error ? cause.message : String(cause)]);
  }

  /** What still comes goes nowhere. */
  close(): void {
    this.#isOpen = false;
  }
}

/** Counts the bytes on the way to the other thread, and holds up who sends more than it takes. */
class Flow {
  readonly #bytesMax: number;
  #bytes = 0;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A promise that is kept once there is room for more; `undefined` where there is. */
  sent(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax) return undefined;
    this.#held ??= Promise.withResolvers();
    return this.#held.promise;
  }

  taken(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes > this.#bytesMax / 2) return;
    this.#held?.resolve();
    this.#held = undefined;
  }
}
