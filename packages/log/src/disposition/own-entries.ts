/** What the log says of itself, read from the storage: entries of its own streams. */
import { setImmediate } from "node:timers/promises";
import { TallystickError } from "@tallystick/core";
import { type TallyEvent, decodeEvent, decodeLeaf, decodeOpening, isOwnLeaf } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { LogError } from "../error.ts";
import { DamagedReader, type Stored } from "../fsck/reader.ts";
import { Findings } from "../fsck/report.ts";
import type { LogSecrets } from "../keys.ts";
import { pause } from "../pause.ts";
import { TABLE } from "../rows.ts";

/** Entries that are read in one go: a millisecond or so, in which nobody else is answered. */
const STEP = 256;
/** After each step of a walk that has time: four fifths of the thread are for others, and ten million entries take some minutes. */
const PAUSE_MS = 4;

export interface OwnEntry {
  readonly index: number;
  readonly event: TallyEvent;
}

export interface OwnEntriesOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  /** Ends a walk. */
  readonly signal?: AbortSignal;
}

export interface Walk {
  readonly from: number;
  readonly to: number;
  /** Whether others go first: nobody waits for it. */
  readonly hasTime: boolean;
}

export class OwnEntries {
  readonly #options: OwnEntriesOptions;

  constructor(options: OwnEntriesOptions) {
    this.#options = options;
  }

  /**
   * The event; `undefined` where its key was lost, `null` where it is no entry of the log's own: then it says nothing.
   *
   * @throws {LogError} `log-corrupt`: it is missing, or does not open.
   */
  async at(index: number): Promise<TallyEvent | null | undefined> {
    const { storage, secrets } = this.#options;
    const key = indexKey(index);
    const [leaf, row] = [await storage.getRow(TABLE.leaf, key), await storage.getRow(TABLE.sealed, key)];
    if (leaf === undefined || row === undefined)
      throw new LogError("log-corrupt", `index ${index}: the entry is missing: run fsck`, { details: { index } });
    const decoded = decodeLeaf(leaf);
    if (!isOwnLeaf(decoded)) return null;
    const { commitment } = decoded;
    const contents = secrets.examine({ row, commitment });
    if (contents.kind === "key-missing") return undefined;
    return decodeEvent(decodeOpening(secrets.open({ row, commitment, index })).event);
  }

  /**
   * Those of a range, the newest first. What does not read or open is passed over: the scrub tells of it.
   *
   * @throws {LogError} `log-closed`
   */
  async *backwards({ from, to, hasTime }: Walk): AsyncGenerator<OwnEntry> {
    const { storage, signal = new AbortController().signal } = this.#options;
    const reader = new DamagedReader(storage, new Findings());
    for (let end = to; end > from;) {
      const first = Math.max(from, end - 1 - ((end - 1) % STEP));
      const keys = Array.from({ length: end - first }, (_, at) => indexKey(first + at));
      const leaves = await reader.rows(TABLE.leaf, keys);
      for (let at = leaves.length - 1; at >= 0; at -= 1) {
        const event = await this.#opened(leaves[at], async () => reader.row(TABLE.sealed, indexKey(first + at)));
        if (event !== undefined) yield { index: first + at, event };
      }
      end = first;
      await (hasTime ? pause(PAUSE_MS, signal) : setImmediate());
      if (signal.aborted) throw new LogError("log-closed", "the log is closed");
    }
  }

  async #opened(bytes: Stored | undefined, readSealed: () => Promise<Stored>): Promise<TallyEvent | undefined> {
    try {
      if (!(bytes instanceof Uint8Array)) return undefined;
      const leaf = decodeLeaf(bytes);
      if (!isOwnLeaf(leaf)) return undefined;
      const row = await readSealed();
      if (!(row instanceof Uint8Array)) return undefined;
      const contents = this.#options.secrets.examine({ row, commitment: leaf.commitment });
      return contents.kind === "opened" ? decodeEvent(decodeOpening(contents.opening).event) : undefined;
    } catch (error) {
      if (error instanceof TallystickError) return undefined;
      throw error;
    }
  }
}
