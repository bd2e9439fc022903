/**
 * The contents in an audit: every entry opens to what its leaf commits to, or a certificate covers it. Anything else is
 * destroyed evidence.
 *
 * A certificate stands behind the entries that it covers. So that these need not be remembered one by one, the log says
 * with each which certificate it is; that one is looked at ahead, and held against its own entry when the audit gets there.
 */
import { TallystickError, encodeHex } from "@tallystick/core";
import {
  CERTIFICATE_TYPE,
  type Certificate,
  CertificateAudit,
  Certificates,
  type Finding,
  HOLD_CLASS,
  HOLD_TYPE,
  type Leaf,
  type LeafAudit,
  NO_DIGEST,
  type PromisedDays,
  RULES_TYPE,
  type TallyEvent,
  computeCommitment,
  coversLeaf,
  dayOf,
  decodeEvent,
  decodeOpening,
  finding,
  parseCertificate,
} from "@tallystick/events";
import { compareWithContents, openLeaf } from "./receipt.ts";

/** Indexes and entries that are kept one by one; the rest is counted. */
const KEPT_MAX = 1000;
/** Entries without contents for which the log names no certificate that covers them: they wait for one till the end. */
const WAITING_MAX = 10_000;
/** Certificates that are looked at ahead: a log that names another for each entry must not fill the memory. */
const AHEAD_MAX = 100_000;

/** What the log says instead of contents: that a key was destroyed. */
export interface ErasedContents {
  /** Index of the `log.erasure` entry that it names; absent where it names none. */
  readonly certificate?: number;
}

/** Fetches the opening of an entry; `undefined` where the log shows nothing and says nothing of an erasure. */
export type OpeningOf = (index: number) => Promise<Uint8Array | ErasedContents | undefined>;

/**
 * Fetches the openings of entries that stand behind each other, from index `from` on, each as {@link OpeningOf} gives it: at
 * least one, at most `limit`. `undefined` where the log gives no ranges: from then on each is asked for alone.
 */
export type OpeningsOf = (range: {
  readonly from: number;
  readonly limit: number;
}) => Promise<readonly ShownContents[] | undefined>;

/** What a log shows of an entry's contents. */
export type ShownContents = Awaited<ReturnType<OpeningOf>>;

/** What it showed before it was the entry's turn. */
export interface Fetched {
  readonly shown: ShownContents;
}

/** Fetches what rules promise that were approved once, by the digest in their `log.rules` entry; `undefined` where the log does not show them. */
export type PromisedBy = (digest: string) => Promise<PromisedDays | undefined>;

export interface ContentsAuditOptions {
  readonly openingOf: OpeningOf;
  /** Without it nothing is said of what was destroyed before its time. */
  readonly promisedBy?: PromisedBy | undefined;
  readonly leaves: LeafAudit;
  readonly size: number;
  /** Whether only the log's own entries are opened: then nothing is said of the others. */
  readonly ownOnly: boolean;
  readonly add: (found: Finding) => void;
  /** How many entries may wait one by one; 10,000 by default. */
  readonly waitingMax?: number;
}

/** A certificate that the log named, before the audit reached it. */
interface Foreseen {
  readonly commitment: string;
  isConfirmed: boolean;
  /** Entries that rest on it, and the first of them. */
  relying: number;
  first: number;
}

interface Waiting {
  readonly index: number;
  readonly leaf: Leaf;
  readonly named: number | undefined;
}

/** Entries of a class-day that wait for its certificate, once too many wait one by one. */
interface WaitingDay {
  readonly first: Waiting;
  count: number;
}

/** Memory: that of {@link CertificateAudit}, a row for each certificate that is named, and bounded lists. */
export class ContentsAudit {
  readonly certificates: CertificateAudit;
  readonly #options: ContentsAuditOptions;
  readonly #ahead = new Certificates();
  /** Those that the log shows behind the audited head. */
  readonly #beyond = new Map<number, Certificate>();
  readonly #foreseen = new Map<number, Foreseen>();
  /** Asked for ahead, whatever came of it. */
  readonly #asked = new Set<number>();
  readonly #waiting: Waiting[] = [];
  readonly #waitingDays = new Map<string, WaitingDay>();
  opened = 0;
  /** Entries that a certificate covers. */
  erased = 0;
  /** Erased under a certificate that the log shows behind the audited head: nothing is proved of them yet. */
  withheldTotal = 0;
  readonly withheld: number[] = [];
  /** Digests of rules under which something was logged that is destroyed, and that the log does not show. */
  readonly rulesWithheld: string[] = [];

