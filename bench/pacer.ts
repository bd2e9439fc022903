/** A thread that wakes the one with the sockets when a request is due, at most once until that one has looked. */
import { parentPort, workerData } from "node:worker_threads";

const { woken, intervalMs } = workerData as { readonly woken: Int32Array; readonly intervalMs: number };
const sleeping = new Int32Array(new SharedArrayBuffer(4));

for (let dueAt = performance.now(); ; dueAt += intervalMs) {
  const leftMs = dueAt - performance.now();
  if (leftMs > 0) Atomics.wait(sleeping, 0, 0, leftMs);
  if (Atomics.compareExchange(woken, 0, 0, 1) === 0) parentPort?.postMessage(0);
}
