/** Instances of an application, each a process of its own, over one store and one log. */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "@tallystick/client";
import type { Sessions, SessionsOptions } from "@tallystick/sessions";

/** Where the one store is. */
export type StorePlace =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres" | "better-auth"; readonly host: string; readonly database: string }
  | { readonly kind: "redis"; readonly socket: string; readonly prefix: string };

/** What an instance opens, and how wrong its own clock is. */
export interface Place {
  readonly store: StorePlace;
  readonly log: string;
  readonly limits: Partial<SessionsOptions>;
  readonly clockOffsetMs: number;
}

interface Methods extends Pick<
  Sessions,
  "start" | "check" | "extend" | "end" | "endAll" | "list" | "sweep" | "flush" | "close"
> {
  open(place: Place): Promise<void>;
  /** The store's time. */
  now(): Promise<number>;
}
type Method = keyof Methods;
type Answers = { readonly [M in Method]: Awaited<ReturnType<Methods[M]>> };

type CallOf<M extends Method> = M extends Method
  ? { readonly method: M; readonly args: Parameters<Methods[M]>; readonly id: number; readonly now?: number }
  : never;
export type Call = CallOf<Method>;

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

const CHILD = new URL("instance-child.ts", import.meta.url).pathname;
const FLAGS = ["--conditions=ws-source", "--disable-warning=ExperimentalWarning"];

export class Instance {
  readonly #child: ChildProcess = fork(CHILD, [], { execArgv: FLAGS });
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #gone: Promise<void>;
  #calls = 0;

  constructor() {
    this.#child.on("message", ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(error));
    });
    this.#gone = new Promise((resolve) => this.#child.once("exit", () => resolve()));
    void this.#gone.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the instance is gone"));
    });
  }

  /** @param now - What the store's clock shows from then on; without it, the machine's time, or what it was set to before. */
  async call<M extends Method>(method: M, args: Parameters<Methods[M]>, now?: number): Promise<Answers[M]> {
    const id = (this.#calls += 1);
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#child.send({ id, method, args, ...(now === undefined ? {} : { now }) });
    return (await answer) as Answers[M];
  }

  /** @param folder - Where the log is. */
  async open(folder: string, place: Omit<Place, "log">): Promise<void> {
    await this.call("open", [{ ...place, log: logOf(folder) }]);
  }

  /** As a power cut of the process. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#gone;
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#gone;
  }
}

/** What all instances over a folder recorded, in the order in which they did; an event that came twice once. */
export function recordedIn(folder: string): Report[] {
  if (!existsSync(logOf(folder))) return [];
  const lines = readFileSync(logOf(folder), "utf8").split("\n");
  const events = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Report);
  return [...new Map(events.map((event, at) => [event.id ?? at, event])).values()];
}

function logOf(folder: string): string {
  return join(folder, "events.ndjson");
}
