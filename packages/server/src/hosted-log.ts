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
  /** A public name for the master key that its key store is wrapped by. */
  readonly masterKey?: string | undefined;
  /** Where its key store is backed up. */
  readonly keyBackup?: KeyBackupState | undefined;
}

/** How the backups of a key store stand. */
export interface KeyBackupState {
  /** When the newest was made, in ms since 1970. */
  readonly lastAt: number | undefined;
  trouble(): Reason | undefined;
}

/** @throws {ServerError} `log-unavailable` */
export function openedLog({ name, log }: HostedLog): Log {
  if (log !== undefined) return log;
  throw new ServerError("log-unavailable", `log ${name} could not be opened: see /readyz`, {
    details: { retryAfterSeconds: 10 },
  });
}

export function statusOf({ log, failure, keyBackup }: HostedLog): Pick<LogStatus, "state" | "reasons"> {
  if (log === undefined) return { state: "stopped", reasons: failure === undefined ? [] : [failure] };
  const { state, reasons } = log.status();
  const trouble = keyBackup?.trouble();
  if (trouble === undefined) return { state, reasons };
  return { state: state === "ok" ? "degraded" : state, reasons: [...reasons, trouble] };
}
