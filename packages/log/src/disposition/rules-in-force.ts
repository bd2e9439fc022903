/** The rules that hold, and those that did: what was approved, as the log itself keeps it. docs/reference/rules.md */
import { decodeHex, decodeUtf8, utf8 } from "@tallystick/core";
import { type TallyEvent, decodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, indexKey, parseIndexKey } from "@tallystick/storage";
import type { OwnEvent } from "../candidate.ts";
import { LogError } from "../error.ts";
import { bytesOf, listOf, numberOf } from "../heads.ts";
import type { SenderKeyRule } from "../log-api.ts";
import { TABLE } from "../rows.ts";
import { defaultRulesText } from "../rules/default-rules.ts";
import { parseRules } from "../rules/parse-rules.ts";
import { type Rules, rulesDigest } from "../rules/rules.ts";
import type { ApprovedText, Ordered, RulesInForce } from "./api.ts";
import type { OwnEntries, Walk } from "./own-entries.ts";

/** Entries that a start looks through for rules that were approved later: some milliseconds. The rest goes on beside everything else. */
const LOOKED_AT_START = 4096;

/** A text, and the `log.rules` entry that approved it. */
export interface Approved {
  readonly index: number;
  readonly text: string;
}

export function approvedRow({ index, text }: Approved): Row {
  return { table: TABLE.rules, key: indexKey(index), value: utf8(text) };
}

/** Where the text of the last version was, before that of each was kept. */
const OLDER_KEY = "current";

/**
 * The row of an older version of this program: CBOR of the index and the text. `undefined`: it is none.
 *
 * @throws {LogError | EventError} It is damaged.
 */
export function olderRow(key: string, value: Uint8Array): Approved | undefined {
  if (key !== OLDER_KEY) return undefined;
  const [index, text] = listOf(decodeCbor(value), "rules");
  return { index: numberOf(index, "rules index"), text: decodeUtf8(bytesOf(text, "rules text")) };
}

/** Rules that held from one `log.rules` entry to the next. */
export interface RulesVersion {
  /** Of its `log.rules` entry: the entries behind it were logged under these rules. */
  readonly index: number;
  /** SHA-256 of the text, in hex. */
  readonly digest: string;
  readonly rules: Rules;
}

interface Current {
  readonly text: string;
  readonly digest: string;
  /** Of the `log.rules` entry that approved them. */
  readonly index: number | undefined;
  readonly rules: Rules;
  readonly senderKeys: readonly SenderKeyRule[];
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Entries in which nothing may say that others were approved than those up to `last`. */
interface Unlooked extends Range {
  readonly last: number | undefined;
}

export class ApprovedRules {
  readonly #storage: LogStorage;
  /** Whether the rules that hold without having been approved are those of a file. */
  readonly isProposed: boolean;
  readonly #versions: RulesVersion[];
  #current: Current;
  /** Entries in which rules could stand that no row has. */
  #unlooked: Unlooked = { from: 0, to: 0, last: undefined };

  private constructor(storage: LogStorage, versions: RulesVersion[], current: Current, isProposed: boolean) {
    this.#storage = storage;
    this.#versions = versions;
    this.#current = current;
    this.isProposed = isProposed;
  }

  /**
   * The rules that were approved last; where none were yet, those that are proposed, or else the defaults.
   *
   * @throws {LogError} `rules-malformed`: what is proposed; `log-corrupt`: what was approved.
   */
  static async open(storage: LogStorage, proposed: string | undefined): Promise<ApprovedRules> {
    await takeOver(storage);
    const versions: RulesVersion[] = [];
    let current = currentOf(proposed ?? defaultRulesText, undefined);
    for await (const { key, value } of storage.scanRows(TABLE.rules)) {
      const text = storedText(key, value);
      current = currentOf(text, parseIndexKey(key));
      versions.push({ index: parseIndexKey(key), digest: current.digest, rules: current.rules });
    }
    return new ApprovedRules(storage, versions, current, proposed !== undefined);
  }

  /** All that was ever approved, in that order. */
  get versions(): readonly RulesVersion[] {
    return this.#versions;
  }

  get rules(): Rules {
    return this.#current.rules;
  }

  get senderKeys(): readonly SenderKeyRule[] {
    return this.#current.senderKeys;
  }

  get inForce(): RulesInForce {
    const { text, digest, index } = this.#current;
    return { text, digest, index };
  }

  /**
   * Whoever can write to the disk can put other rules there, or older ones back: each version has to be the one that its
   * entry approved and names as the one before, and no entry may have approved a later one.
   *
   * @throws {LogError} `log-corrupt`
   */
  async assertLogged(entries: OwnEntries, size: number): Promise<void> {
    let before: RulesVersion | undefined;
    for (const version of this.#versions) {
      // What is beyond the end was approved by no entry.
      const event = version.index < size ? await entries.at(version.index) : null;
      if (event === null || (event !== undefined && !approves(event, version, before)))
        throw changedRules(version.index);
      before = version;
    }
    const from = before === undefined ? 0 : before.index + 1;
    const looked = Math.max(Math.min(from, size), size - LOOKED_AT_START);
    const last = before?.index;
    this.#unlooked = { from, to: looked, last };
    await this.#assertLast(entries, { from: looked, to: size, last, hasTime: false });
  }

