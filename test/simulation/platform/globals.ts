/** Clocks, timers and randomness of the host whose code is running, in place of the machine's. For a whole process. */
import { currentLife, currentWorld } from "../engine/world.ts";
import { randomBytes } from "./random-bytes.ts";

/** A timer, as Node's. */
class Timer {
  readonly #cancel: () => void;

  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  close(): void {
    this.#cancel();
  }
}

type Callback = (...args: unknown[]) => void;

/** Node's shortest wait. */
const WAIT_MIN_MS = 1;

function startTimer(delayMs: number, isRepeated: boolean, what: string, run: () => void): Timer {
  const life = currentLife();
  const world = currentWorld();
  let isOver = false;
  life.timers += 1;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    life.timers -= 1;
    scheduled.cancel();
  };
  const fire = (): void => {
    if (isRepeated) scheduled = world.schedule(delayMs, fire, { owner: life, what });
    else end();
    run();
  };
  let scheduled = world.schedule(delayMs, fire, { owner: life, what });
  return new Timer(end);
}

function delayOf(ms: unknown): number {
  return typeof ms === "number" && ms > WAIT_MIN_MS ? ms : WAIT_MIN_MS;
}

const timers = {
  setTimeout: (run: Callback, ms?: unknown, ...args: unknown[]) =>
    startTimer(delayOf(ms), false, "timer", () => run(...args)),
  setInterval: (run: Callback, ms?: unknown, ...args: unknown[]) =>
    startTimer(delayOf(ms), true, "interval", () => run(...args)),
  setImmediate: (run: Callback, ...args: unknown[]) => startTimer(0, false, "immediate", () => run(...args)),
  clearTimeout: clear,
  clearInterval: clear,
  clearImmediate: clear,
};

function clear(timer: unknown): void {
  if (timer instanceof Timer) timer.close();
}

/** The host's wall clock. */
class SimulatedDate extends Date {
  constructor(...args: readonly unknown[]) {
    if (args.length === 0) super(SimulatedDate.now());
    else super(...(args as [number]));
  }

  static override now(): number {
    return currentLife().host.wallMs();
  }
}

/** Replaces the process's own. */
export function installGlobals(): void {
  const fetch: typeof globalThis.fetch = async (input, init) => currentWorld().fetch(input, init);
  Object.assign(globalThis, timers, { Date: SimulatedDate, fetch });
  Math.random = () => currentWorld().platform.unit();
  performance.now = () => currentLife().host.monotonicMs();
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    const reason = new DOMException("The operation was aborted due to timeout", "TimeoutError");
    timers.setTimeout(() => controller.abort(reason), ms);
    return controller.signal;
  };
  globalThis.crypto.getRandomValues = (array) => {
    if (array === null) return array;
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(randomBytes(array.byteLength));
    return array;
  };
}
