/** Threads of the server's own. */
import { Worker } from "node:worker_threads";

/** Requests and what is read of them live shortly: with more room they would only be collected later. */
const YOUNG_GENERATION_MB = 24;

/**
 * The module of this name in the folder of another, as that one is: source or built.
 *
 * @param besideUrl - The other's `import.meta.url`.
 */
export function threadModule(name: string, besideUrl: string): URL {
  return new URL(`./${name}.${besideUrl.endsWith(".ts") ? "ts" : "js"}`, besideUrl);
}

export function startThread(module: URL, workerData?: unknown): Worker {
  return new Worker(module, { workerData, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
}

/** As an error that nobody catches, wherever this is called. */
export function endProcess(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