  /**
   * The rest of {@link assertLogged}: through all entries since the last check that the log itself logged.
   *
   * @param pace.hasTime - Whether others go first: nobody waits for it.
   */
  async assertRest(entries: OwnEntries, { hasTime }: Pick<Walk, "hasTime">): Promise<void> {
    await this.#assertLast(entries, { ...this.#unlooked, hasTime });
    this.#unlooked = { ...this.#unlooked, to: this.#unlooked.from };
  }

  async #assertLast(entries: OwnEntries, { last, ...walk }: Unlooked & Walk): Promise<void> {
    for await (const { index, event } of entries.backwards(walk)) {
      const { check, held, approved } = event.type === "log.check" ? (event.context ?? {}) : {};
      const told = check === "rules" && held === true ? (approved ?? -1) : undefined;
      if (event.type === "log.rules" || (typeof told === "number" && told > (last ?? -1))) throw changedRules(index);
      if (told !== (last ?? -1)) continue;
      // Of what was approved before, this entry says that it was the last.
      this.#unlooked = { from: walk.from, to: walk.from, last };
      return;
    }
  }

  /** @throws {LogError} `rules-unknown`, `log-corrupt` */
  async textOf(digest: string): Promise<ApprovedText> {
    const version = this.#versions.findLast((candidate) => candidate.digest === digest);
    if (version === undefined) throw new LogError("rules-unknown", `no rules of digest ${digest} were ever approved`);
    const { index } = version;
    const row = await this.#storage.getRow(TABLE.rules, indexKey(index));
    if (row === undefined || rulesDigest(row) !== digest) throw changedRules(index);
    return { text: decodeUtf8(row), digest, index };
  }

  /** Whether the rows on the disk are what is held in memory, and was logged. */
  async areStored(): Promise<boolean> {
    let at = 0;
    for await (const { key, value } of this.#storage.scanRows(TABLE.rules)) {
      const version = this.#versions[at];
      if (version === undefined || key !== indexKey(version.index) || rulesDigest(value) !== version.digest)
        return false;
      at += 1;
    }
    return at === this.#versions.length;
  }

  /** What approving rules logs, and the row beside it; `took` once it is durable. @throws {LogError} `rules-malformed` */
  approve({ text, by, approvedBy }: Partial<Ordered> & { readonly text: string }): {
    readonly event: OwnEvent;
    rows(index: number): Row[];
    took(index: number): void;
  } {
    const before = this.#current;
    const next = currentOf(text, undefined);
    const context = {
      digest: next.digest,
      ...(before.index === undefined ? { previous: null } : { previous: before.digest, previousIndex: before.index }),
      ...(by === undefined ? {} : { by }),
      ...(approvedBy === undefined ? {} : { approvedBy }),
    };
    return {
      event: { type: "log.rules", context },
      rows: (index) => [approvedRow({ index, text })],
      took: (index) => {
        this.#current = { ...next, index };
        this.#versions.push({ index, digest: next.digest, rules: next.rules });
      },
    };
  }
}

/** Whether a `log.rules` entry approved this version, after that one. */
function approves(
  { type, context = {} }: TallyEvent,
  { digest }: RulesVersion,
  before: RulesVersion | undefined,
): boolean {
  const { previous, previousIndex } = context;
  if (type !== "log.rules" || context["digest"] !== digest) return false;
  // Entries of older versions of this program have no index, and of what was approved before them no text was kept.
  if (previousIndex === undefined && before === undefined) return true;
  return previous === (before?.digest ?? null) && (previousIndex === undefined || previousIndex === before?.index);
}

/** Puts the row of an older version of this program where it belongs. @throws {LogError} `log-corrupt` */
async function takeOver(storage: LogStorage): Promise<void> {
  const value = await storage.getRow(TABLE.rules, OLDER_KEY);
  if (value === undefined) return;
  let older: Approved | undefined;
  try {
    older = olderRow(OLDER_KEY, value);
  } catch (cause) {
    throw noneOf(OLDER_KEY, cause);
  }
  if (older !== undefined)
    await storage.putRows([approvedRow(older), { table: TABLE.rules, key: OLDER_KEY, value: null }]);
}

/** @throws {LogError} `log-corrupt` */
function storedText(key: string, value: Uint8Array): string {
  try {
    parseIndexKey(key);
    return decodeUtf8(value);
  } catch (cause) {
    throw noneOf(key, cause);
  }
}

function noneOf(key: string, cause: unknown): LogError {
  return new LogError("log-corrupt", `the row ${JSON.stringify(key)} of table rules is none: run fsck --repair`, {
    cause,
  });
}

export function changedRules(index: number): LogError {
  const text = `the rules on the disk are not those that the log approved, as index ${index} says: they were changed there, or older ones put back. Nothing is taken in or destroyed under them; run fsck --repair`;
  return new LogError("log-corrupt", text, { details: { index, table: TABLE.rules } });
}

function currentOf(text: string, index: number | undefined): Current {
  const rules = parseRules(text, { where: "rules" });
  const senderKeys = rules.senderKeys.map(({ publicKey, from, to }) => ({
    publicKey: decodeHex(publicKey),
    from,
    ...(to === undefined ? {} : { to }),
  }));
  return { text, digest: rulesDigest(utf8(text)), index, rules, senderKeys };
}
