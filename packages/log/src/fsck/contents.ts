/**
 * Sealed events: do they open, to the event of their leaf, and are the leaf's tags those of its persons? One that does not
 * open is damage, unless a certificate of an erasure covers its entry. Certificates stand behind what they cover, so that
 * is settled at the end.
 */
import { TallystickError, decodeUtf8, encodeHex, equalBytes } from "@tallystick/core";
import {
  CERTIFICATE_TYPE,
  CertificateAudit,
  type ChainEnd,
  type Finding,
  HOLD_CLASS,
  HOLD_TYPE,
  type Leaf,
  type PromisedDays,
  RULES_TYPE,
  type TallyEvent,
  dayOf,
  decodeCbor,
  decodeEvent,
  decodeLeaf,
  decodeOpening,
  decodeSealed,
  retentionClass,
  sessionTagOf,
} from "@tallystick/events";
import { indexKey } from "@tallystick/storage";
import { partiesOf } from "../candidate.ts";
import { erasedClassDayRow } from "../disposition/erased.ts";
import { listOf, numberOf } from "../heads.ts";
import { type Contents, type LogSecrets, decodeSealedRow } from "../keys.ts";
import { type LostRange, lostRangesOf } from "../lost-keys.ts";
import { TABLE } from "../rows.ts";
import { parseRules } from "../rules/parse-rules.ts";
import { type Rules, ruleOf, rulesDigest } from "../rules/rules.ts";
import { IndexSet } from "./index-set.ts";
import type { DamagedReader, Stored } from "./reader.ts";
import type { Findings, FsckCode } from "./report.ts";

/** Entries that are read again in one go. */
const GROUP = 256;

export interface ContentsCheckOptions {
  /** Without it only the form of sealed events is checked. */
  readonly secrets: LogSecrets | undefined;
  readonly reader: DamagedReader;
  readonly findings: Findings;
  /** The chain of a person's tag, as replayed up to now. */
  readonly chainOf: (tag: Uint8Array) => ChainEnd | undefined;
}

/** What is behind a leaf: an event, or why there is none. */
interface Judgement {
  readonly event?: TallyEvent;
  readonly doubts: readonly Doubt[];
}

interface Damage {
  readonly code: FsckCode;
  readonly message: string;
}

/** Damage, unless a certificate covers the entry, or lists this tag. */
interface Doubt extends Damage {
  readonly tag?: Uint8Array;
}

/** Memory: that of {@link CertificateAudit}, and a bit for each entry in doubt. */
export class ContentsCheck {
  readonly #secrets: LogSecrets | undefined;
  readonly #reader: DamagedReader;
  readonly #findings: Findings;
  readonly #certificates: CertificateAudit;
  /** In doubt till all certificates are known. */
  readonly #doubted = new IndexSet();
  /** Entries whose keys were lost, as the log itself says. */
  readonly #lost: LostRange[] = [];
  opened = 0;
  erased = 0;
  lost = 0;

  constructor({ secrets, reader, findings, chainOf }: ContentsCheckOptions) {
    this.#secrets = secrets;
    this.#reader = reader;
    this.#findings = findings;
    this.#certificates = new CertificateAudit(chainOf);
  }

  /**
   * Gives the event, where it opens.
   *
   * @param isReplayed - Whether all leaves before were: else what certificates say of them cannot be compared.
   */
  check(index: number, leaf: Leaf, row: Stored, isReplayed: boolean): TallyEvent | undefined {
    const { event, doubts } = this.#judge(leaf, row, (found) => this.#add(index, found));
    const isAsked = this.#secrets !== undefined && row !== "damaged";
    this.#certificates.leaf(index, leaf, event !== undefined ? "open" : isAsked ? "gone" : "unknown");
    if (doubts.length > 0) this.#doubted.add(index);
    if (event === undefined) return undefined;
    this.opened += 1;
    this.#lost.push(...lostRangesOf(event));
    if (event.type === CERTIFICATE_TYPE) this.#checkCertificate(index, leaf, event, isReplayed);
    if (event.type === RULES_TYPE) this.#certificates.rules(leaf, event);
    if (event.type === HOLD_TYPE) this.#certificates.hold(leaf, event);
    return event;
  }

