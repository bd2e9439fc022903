/** Sends imported events in requests of bounded size, tries again while the log is away, and counts what came of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "@tallystick/client";
import { utf8 } from "@tallystick/core";
import { type ImportedLine, eventToJson } from "@tallystick/events";
import { wordsOf } from "./failure.ts";
import { type LoggedEntry, loggedEntries } from "./log-answer.ts";
import { requestLog } from "./log-request.ts";
import type { Target } from "./target.ts";

const EVENTS_PER_REQUEST = 500;
/** Well below the 4 MiB that a log takes in one request. */
const CHARS_PER_REQUEST = 1_000_000;
const TRIES_MAX = 20;
/** Whatever the log asks for, it is asked again after this long. */
const RETRY_MS_MAX = 30_000;

export interface RefusedLine {
  readonly line: number;
  readonly message: string;
}

export interface ImportCounts {
  added: number;
  there: number;
  unreadable: number;
  lastState: string | undefined;
  lastIndex: number | undefined;
  readonly refused: RefusedLine[];
  /** `auth.login failure` → how many. */
  readonly types: Map<string, number>;
}

export interface ImportSenderOptions {
  readonly target: Target;
  readonly signal: AbortSignal;
  readonly onTrouble: (text: string) => void;
}

interface Waiting {
  readonly line: number;
  readonly imported: ImportedLine;
  readonly json: string;
}

export class ImportSender {
  readonly counts: ImportCounts = {
    added: 0,
    there: 0,
    unreadable: 0,
    lastState: undefined,
    lastIndex: undefined,
    refused: [],
    types: new Map(),
  };
  readonly #options: ImportSenderOptions;
  #waiting: Waiting[] = [];
  #chars = 0;

  constructor(options: ImportSenderOptions) {
    this.#options = options;
  }

  /** Counts a line that an earlier import logged. */
  passOver(imported: ImportedLine): void {
    this.counts.there += 1;
    this.#count(imported);
  }

  hasRoomFor({ event }: ImportedLine): boolean {
    if (this.#waiting.length === 0) return true;
    const chars = JSON.stringify(eventToJson(event)).length;
    return this.#waiting.length < EVENTS_PER_REQUEST && this.#chars + chars < CHARS_PER_REQUEST;
  }

  add(imported: ImportedLine, line: number): void {
    const json = JSON.stringify(eventToJson(imported.event));
    this.#waiting.push({ line, imported, json });
    this.#chars += json.length;
  }

  /**
   * Sends what waits. What the log refuses for good is counted as such, and the rest is sent without it.
   *
   * @throws {ClientError} the log answers with another refusal, or not at all for long.
   */
  async send(wait: "durable" | "witnessed"): Promise<void> {
    let left = this.#waiting;
    [this.#waiting, this.#chars] = [[], 0];
    while (left.length > 0) {
      try {
        this.#take(left, await this.#post(left, wait));
        return;
      } catch (error) {
        const refused = refusedEntries(error, left);
        if (refused.size === 0) throw error;
        for (const [entry, message] of refused) {
          const line = left[entry]?.line;
          if (line !== undefined) this.counts.refused.push({ line, message });
        }
        left = left.filter((_, entry) => !refused.has(entry));
      }
    }
  }

  #take(sent: readonly Waiting[], entries: readonly LoggedEntry[]): void {
    for (const [at, { imported }] of sent.entries()) {
      if (entries[at]?.duplicate === true) this.counts.there += 1;
      else this.counts.added += 1;
      this.#count(imported);
    }
    this.counts.lastState = entries.at(-1)?.state;
    this.counts.lastIndex = entries.at(-1)?.index;
  }

  #count({ event, unreadable }: ImportedLine): void {
    if (unreadable !== undefined) this.counts.unreadable += 1;
    const type = `${event.type} ${event.outcome}`;
    this.counts.types.set(type, (this.counts.types.get(type) ?? 0) + 1);
  }

  async #post(waiting: readonly Waiting[], wait: string): Promise<readonly LoggedEntry[]> {
    const { target, signal, onTrouble } = this.#options;
    const request = {
      path: `v1/events?wait=${wait}`,
      method: "POST",
      contentType: "application/json",
      body: utf8(`[${waiting.map(({ json }) => json).join(",")}]`),
      signal,
    } as const;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return loggedEntries(await requestLog(target, request), waiting.length);
      } catch (error) {
        const again = error instanceof ClientError && error.code === "audit-unavailable" && attempt < TRIES_MAX;
        if (!again || signal.aborted) throw error;
        if (attempt === 1) onTrouble(`${error.message}; trying again`);
        await sleep(retryMs(error, attempt), undefined, { signal });
      }
    }
  }
}

function retryMs({ details }: ClientError, attempt: number): number {
  const asked = Number(details["retryAfter"] ?? Number.NaN) * 1000;
  return Math.min(Number.isFinite(asked) && asked > 0 ? asked : attempt * 1000, RETRY_MS_MAX);
}

/** Entry of those sent → why the log does not take it; empty where the refusal is about something else. */
function refusedEntries(error: unknown, sent: readonly unknown[]): Map<number, string> {
  const refused = new Map<number, string>();
  if (!(error instanceof ClientError) || error.code !== "log-refused") return refused;
  const { problem, entry, index, defects } = error.details;
  const isSent = (at: unknown): at is number => typeof at === "number" && at in sent;
  if (problem === "id-conflict" && isSent(entry))
    refused.set(entry, `its id is that of another event, at index ${wordsOf(index)}`);
  if (problem !== "event-invalid" || !Array.isArray(defects)) return refused;
  for (const defect of defects as readonly unknown[]) {
    const { entry: at, path, message } = (defect ?? {}) as Readonly<Record<string, unknown>>;
    if (isSent(at)) refused.set(at, `${wordsOf(path)}: ${wordsOf(message)}`);
  }
  return refused;
}
