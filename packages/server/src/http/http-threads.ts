/** HTTP servers in threads of their own, and the application in this one. docs/decisions/0064-http-in-a-thread.md */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Worker } from "node:worker_threads";
import { endProcess, startThread, threadModule } from "../thread.ts";
import { Channel, bytesIn } from "./channel.ts";
import type { HttpListener, ListenOptions, ListeningAt } from "./http-server.ts";
import { RemoteRequest } from "./remote-request.ts";
import type { Reply, Responder } from "./request.ts";
import type { FromHttp, HttpThreadData, OfRequest, ToHttp } from "./thread-messages.ts";

/** The limits are those of all threads together. */
export interface HttpThreadsOptions extends HttpThreadData {
  /** How many threads. */
  readonly count: number;
  readonly onTrouble: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

const THREAD = threadModule("http-thread", import.meta.url);

export class HttpThreads implements HttpListener {
  readonly #threads: readonly HttpThread[];

  constructor(app: Responder, { count, onTrouble, limits, ...rest }: HttpThreadsOptions) {
    const share = {
      ...limits,
      connectionsMax: Math.ceil(limits.connectionsMax / count),
      answersBytesMax: Math.ceil(limits.answersBytesMax / count),
    };
    const data: HttpThreadData = { ...rest, limits: share };
    this.#threads = Array.from({ length: count }, () => new HttpThread(app, data, onTrouble));
  }

  async listen({ host, port }: ListenOptions): Promise<ListeningAt> {
    const [first, ...others] = this.#threads;
    if (first === undefined) throw new RangeError("count: expected at least one thread");
    const isShared = others.length > 0;
    if (isShared && port !== 0) await assertFree({ host, port });
    const at = await first.listen({ host, port, isShared });
    await Promise.all(others.map(async (thread) => thread.listen({ host, port: at.port, isShared })));
    return at;
  }

  stop(): void {
    for (const thread of this.#threads) thread.stop();
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => thread.end()));
  }
}

/**
 * What threads may share with each other the system would let them share with another process too, each with some of the
 * clients. Two that start at the same moment may still both find it free.
 *
 * @throws {Error} As {@link HttpListener.listen}.
 */
async function assertFree(address: Pick<ListenOptions, "host" | "port">): Promise<void> {
  const probe = createServer().listen(address);
  await once(probe, "listening");
  probe.close();
  await once(probe, "close");
}

/** A request whose answer is not out yet. */
interface Open {
  readonly request: RemoteRequest;
  /** Of an answer that comes bit by bit. */
  stream?: ReadableStreamDefaultReader<Uint8Array>;
}

class HttpThread implements HttpListener {
  readonly #app: Responder;
  readonly #worker: Worker;
  readonly #channel: Channel<ToHttp, FromHttp>;
  readonly #onTrouble: HttpThreadsOptions["onTrouble"];
  /** By the numbers of their requests, which are small. */
  readonly #open: (Open | undefined)[] = [];
  readonly #connections = new Map<number, object>();
  readonly #listening = Promise.withResolvers<ListeningAt>();
  readonly #ended = Promise.withResolvers<void>();
  #isServing = false;

