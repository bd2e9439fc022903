/**
 * A network between hosts, which delays, loses, doubles, reorders and cuts, and which partitions split.
 *
 * One message is one request or one answer. Each takes its own time, so later ones overtake earlier ones. Who waits for a
 * lost one hears nothing, until its own deadline.
 */
import type { Host, Life, Serve } from "./host.ts";
import type { Random } from "./random.ts";
import { type World, currentLife } from "./world.ts";

export interface Exchanged {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly status: number;
  readonly answer: Uint8Array;
}

export interface Conditions {
  /** Ms for a message, typically. */
  delayMs: number;
  loss: number;
  duplication: number;
  /** How often an answer breaks off in the midst of its body. */
  cut: number;
}

interface Sent {
  readonly from: Life;
  readonly to: string;
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Nobody waits for ever, whoever sets no deadline. */
const DEADLINE_MS = 60_000;

export class Network {
  readonly conditions: Conditions = { delayMs: 2, loss: 0, duplication: 0, cut: 0 };
  readonly #world: World;
  readonly #random: Random;
  readonly #hosts = new Map<string, Host>();
  /** On which side of a partition a host is; those on one side hear each other. */
  readonly #sides = new Map<string, number>();
  /** Told of each answer as it leaves its host, whether it arrives or not. */
  onAnswer: (exchanged: Exchanged) => void = () => undefined;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random("network");
    world.fetch = async (input, init) => this.#fetch(input, init);
  }

  add(host: Host): void {
    this.#hosts.set(host.name, host);
  }

  /** Those named hear only each other from now on, and the others only the others. */
  split(names: readonly string[]): void {
    this.#sides.clear();
    for (const name of names) this.#sides.set(name, 1);
  }

  heal(): void {
    this.#sides.clear();
  }

  async #fetch(input: Parameters<typeof fetch>[0], init: Parameters<typeof fetch>[1]): Promise<Response> {
    const from = currentLife();
    const url = input instanceof Request ? input.url : String(input);
    const sent = {
      from,
      to: new URL(url).hostname,
      url,
      method: init?.method ?? "GET",
      headers: new Headers(init?.headers),
      body: bodyOf(init?.body),
    };
    from.requests += 1;
    try {
      return await this.#exchange(sent, init?.signal ?? undefined);
    } finally {
      from.requests -= 1;
    }
  }

  async #exchange(sent: Sent, signal: AbortSignal | undefined): Promise<Response> {
    signal?.throwIfAborted();
    const { from } = sent;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener("abort", onAbort, { once: true });
    const giveUp = (): void => reject(failed("ETIMEDOUT"));
    const deadline = this.#world.schedule(DEADLINE_MS, giveUp, { owner: from, what: "give up" });
    this.#travel(sent.from.name, sent.to, "request", () => this.#arrive(sent, { resolve, reject }));
    if (this.#random.chance(this.conditions.duplication)) {
      this.#world.count("duplicated request");
      this.#travel(sent.from.name, sent.to, "request again", () => this.#arrive(sent, undefined));
    }
    try {
      return this.#responseOf(await promise);
    } finally {
      deadline.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Carries one message, or loses it. */
  #travel(from: string, to: string, what: string, arrive: () => void): void {
    const delayMs = this.#random.wait(this.conditions.delayMs);
    if (this.#random.chance(this.conditions.loss)) {
      this.#world.count("lost message");
      return;
    }
    const pass = (): void => {
      if (this.#isCut(from, to)) this.#world.count("message into a partition");
      else arrive();
    };
    this.#world.schedule(delayMs, pass, { what: `${what} ${from} to ${to}` });
  }

  #isCut(from: string, to: string): boolean {
    return (this.#sides.get(from) ?? 0) !== (this.#sides.get(to) ?? 0);
  }

  #arrive(sent: Sent, waiter: Waiter | undefined): void {
    const host = this.#hosts.get(sent.to);
    const { life, serve } = host ?? {};
    if (host === undefined || life === undefined || serve === undefined) {
      this.#refuse(sent, waiter, "ECONNREFUSED");
      return;
    }
    this.#world.as(life, () => {
      this.#serve({ sent, host, life, serve, waiter }).catch((error: unknown) => {
        if (!life.isOver) this.#world.fail(error);
      });
    });
  }

  async #serve(call: {
    readonly sent: Sent;
    readonly host: Host;
    readonly life: Life;
    readonly serve: Serve;
    readonly waiter: Waiter | undefined;
  }): Promise<void> {
    const { sent, host, life, serve, waiter } = call;
    const { to, url, method, headers, body } = sent;
    const reset = (): void => this.#refuse(sent, waiter, "ECONNRESET");
    host.connections.add(reset);
    try {
      const init = { method, headers, ...(body === undefined ? {} : { body: new Uint8Array(body) }) };
      const response = await serve(new Request(url, init));
      const answer = new Uint8Array(await response.arrayBuffer());
      if (life.isOver) return;
      const path = new URL(url).pathname;
      const from = sent.from.name;
      const asked = body ?? new Uint8Array();
      this.onAnswer({ from, to, method, path, body: asked, status: response.status, answer });
      const whole = { status: response.status, headers: response.headers, body: answer };
      this.#travel(to, from, "answer", () => this.#deliver(sent.from, waiter, (w) => w.resolve(whole)));
    } finally {
      host.connections.delete(reset);
    }
  }

  #refuse(sent: Sent, waiter: Waiter | undefined, code: string): void {
    this.#travel(sent.to, sent.from.name, code, () => this.#deliver(sent.from, waiter, (w) => w.reject(failed(code))));
  }

  #deliver(life: Life, waiter: Waiter | undefined, settle: (waiter: Waiter) => void): void {
    if (waiter === undefined || life.isOver) return;
    this.#world.schedule(0, () => settle(waiter), { owner: life, what: "hear" });
  }

  /** What the asker sees: the whole answer, or one that breaks off. */
  #responseOf({ status, headers, body }: Answer): Response {
    const isEmpty = body.length === 0 || status === 204 || status === 304;
    if (isEmpty || !this.#random.chance(this.conditions.cut)) {
      return new Response(isEmpty ? null : new Uint8Array(body), { status, headers });
    }
    this.#world.count("answer cut");
    const part = body.slice(0, this.#random.below(body.length));
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (part.length > 0) controller.enqueue(part);
        controller.error(failed("ECONNRESET"));
      },
    });
    return new Response(stream, { status, headers });
  }
}

interface Waiter {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

function bodyOf(body: unknown): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string") return new Uint8Array(Buffer.from(body));
  if (body instanceof Uint8Array) return body.slice();
  throw new TypeError("fetch: expected a body of text or bytes");
}

function failed(code: string): TypeError {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}