  constructor(options: ContentsAuditOptions) {
    this.#options = options;
    this.certificates = new CertificateAudit((tag) => options.leaves.personChain(tag));
  }

  /**
   * Gives the event, where it opens.
   *
   * @param fetched - What the log showed, where that was asked already. What is asked for out of turn, ahead or again, is
   *   asked for alone, and so says how it is at that time.
   */
  async check(index: number, leaf: Leaf, fetched?: Fetched): Promise<TallyEvent | undefined> {
    if (this.#options.ownOnly && leaf.class !== "log") {
      this.certificates.leaf(index, leaf, "unknown");
      return undefined;
    }
    const shown = fetched === undefined ? await this.#options.openingOf(index) : fetched.shown;
    if (shown instanceof Uint8Array) {
      this.certificates.leaf(index, leaf, "open");
      return this.#open(index, leaf, shown);
    }
    const isBeyond = await this.#isErasedBeyond(index, leaf, shown);
    this.certificates.leaf(index, leaf, isBeyond ? "unknown" : "gone");
    if (isBeyond) {
      this.#withhold(index);
      return undefined;
    }
    if (this.certificates.certificates.covering(index, leaf) === undefined) await this.#wait(index, leaf, shown);
    else this.erased += 1;
    return undefined;
  }

  /** Whether the log shows a certificate that covers an entry, behind the audited head: a later audit proves it, or not. */
  async #isErasedBeyond(index: number, leaf: Leaf, shown: ErasedContents | undefined): Promise<boolean> {
    const named = shown?.certificate;
    if (named === undefined || named < this.#options.size) return false;
    await this.#lookAhead(named);
    const certificate = this.#beyond.get(named);
    return certificate !== undefined && (coversLeaf(certificate, index, leaf) || isOfHold(certificate, index, leaf));
  }