  constructor(app: Responder, workerData: HttpThreadData, onTrouble: HttpThreadsOptions["onTrouble"]) {
    this.#app = app;
    this.#onTrouble = onTrouble;
    this.#worker = startThread(THREAD, workerData);
    this.#channel = new Channel(this.#worker, (messages, bytes) => {
      for (const message of messages) this.#receive(message, bytes);
      if (bytes.length > 0) this.#channel.send(["taken", bytes.length]);
    });
    this.#worker.once("error", (error) => this.#fail(error));
    // Where nobody wanted it to end.
    this.#worker.once("exit", (code) => this.#fail(new Error(`a thread for HTTP ended with ${code}`)));
    this.#listening.promise.catch(() => undefined);
  }

  async listen({ host, port, isShared = false }: ListenOptions): Promise<ListeningAt> {
    this.#channel.send(["listen", { host, port, isShared }]);
    return this.#listening.promise;
  }

  stop(): void {
    this.#channel.send(["stop"]);
  }

  async end(): Promise<void> {
    this.#isServing = false;
    this.#channel.send(["end"]);
    await this.#ended.promise;
    await this.#worker.terminate();
  }

  /** Whoever listens hears of it; later it is as any error that nobody catches, which ends the process. */
  #fail(error: unknown): void {
    this.#ended.resolve();
    this.#listening.reject(error);
    if (!this.#isServing) return;
    this.#isServing = false;
    endProcess(error);
  }

  #receive(message: FromHttp, bytes: Uint8Array<ArrayBuffer>): void {
    switch (message[0]) {
      case "listening":
        this.#isServing = true;
        return this.#listening.resolve(message[1]);
      case "unable": {
        const { message: text, code } = message[1];
        return this.#listening.reject(Object.assign(new Error(text), { code }));
      }
      case "trouble":
        return this.#onTrouble(message[1], message[2]);
      case "ended":
        return this.#ended.resolve();
      case "closed":
        return void this.#connections.delete(message[1]);
      case "request": {
        const request: RemoteRequest = new RemoteRequest(message, {
          ask: (kind) => {
            if (this.#isOpen(open)) this.#channel.send([kind, request.id]);
          },
          connection: this.#connectionOf(message[2]),
        });
        const open: Open = { request };
        this.#open[request.id] = open;
        return void this.#answer(open);
      }
      case "part":
      case "end":
      case "fail":
      case "gone":
      case "pull":
      case "cancel":
        return this.#continue(message, bytes);
    }
  }

  /** What comes of a request that is open; of one that is answered nothing matters any more. */
  #continue(message: OfRequest, bytes: Uint8Array<ArrayBuffer>): void {
    const open = this.#open[message[1]];
    if (open === undefined) return;
    switch (message[0]) {
      case "part": {
        const part = bytesIn(message[2], bytes);
        return open.request.tell((sink) => void sink.part(part));
      }
      case "end":
        return open.request.tell((sink) => sink.end());
      case "fail": {
        const cause = new Error(message[2]);
        return open.request.tell((sink) => sink.fail(cause));
      }
      case "gone":
        return open.request.leave();
      case "pull":
        return void this.#pull(open);
      case "cancel":
        void open.stream?.cancel().catch(() => undefined);
        return this.#end(open, ["done", message[1]]);
    }
  }

  async #answer(open: Open): Promise<void> {
    const { id } = open.request;
    let reply: Reply;
    try {
      reply = await this.#app.respond(open.request);
    } catch {
      return this.#end(open, ["failed", id]);
    }
    const { status, headers, body } = reply;
    if (body instanceof ReadableStream) {
      open.stream = body.getReader();
      this.#channel.send(["stream", id, status, headers]);
    } else {
      const told = body instanceof Uint8Array ? this.#channel.attach(body) : body;
      this.#end(open, ["reply", id, status, headers, told]);
    }
  }

  async #pull(open: Open): Promise<void> {
    const { id } = open.request;
    try {
      const { value, done } = (await open.stream?.read()) ?? { done: true };
      if (done || value === undefined) this.#end(open, ["done", id]);
      else if (this.#isOpen(open)) this.#channel.send(["chunk", id, this.#channel.attach(value)]);
    } catch {
      this.#end(open, ["failed", id]);
    }
  }

  /** Says the last of a request, once: its number is another's from then on. */
  #end(open: Open, last: ToHttp): void {
    if (!this.#isOpen(open)) return;
    this.#open[open.request.id] = undefined;
    this.#channel.send(last);
  }

  #isOpen(open: Open): boolean {
    return this.#open[open.request.id] === open;
  }

  #connectionOf(number: number): object | undefined {
    if (number === 0) return undefined;
    const known = this.#connections.get(number);
    if (known !== undefined) return known;
    const connection = {};
    this.#connections.set(number, connection);
    return connection;
  }
}
