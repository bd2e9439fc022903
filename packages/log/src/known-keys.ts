/**
 * Which keys and tokens a log knows of, so that every change of them is an entry of the log, `log.key`.
 *
 * They come from files that may change while the log does not run. So what was noted last is kept in rows, written in the
 * commit of the entry that notes it: a change is noted once, also across a crash. The first set of a kind is kept without
 * an entry.
 */
import { equalBytes } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import type { KeyFacts, KnownKey, KnownKeyKind } from "./log-api.ts";
import { TABLE } from "./rows.ts";
import type { Sequencer } from "./sequencer.ts";

/** How an entry calls it, by what happened. */
const CHANGES = {
  checkpoint: { added: "added", gone: "retired", other: "replaced" },
  sender: { added: "added", gone: "retired", other: "replaced" },
  master: { added: "added", gone: "retired", other: "rewrapped" },
  token: { added: "token-created", gone: "token-revoked", other: "token-changed" },
} as const;

/** Changes in one commit. */
const CHANGES_AT_ONCE = 100;

interface Change {
  readonly change: string;
  readonly facts: KeyFacts;
  readonly row: Row;
}

export interface KnownKeysOptions {
  readonly storage: LogStorage;
  readonly sequencer: Pick<Sequencer, "reportAll">;
}

export class KnownKeys {
  readonly #options: KnownKeysOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: KnownKeysOptions) {
    this.#options = options;
  }

  /** Notes how these differ from those that were noted last. @throws {LogError} Where nothing can be appended. */
  async report(kind: KnownKeyKind, keys: readonly KnownKey[]): Promise<void> {
    const reported = this.#last.then(async () => this.#report(kind, keys));
    this.#last = reported.catch(() => undefined);
    return reported;
  }

  async #report(kind: KnownKeyKind, keys: readonly KnownKey[]): Promise<void> {
    const { storage, sequencer } = this.#options;
    const stored = await this.#stored(kind);
    if (stored === undefined) {
      const begun: Row = { table: TABLE.knownKey, key: kind, value: encodeCbor([]) };
      await storage.putRows([...keys.map((key) => rowOf(kind, key)), begun]);
      return;
    }
    const changes = differences(kind, stored, keys);
    for (let at = 0; at < changes.length; at += CHANGES_AT_ONCE) {
      const some = changes.slice(at, at + CHANGES_AT_ONCE);
      const events = some.map(({ change, facts }) => {
        const context = { change, ...(kind === "token" ? {} : { key: kind }), ...facts };
        return { type: "log.key", context };
      });
      await sequencer.reportAll(events, () => some.map(({ row }) => row));
    }
  }

  /** By key of their rows; `undefined` where this kind was never noted. */
  async #stored(kind: KnownKeyKind): Promise<Map<string, Uint8Array> | undefined> {
    const { storage } = this.#options;
    if ((await storage.getRow(TABLE.knownKey, kind)) === undefined) return undefined;
    const rows = new Map<string, Uint8Array>();
    // ";" follows ":" in the order of bytes.
    for await (const { key, value } of storage.scanRows(TABLE.knownKey, { gt: `${kind}:`, lt: `${kind};` }))
      rows.set(key, value);
    return rows;
  }
}

function differences(kind: KnownKeyKind, stored: ReadonlyMap<string, Uint8Array>, keys: readonly KnownKey[]): Change[] {
  const words = CHANGES[kind];
  const changes: Change[] = [];
  const now = new Set<string>();
  for (const known of keys) {
    const row = rowOf(kind, known);
    now.add(row.key);
    const before = stored.get(row.key);
    if (before !== undefined && equalBytes(before, row.value ?? before)) continue;
    const change = before === undefined ? words.added : words.other;
    changes.push({ change, facts: known.facts, row });
  }
  for (const [key, value] of stored) {
    if (now.has(key)) continue;
    const facts = decodeCbor(value) as KeyFacts;
    changes.push({ change: words.gone, facts, row: { table: TABLE.knownKey, key, value: null } });
  }
  return changes;
}

function rowOf(kind: KnownKeyKind, { id, facts }: KnownKey): Row {
  return { table: TABLE.knownKey, key: `${kind}:${id}`, value: encodeCbor({ ...facts }) };
}
