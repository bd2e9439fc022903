/**
 * Backups of a log's key store while the server runs: one at the start if it is overdue, then one each interval.
 *
 * A backup that fails does not stop the log, which has its keys; /readyz, the metrics and the server's log tell of it.
 */
import { resolve } from "node:path";
import type { LogLogger, Reason } from "@tallystick/log";
import type { KeyBackup, KeyBackups } from "@tallystick/storage";
import type { KeyBackupConfig, LogConfig, ServerConfig } from "./config.ts";
import { reasonOf } from "./init.ts";

const HOUR_MS = 3_600_000;
/** After a failure: a disk may be back soon. */
const RETRY_MS = 300_000;
const SOON_MS = 1000;
/** Timers of node end at 24 days. */
const WAIT_MAX_MS = HOUR_MS;
/** So much longer than an interval a backup may be away before it counts as late. */
const LATE_MS = HOUR_MS;

/** Where the backups of a log's key store go, and where the keys of these backups are: a folder for each log. */
export interface KeyBackupFolders {
  readonly target: string;
  readonly keys: string;
  readonly intervalMs: number;
}

/** The folders for a log, its own setting before the server's; `undefined` where there are no backups. */
export function keyBackupFolders(
  dir: string,
  server: Pick<ServerConfig, "keyBackup">,
  log: Pick<LogConfig, "name" | "keyBackup">,
): KeyBackupFolders | undefined {
  const config: KeyBackupConfig | undefined = log.keyBackup ?? server.keyBackup;
  if (config === undefined) return undefined;
  return {
    target: resolve(dir, config.target, log.name),
    keys: resolve(dir, config.keys, log.name),
    intervalMs: config.intervalHours * HOUR_MS,
  };
}

export interface KeyBackupScheduleOptions {
  readonly backups: KeyBackups;
  readonly intervalMs: number;
  readonly logger?: LogLogger | undefined;
  /** The log's name. */
  readonly log: string;
  /** In ms since 1970. */
  readonly now?: () => number;
}

export class KeyBackupSchedule {
  readonly #options: KeyBackupScheduleOptions;
  readonly #now: () => number;
  readonly #running: Promise<void>;
  readonly #closing = new AbortController();
  #failure: Reason | undefined;
  /** Of the newest backup, in ms since 1970. */
  #lastAt: number | undefined;

  /** Begins at once. */
  constructor(options: KeyBackupScheduleOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#running = this.#run();
  }

  /** Of the newest backup that can be read, in ms since 1970; `undefined` where there is none. */
  get lastAt(): number | undefined {
    return this.#lastAt;
  }

  /** What is wrong with the backups, if anything is. */
  trouble(): Reason | undefined {
    const { intervalMs } = this.#options;
    if (this.#failure !== undefined) {
      const { code, message } = this.#failure;
      return { code: "key-backup-failed", message: `the key store was not backed up (${code}): ${message}` };
    }
    if (this.#lastAt === undefined || this.#now() <= this.#lastAt + intervalMs + LATE_MS) return undefined;
    const message = `the newest backup of the key store is of ${new Date(this.#lastAt).toISOString()}`;
    return { code: "key-backup-late", message };
  }

  /** Ends the schedule; a backup that is being written is finished. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) await this.#wait(await this.#step());
  }

  /** Backs up if it is due; gives for how long there is nothing to do. */
  async #step(): Promise<number> {
    const { backups, intervalMs, logger, log } = this.#options;
    try {
      const dueAt = await backups.dueAt();
      this.#lastAt ??= (await backups.newest())?.time;
      if (dueAt > this.#now()) {
        return Math.min(dueAt - this.#now(), WAIT_MAX_MS);
      }
      const { path, time, epoch, count, keyNumber }: KeyBackup = await backups.run();
      if (this.#failure !== undefined) logger?.info("the key store is backed up again", { log });
      logger?.info("the key store was backed up", { log, path, epoch, keys: count, backupKey: keyNumber });
      this.#lastAt = time;
      this.#failure = undefined;
      // Then it is found out when the next one is due.
      return Math.min(intervalMs, SOON_MS);
    } catch (error) {
      this.#failure = reasonOf(error);
      logger?.warn("the key store was not backed up", { log, ...this.#failure });
      return Math.min(intervalMs, RETRY_MS);
    }
  }

  async #wait(ms: number): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const { promise, resolve: done } = Promise.withResolvers<void>();
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener("abort", () => done(), { once: true });
    await promise;
    clearTimeout(timer);
  }
}
