/**
 * The world of one seed: a virtual clock and a list of what happens next. Everything that a program can wait for is an
 * event here, so one seed has one course.
 *
 * Between two events all promises that can settle do. Which host a line of code runs on, and in which life of it, is
 * known by its asynchronous context: code of a host that has died never runs again, since no event ever reaches it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as realImmediate } from "node:timers";
import { EventQueue } from "./event-queue.ts";
import type { Life } from "./host.ts";
import { Random, hashText } from "./random.ts";

/** What the wall clock says when a simulation begins. */
export const START_MS = 1_760_000_000_000;

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly owner: Life | undefined;
  readonly what: string;
  readonly run: () => void;
  isCancelled: boolean;
}

export interface Scheduled {
  cancel(): void;
}

export interface ScheduleOptions {
  /** Whose event it is: it does not happen once that life has ended, and waits while it stalls. Default: nobody's. */
  readonly owner?: Life;
  /** For the trace. */
  readonly what: string;
}

/** Something that must never happen has happened. */
export class Violation extends Error {
  override readonly name: string = "Violation";
}

export class World {
  readonly seed: number;
  /** Simulated time, in ms since the start. */
  nowMs = 0;
  steps = 0;
  /** Called after each step, once all promises have settled, with whose code has run in it. */
  onStep: (lives: ReadonlySet<Life>) => void = () => undefined;
  /** Told of each step; for looking into one seed. */
  onTrace: ((line: string) => void) | undefined;
  /** What programs take for random. */
  readonly platform: Random;
  /** What `fetch` is on every host. */
  fetch: typeof globalThis.fetch = async () => {
    throw new Error("there is no network");
  };
  /** How often each kind of fault has happened. */
  readonly faults: Map<string, number> = new Map();
  readonly #queue = new EventQueue<Happening>();
  readonly #context = new AsyncLocalStorage<Life>();
  readonly #whats = new Map<string, number>();
  readonly #ran = new Set<Life>();
  #order = 0;
  #digest = 0;
  #failure: unknown;
  #hasFailed = false;

  constructor(seed: number) {
    this.seed = seed;
    this.platform = this.random("platform");
  }

  random(name: string): Random {
    return new Random(this.seed, name);
  }

  /** The life whose code is running. */
  get life(): Life | undefined {
    return this.#context.getStore();
  }

  /** Stands for everything that has happened, and in which order: equal for equal courses. */
  get digest(): string {
    return `${this.steps}-${(this.#digest >>> 0).toString(16).padStart(8, "0")}`;
  }

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  schedule(delayMs: number, run: () => void, { owner, what }: ScheduleOptions): Scheduled {
    this.#order += 1;
    const atMs = this.nowMs + Math.max(0, delayMs);
    const happening: Happening = { atMs, order: this.#order, owner, what, run, isCancelled: false };
    this.#queue.push(happening);
    return { cancel: () => (happening.isCancelled = true) };
  }

  /** Runs code as that life. */
  as<T>(life: Life, run: () => T): T {
    this.#ran.add(life);
    return this.#context.run(life, run);
  }

  /** Ends the run, from wherever it is noticed. The first one counts. */
  fail(failure: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#failure = failure;
  }

  /** Lets things happen until it holds, or the time is over. @returns whether it held. */
  async runUntil(untilMs: number, holds: () => boolean = () => false): Promise<boolean> {
    for (;;) {
      if (holds()) return true;
      const next = this.#queue.first;
      if (next === undefined || next.atMs > untilMs) break;
      this.#queue.pop();
      await this.#happen(next);
      if (this.#hasFailed) throw this.#failure;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    return holds();
  }

  async #happen(happening: Happening): Promise<void> {
    const { atMs, owner, what, run } = happening;
    if (happening.isCancelled || owner?.isOver === true) return;
    this.nowMs = Math.max(this.nowMs, atMs);
    const stalledMs = (owner?.host.stalledUntilMs ?? 0) - this.nowMs;
    if (owner !== undefined && stalledMs > 0) {
      this.#order += 1;
      this.#queue.push({ ...happening, atMs: this.nowMs + stalledMs, order: this.#order });
      return;
    }
    this.#record(what, owner);
    try {
      if (owner === undefined) run();
      else this.as(owner, run);
    } catch (failure) {
      this.fail(failure);
    }
    // One turn of the machine's own event loop: all promises settle before it comes round.
    await new Promise((resolve) => realImmediate(resolve));
    const ran = new Set(this.#ran);
    this.onStep(ran);
    this.#ran.clear();
  }

  #record(what: string, owner: Life | undefined): void {
    this.steps += 1;
    const where = owner === undefined ? what : `${owner.name} ${what}`;
    let hash = this.#whats.get(where);
    if (hash === undefined) this.#whats.set(where, (hash = hashText(where)));
    const micros = Math.round(this.nowMs * 1000);
    this.#digest = Math.imul(this.#digest ^ hash, 0x01000193) ^ micros ^ Math.floor(micros / 2 ** 32);
    this.onTrace?.(`${(this.nowMs / 1000).toFixed(6)} ${where}`);
  }
}

let current: World | undefined;

/** The world that the platform's functions act in. One at a time. */
export function currentWorld(): World {
  if (current === undefined) throw new Error("no simulation is running");
  return current;
}

export function enterWorld(world: World): void {
  current = world;
}

/** The life whose code is running. Everything of the platform belongs to one. */
export function currentLife(): Life {
  const life = currentWorld().life;
  if (life === undefined) throw new Error("this code runs on no host");
  return life;
}
