/** Tells the operator's log when the state of a log changes: who does not poll /readyz has to hear of it too. */
import type { LogLogger } from "@tallystick/log";
import { type HostedLog, statusOf } from "./hosted-log.ts";

const LOOK_MS = 1000;

/**
 * Looks once a second, and tells a state and its reasons once they have held for two looks: a start that takes a moment
 * is no news. Gives what ends it.
 */
export function watchStatus(logs: readonly HostedLog[], logger: LogLogger, lookMs: number = LOOK_MS): () => void {
  const watches = logs.map((hosted) => ({ hosted, seen: "", told: "ok" }));
  const timer = setInterval(() => {
    for (const watch of watches) {
      const { state, reasons } = statusOf(watch.hosted);
      const now = [state, ...reasons.map(({ code }) => code)].join(" ");
      if (now === watch.seen && now !== watch.told) {
        const details = { log: watch.hosted.name, reasons };
        if (state === "ok") logger.info(`the log is ${state}`, details);
        else logger.warn(`the log is ${state}`, details);
        watch.told = now;
      }
      watch.seen = now;
    }
  }, lookMs);
  timer.unref();
  return () => clearInterval(timer);
}
