/** Contents of many entries in one answer: what opens is given, what does not says why, and one entry records all of it. */
import { EventError } from "@tallystick/events";
import { StorageError } from "@tallystick/storage";
import { LogError } from "./error.ts";
import type { OpeningsInput, ReadOpening, UnreadCode } from "./log-api.ts";
import type { LogReader, OpenedEntry } from "./reader.ts";
import type { Reads } from "./reads.ts";

/** As many as a bundle holds: who audits asks once for each. */
const ENTRIES_MAX = 256;
/** Of openings: an answer ends with the one that reaches it. One has up to 33 kB. */
const BYTES_MAX = 1_048_576;
/** Entries that are read from the storage in one go: a MiB of sealed contents at most. */
const STEP_ENTRIES = 32;

export interface OpeningsOptions {
  readonly reader: LogReader;
  readonly reads: Reads;
  /** Entries that are durable. */
  readonly size: () => number;
}

/** An entry as it was found. */
interface Found {
  readonly index: number;
  readonly opened?: OpenedEntry;
  readonly unread?: Exclude<ReadOpening, { readonly opening: Uint8Array }>;
}

export class Openings {
  readonly #options: OpeningsOptions;

  constructor(options: OpeningsOptions) {
    this.#options = options;
  }

  /** As `readOpenings` of the log. */
  async read({ from, limit = ENTRIES_MAX, ...reading }: OpeningsInput): Promise<readonly ReadOpening[]> {
    const { reader: entries, reads, size } = this.#options;
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`limit: expected at least 1, got ${limit}`);
    entries.assertIndex(from);
    const to = Math.min(from + Math.min(limit, ENTRIES_MAX), size());
    const found = await this.#find(from, to).catch(async (error: unknown) => {
      const { reader, purpose } = reading;
      await reads.recordRead({ reader, purpose, place: { from, to }, count: to - from, codes: ["unavailable"] });
      throw error;
    });
    const { filter } = reading;
    // Whose it was nobody can tell of what does not open: whoever may have some contents only may not have to know of it.
    const admitted = new Set(
      filter === undefined ? found : found.filter(({ opened }) => opened !== undefined && filter.admits(opened.event)),
    );
    await this.#record(reading, { found, admitted });
    return found.map((entry) => (admitted.has(entry) ? answerOf(entry) : { index: entry.index, code: "forbidden" }));
  }

  /** @throws {LogError} `forbidden`: nothing of all that is the reader's; or whatever keeps the read from being recorded. */
  async #record(
    { reader, purpose, filter }: Omit<OpeningsInput, "from" | "limit">,
    { found, admitted }: { readonly found: readonly Found[]; readonly admitted: ReadonlySet<Found> },
  ): Promise<void> {
    const { reads } = this.#options;
    const denied = found.filter((entry) => !admitted.has(entry)).map(({ index }) => index);
    if (denied.length > 0) await reads.recordDenied({ reader, kind: "event", indexes: denied });
    if (admitted.size === 0)
      throw new LogError("forbidden", "nothing of this is among what the token's scope admits", {
        details: { index: denied[0] },
      });
    // To look at who read what is no read of contents.
    const contents = [...admitted].filter(({ opened }) => opened?.event.type !== "log.read");
    if (contents.length === 0) return;
    const opened = contents.filter((entry) => entry.opened !== undefined).map(({ index }) => index);
    const codes = [...new Set(contents.flatMap(({ unread }) => (unread === undefined ? [] : [unread.code])))];
    const range = { from: found[0]?.index ?? 0, to: (found.at(-1)?.index ?? 0) + 1 };
    // Of some of a range only the log could tell which: so they are named.
    const place = filter === undefined ? range : { indexes: opened };
    if (opened.length > 0) await reads.recordRead({ reader, purpose, place, count: opened.length });
    else await reads.recordRead({ reader, purpose, place, count: contents.length, codes });
  }

  /** What is there, until an answer is full. */
  async #find(from: number, to: number): Promise<Found[]> {
    const found: Found[] = [];
    let bytes = 0;
    for (let first = from; first < to; first += STEP_ENTRIES) {
      for (const entry of await this.#findAll(first, Math.min(first + STEP_ENTRIES, to))) {
        found.push(entry);
        bytes += entry.opened?.opening.length ?? 0;
        if (bytes >= BYTES_MAX) return found;
      }
    }
    return found;
  }

  async #findAll(from: number, to: number): Promise<Found[]> {
    const { reader } = this.#options;
    const indexes = Array.from({ length: to - from }, (_, at) => from + at);
    // One that is damaged must not hide the others: then each is read alone.
    const rows = await Promise.all([reader.leaves(indexes), reader.sealedRows(indexes)]).catch(() => undefined);
    return Promise.all(
      indexes.map(async (index, at) => this.#findOne(index, { leaf: rows?.[0][at], sealed: rows?.[1][at] })),
    );
  }

  async #findOne(
    index: number,
    known: { readonly leaf: Uint8Array | undefined; readonly sealed: Uint8Array | undefined },
  ): Promise<Found> {
    const { reader } = this.#options;
    try {
      const leaf = known.leaf ?? (await reader.leaf(index));
      return { index, opened: await reader.open(index, leaf, known.sealed) };
    } catch (error) {
      const code = unreadCode(error);
      if (code === undefined) throw error;
      const certificate = error instanceof LogError ? error.details["certificate"] : undefined;
      return { index, unread: { index, code, ...(typeof certificate === "number" ? { certificate } : {}) } };
    }
  }
}

function answerOf({ index, opened, unread }: Found): ReadOpening {
  return unread ?? { index, opening: opened?.opening ?? new Uint8Array() };
}

/** What keeps one entry from being shown, and nothing else; `undefined` for trouble of the whole log. */
export function unreadCode(error: unknown): UnreadCode | undefined {
  if (error instanceof EventError) return "log-corrupt";
  if (error instanceof StorageError) return error.code === "storage-corrupt" ? "log-corrupt" : undefined;
  if (!(error instanceof LogError)) return undefined;
  return error.code === "erased" || error.code === "key-lost" || error.code === "log-corrupt" ? error.code : undefined;
}
