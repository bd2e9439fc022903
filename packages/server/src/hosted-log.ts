/** A log as the server hosts it: open, or not to be opened, with the reason. */
import type { Log, LogStatus, Reason } from "@tallystick/log";
import { ServerError } from "./error.ts";

export interface HostedLog {
  readonly name: string;
  /** Whether entry bundles can be read without a token. */
  readonly publicEntries: boolean;
  readonly log: Log | undefined;
  /** Why there is no log. */
  readonly failure: Reason | undefined;
}

/** @throws {ServerError} `log-unavailable` */
export function openedLog({ name, log }: HostedLog): Log {
  if (log !== undefined) return log;
  throw new ServerError("log-unavailable", `log ${name} could not be opened: see /readyz`, {
    details: { retryAfterSeconds: 10 },
  });
}

export function statusOf({ log, failure }: HostedLog): Pick<LogStatus, "state" | "reasons"> {
  if (log !== undefined) return log.status();
  return { state: "stopped", reasons: failure === undefined ? [] : [failure] };
}