  #checkCertificate(index: number, leaf: Leaf, event: TallyEvent, isReplayed: boolean): void {
    const found = this.#certificates.certificate(index, leaf, event);
    for (const each of found) if (isReplayed || each.code !== "certificate-scope-wrong") this.#addAudited(each);
  }

  /**
   * Settles what was in doubt. Call once, after the last entry.
   *
   * @param loggedAt - Of the last leaf; `undefined` where leaves could not be replayed to the end.
   */
  async finish(loggedAt: number | undefined): Promise<void> {
    if (loggedAt !== undefined && this.#secrets !== undefined) {
      const rules = await this.#readRules();
      const promisedBy = (digest: string): PromisedDays | undefined => {
        const known = rules.get(digest);
        return known && ((name) => ruleOf(known, name).atLeastDays);
      };
      for (const found of this.#certificates.finish({ loggedAt }, promisedBy)) this.#addAudited(found);
    }
    let group: number[] = [];
    for (const index of this.#doubted) {
      group.push(index);
      if (group.length < GROUP) continue;
      await this.#settle(group);
      group = [];
    }
    await this.#settle(group);
  }

  /** Rules that were ever approved, by digest. What is wrong with their rows is told with these. */
  async #readRules(): Promise<ReadonlyMap<string, Rules>> {
    const rules = new Map<string, Rules>();
    for await (const { value } of this.#reader.scan(TABLE.rules)) {
      try {
        rules.set(rulesDigest(value), parseRules(decodeUtf8(value), { where: "rules" }));
      } catch (error) {
        if (!(error instanceof TallystickError)) throw error;
      }
    }
    return rules;
  }

  async #settle(indexes: readonly number[]): Promise<void> {
    const keys = indexes.map(indexKey);
    const leaves = await this.#reader.rows(TABLE.leaf, keys);
    const rows = await this.#reader.rows(TABLE.sealed, keys);
    for (const [at, index] of indexes.entries()) {
      const [bytes, row] = [leaves[at], rows[at]];
      // Both were read before; what does not read now has been reported.
      if (bytes === undefined || typeof bytes === "string" || row === undefined) continue;
      const leaf = decodeLeaf(bytes);
      const judgement = this.#judge(leaf, row, () => undefined);
      // Without keys no certificate opens: what the rows say has to do.
      if (this.#secrets === undefined && row === "missing" && (await this.#isPruned(index, leaf))) this.erased += 1;
      else this.#excuse(index, leaf, judgement);
    }
  }

  /** Whether a row says that the class-day of an entry was destroyed: then its sealed event was removed from the disk. */
  async #isPruned(index: number, leaf: Leaf): Promise<boolean> {
    const { key } = erasedClassDayRow({ class: leaf.class, day: dayOf(leaf.loggedAt) }, 0, 0);
    const row = await this.#reader.row(TABLE.erased, key);
    if (typeof row === "string") return false;
    const place = { code: "sealed-missing", index, what: "a row of table erased" } as const;
    const before = this.#findings.decode(place, () => numberOf(listOf(decodeCbor(row), "erased")[1], "erased before"));
    return before !== undefined && index < before;
  }

  #excuse(index: number, leaf: Leaf, { event, doubts }: Judgement): void {
    const { certificates } = this.#certificates;
    const isCovered = certificates.covering(index, leaf) !== undefined;
    if (isCovered && event === undefined) this.erased += 1;
    if (!isCovered && event === undefined && this.#lost.some(({ first, last }) => index >= first && index <= last)) {
      this.lost += 1;
      return;
    }
    for (const doubt of doubts) {
      const isExcused = doubt.tag === undefined ? isCovered : certificates.listing(index, doubt.tag) !== undefined;
      if (!isExcused) this.#add(index, doubt);
    }
  }

  #add(index: number, { code, message }: Damage): void {
    this.#findings.add(code, index, `index ${index}: ${message}`);
  }

  #addAudited({ code, index, message }: Finding): void {
    if (code === "head-not-in-history" || code === "sender-key-unexpected") return;
    this.#findings.add(code, index, index === undefined ? message : `index ${index}: ${message}`);
  }

  /** @param add - Told of damage that no certificate excuses. */
  #judge(leaf: Leaf, row: Stored, add: (found: Damage) => void): Judgement {
    if (row === "damaged") return { doubts: [] };
    if (row === "missing") return { doubts: [{ code: "sealed-missing", message: "its sealed event is not stored" }] };
    const filed = this.#filedAs(leaf, row, add);
    const contents = filed === undefined ? undefined : this.#secrets?.examine({ row, commitment: leaf.commitment });
    if (filed === undefined || contents === undefined) return { doubts: [] };
    if (contents.kind !== "opened") return { doubts: [doubtOf(contents)] };
    const event = decoded(contents.opening, add);
    if (event === undefined) return { doubts: [] };
    if (retentionClass(event) !== leaf.class) {
      const message = `the event's class is ${retentionClass(event)}, the leaf's ${leaf.class}`;
      add({ code: "contents-mismatch", message });
    }
    this.#checkSession(leaf, event, add);
    const isAnew = filed === "hold" || (contents.person === null && partiesOf(event).person !== undefined);
    if (!isAnew || contents.person !== null) this.#checkPerson(event, contents.person, add);
    return { event, doubts: [...(isAnew ? [SEALED_ANEW] : []), ...this.#tagDoubts(leaf, event)] };
  }

  /** Sealed under the keys of the leaf's class and day, else destroying those would not erase it; or anew for a hold. */
  #filedAs(leaf: Leaf, row: Uint8Array, add: (found: Damage) => void): "class" | "hold" | undefined {
    try {
      const sealed = decodeSealed(decodeSealedRow(row).bytes);
      const day = dayOf(leaf.loggedAt);
      if (sealed.day === day && sealed.class === leaf.class) return "class";
      if (sealed.day === day && HOLD_CLASS.test(sealed.class)) return "hold";
      const message = `sealed under class ${sealed.class} and day ${sealed.day}, the leaf has ${leaf.class} and ${day}`;
      add({ code: "sealed-malformed", message });
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      add({ code: "sealed-malformed", message: error.message });
    }
    return undefined;
  }

  #checkSession(leaf: Leaf, event: TallyEvent, add: (found: Damage) => void): void {
    const wanted = sessionTagOf(event);
    const session = leaf.session?.tag ?? null;
    const holds = wanted === null || session === null ? wanted === session : equalBytes(session, wanted);
    if (!holds) add(mismatchOf("session"));
  }

  /** A person who was erased and came back has another key: their tags from before are none of that one. */
  #tagDoubts(leaf: Leaf, event: TallyEvent): Doubt[] {
    const parties = partiesOf(event);
    return (["actor", "subject", "tenant"] as const).flatMap((kind) => {
      const [id, chain] = [parties[kind], leaf[kind]];
      if (id === undefined && chain === null) return [];
      if (id === undefined || chain === null) return [mismatchOf(kind)];
      const { tag } = chain;
      // A key that is gone leaves nothing to compare with; whoever made the tag made it with that key.
      const isOfIt = this.#secrets?.isTagOf(kind, { tag, id, day: parties.day }) ?? true;
      return isOfIt ? [] : [{ ...mismatchOf(kind), tag }];
    });
  }

  /** Sealed under the key of the event's own person: else destroying that key would not erase it. */
  #checkPerson(event: TallyEvent, person: Uint8Array | null, add: (found: Damage) => void): void {
    const id = partiesOf(event).person;
    const wanted = id === undefined ? null : this.#secrets?.existingReference(id);
    if ((wanted === null && person === null) || (wanted && person && encodeHex(wanted) === encodeHex(person))) return;
    const message = "it is not sealed under the key of the person whom it is about";
    add({ code: "sealed-malformed", message });
  }
}

function mismatchOf(kind: string): Damage {
  return { code: "tag-mismatch", message: `the leaf's ${kind} tag is not that of the event's ${kind}` };
}

const SEALED_ANEW: Doubt = {
  code: "sealed-malformed",
  message: "it is sealed anew, as for a hold or a duty to keep it, and no certificate of an erasure covers it",
};

function doubtOf(contents: Exclude<Contents, { readonly kind: "opened" }>): Doubt {
  if (contents.kind === "unopenable") return { code: "sealed-malformed", message: contents.cause.message };
  if (contents.kind === "erased") {
    return { code: "contents-destroyed", message: "its key was destroyed, and no certificate of an erasure covers it" };
  }
  const message = `the key store has no ${contents.key} key for its sealed event, and none was destroyed`;
  return { code: "key-missing", message };
}

function decoded(opening: Uint8Array, add: (found: Damage) => void): TallyEvent | undefined {
  try {
    return decodeEvent(decodeOpening(opening).event);
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    add({ code: "contents-mismatch", message: `the event does not decode: ${error.message}` });
    return undefined;
  }
}
