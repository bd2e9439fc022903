/**
 * A thread that wakes the one with the sockets when a request is due: timers of an event loop are no finer than a
 * millisecond. It wakes once, until that one has looked. load/pacing.ts
 */
import { parentPort, workerData } from "node:worker_threads";
import type { PacerData } from "./load/pacing.ts";

const { begun, woken, beganAt, intervalMs } = workerData as PacerData;
Atomics.wait(begun, 0, 0);

const sleeping = new Int32Array(new SharedArrayBuffer(4));
for (let dueAt = beganAt[0] ?? 0; ; dueAt += intervalMs) {
  const leftMs = dueAt - performance.timeOrigin - performance.now();
  if (leftMs > 0) Atomics.wait(sleeping, 0, 0, leftMs);
  if (Atomics.compareExchange(woken, 0, 0, 1) === 0) parentPort?.postMessage(0);
}
