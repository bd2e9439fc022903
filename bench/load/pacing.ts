/** The times at which the requests of an open load are due. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** What the thread shares with this one. */
export interface PacerData {
  readonly intervalMs: number;
  /** 1 once it begins. */
  readonly begun: Int32Array;
  /** When the first is due, in ms since 1970: the threads' own clocks begin at different times. */
  readonly beganAt: Float64Array;
  /** 1 until this thread has looked. */
  readonly woken: Int32Array;
}

export class Pacing {
  readonly #data: PacerData;
  readonly #worker: Worker;
  #nextAt = Infinity;

  private constructor(data: PacerData, worker: Worker) {
    this.#data = data;
    this.#worker = worker;
  }

  static async prepare(ratePerSecond: number): Promise<Pacing> {
    const int32 = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));
    const beganAt = new Float64Array(new SharedArrayBuffer(8));
    const data: PacerData = { intervalMs: 1000 / ratePerSecond, begun: int32(), beganAt, woken: int32() };
    const worker = new Worker(new URL("../pacer.ts", import.meta.url), { workerData: data });
    await once(worker, "online");
    return new Pacing(data, worker);
  }

  /** From `at` on, on the clock of `performance.now()`: calls `onDue` whenever something may be due. */
  begin(at: number, onDue: () => void): void {
    this.#nextAt = at;
    this.#worker.on("message", () => {
      Atomics.store(this.#data.woken, 0, 0);
      onDue();
    });
    this.#data.beganAt[0] = performance.timeOrigin + at;
    Atomics.store(this.#data.begun, 0, 1);
    Atomics.notify(this.#data.begun, 0);
  }

  /** The times that are due before `until`, each of them once. */
  *take(until: number): Generator<number> {
    while (this.#nextAt < until) {
      const due = this.#nextAt;
      this.#nextAt += this.#data.intervalMs;
      yield due;
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
