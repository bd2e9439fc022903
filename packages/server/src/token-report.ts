/**
 * Tells each log which tokens there are for it, and which master key, so that every change of them is an entry, `log.key`.
 *
 * Tokens are made and revoked by changing a file, whether the server runs or not, and they end by themselves. So what there
 * is now is compared every second with what was told last; a log that cannot note it yet is told again.
 */
import { LogError } from "@tallystick/log";
import type { HostedLog } from "./hosted-log.ts";
import type { ValidToken } from "./tokens.ts";

const INTERVAL_MS = 1000;

export interface TokenReportOptions {
  readonly tokens: { valid(log: string): readonly ValidToken[] };
  readonly logs: readonly HostedLog[];
  readonly intervalMs?: number;
  readonly onTrouble: (error: unknown) => void;
}

export class TokenReport {
  readonly #options: TokenReportOptions;
  readonly #timer: NodeJS.Timeout;
  /** By log: what it was told last. */
  readonly #told = new Map<string, string>();
  #telling: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: TokenReportOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.intervalMs ?? INTERVAL_MS).unref();
    this.#look();
  }

  /** Ends it; what is being told is waited for. What a log does not note any more, the next start tells it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#telling;
  }

  #look(): void {
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
  }

  async #tellAll(): Promise<void> {
    for (const hosted of this.#options.logs) {
      try {
        await this.#tell(hosted);
      } catch (error) {
        // A log that does not run says so itself, and one that is closing may have closed its storage before this.
        if (!(error instanceof LogError || this.#isClosed)) this.#options.onTrouble(error);
      }
    }
  }

  async #tell({ name, log, masterKey }: HostedLog): Promise<void> {
    const valid = this.#options.tokens.valid(name);
    const now = JSON.stringify(valid);
    if (log === undefined || this.#told.get(name) === now) return;
    if (masterKey !== undefined) await log.reportKeys("master", [{ id: "master", facts: { masterKey } }]);
    await log.reportKeys(
      "token",
      valid.map(({ id, role, expiresAt }) => {
        const end = expiresAt === Infinity ? {} : { expiresAt: new Date(expiresAt).toISOString() };
        return { id, facts: { credential: id, role, ...end } };
      }),
    );
    this.#told.set(name, now);
  }
}