  #open(index: number, leaf: Leaf, opening: Uint8Array): TallyEvent | undefined {
    try {
      const event = openLeaf(leaf, opening);
      compareWithContents(leaf, event);
      this.opened += 1;
      if (event.type === CERTIFICATE_TYPE) this.#certificate(index, leaf, event);
      if (event.type === RULES_TYPE) this.certificates.rules(leaf, event);
      if (event.type === HOLD_TYPE) this.certificates.hold(leaf, event);
      return event;
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#options.add(finding("contents-mismatch", index, error.message));
      return undefined;
    }
  }

  #certificate(index: number, leaf: Leaf, event: TallyEvent): void {
    const found = this.certificates.certificate(index, leaf, event);
    for (const each of found) this.#options.add(each);
    const foreseen = this.#foreseen.get(index);
    if (foreseen === undefined || found.some(({ code }) => code === "certificate-malformed")) return;
    foreseen.isConfirmed = foreseen.commitment === encodeHex(leaf.commitment);
  }

  async #wait(index: number, leaf: Leaf, shown: ErasedContents | undefined): Promise<void> {
    const named = shown?.certificate;
    if (named !== undefined && named > index && named < this.#options.size) await this.#lookAhead(named);
    const covering = this.#foreseen.get(this.#ahead.covering(index, leaf) ?? -1);
    if (covering !== undefined) {
      if (covering.relying === 0) covering.first = index;
      covering.relying += 1;
    } else this.#remember({ index, leaf, named });
  }

  #remember(waiting: Waiting): void {
    if (this.#waiting.length < (this.#options.waitingMax ?? WAITING_MAX)) {
      this.#waiting.push(waiting);
      return;
    }
    const { leaf } = waiting;
    const key = `${leaf.class} ${dayOf(leaf.loggedAt)}`;
    const known = this.#waitingDays.get(key);
    if (known === undefined) this.#waitingDays.set(key, { first: waiting, count: 1 });
    else known.count += 1;
  }

  /** Takes a certificate for what the log says it is; {@link finish} tells if it was. */
  async #lookAhead(index: number): Promise<void> {
    if (this.#asked.has(index) || this.#asked.size >= AHEAD_MAX) return;
    this.#asked.add(index);
    const opening = await this.#options.openingOf(index);
    if (!(opening instanceof Uint8Array)) return;
    try {
      const { salt, event } = decodeOpening(opening);
      const certificate = parseCertificate(decodeEvent(event));
      if (index >= this.#options.size) {
        this.#beyond.set(index, certificate);
        return;
      }
      this.#ahead.add(index, certificate);
      const commitment = encodeHex(computeCommitment({ salt, event }));
      this.#foreseen.set(index, { commitment, isConfirmed: false, relying: 0, first: 0 });
    } catch (error) {
      // Its own entry shows what is wrong with it.
      if (!(error instanceof TallystickError)) throw error;
    }
  }

  #withhold(index: number): void {
    this.withheldTotal += 1;
    if (this.withheld.length < KEPT_MAX) this.withheld.push(index);
  }

  /** Call once, after the last entry. @param now - The auditor's clock, in ms since 1970. */
  async finish(now: number | undefined): Promise<void> {
    const { leaves, promisedBy } = this.#options;
    const promised = new Map<string, PromisedDays | undefined>();
    for (const digest of promisedBy === undefined ? [] : this.certificates.rulesNeeded) {
      const known = digest === NO_DIGEST ? undefined : await promisedBy?.(digest);
      if (known === undefined) this.rulesWithheld.push(digest);
      promised.set(digest, known);
    }
    const times = { loggedAt: leaves.loggedAt, ...(now === undefined ? {} : { now }) };
    for (const found of this.certificates.finish(times, (digest) => promised.get(digest))) this.#options.add(found);
    for (const [index, foreseen] of this.#foreseen) this.#settle(index, foreseen);
    for (const [at, waiting] of this.#waiting.entries()) {
      const { index, leaf, named } = waiting;
      if (this.certificates.certificates.covering(index, leaf) !== undefined) this.erased += 1;
      else if (at >= KEPT_MAX) this.#destroyed(index, named);
      else await this.#askAgain(waiting);
    }
    for (const { first, count } of this.#waitingDays.values()) {
      if (this.certificates.certificates.coveringDay(first.leaf) === undefined)
        this.#destroyed(first.index, first.named, count);
      else this.erased += count;
    }
  }

  #settle(index: number, { isConfirmed, relying, first }: Foreseen): void {
    if (relying === 0) return;
    if (isConfirmed) {
      this.erased += relying;
      return;
    }
    const text = `it does not open, nor do ${relying - 1} others; the certificate that the log showed for them, of index ${index}, is not the one that is there`;
    this.#options.add(finding("contents-destroyed", first, text));
  }

  /** While somebody is being erased, contents are gone a moment before their certificate is there. */
  async #askAgain({ index, leaf, named }: Waiting): Promise<void> {
    const again = await this.#options.openingOf(index);
    const shown = again instanceof Uint8Array ? undefined : again;
    if (await this.#isErasedBeyond(index, leaf, shown)) this.#withhold(index);
    else this.#destroyed(index, shown?.certificate ?? named);
  }

  #destroyed(index: number, named: number | undefined, count: number = 1): void {
    const what = count === 1 ? "it does not open" : `it does not open, nor do ${count - 1} more of its class and day`;
    const text =
      named === undefined
        ? `${what}, and no certificate of erasure covers it`
        : `${what}, and the log names the entry of index ${named}, which is no certificate that covers it`;
    this.#options.add(finding("contents-destroyed", index, text));
  }
}

/** Whether it destroys what a hold kept of the day on which an entry was logged. */
function isOfHold({ scope }: Certificate, index: number, { loggedAt }: Leaf): boolean {
  if (!("classDay" in scope)) return false;
  const { class: retentionClass, day, first, last } = scope.classDay;
  return HOLD_CLASS.test(retentionClass) && day === dayOf(loggedAt) && index >= first && index <= last;
}
