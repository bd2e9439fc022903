/** What a check of a log's own disk finds, in what words, and what to do about it. */
import { TallystickError } from "@tallystick/core";
import type { FindingCode } from "@tallystick/events";

/** Stable; docs/reference/errors.md says what each means. */
export type FsckCode =
  | Exclude<FindingCode, "head-not-in-history" | "sender-key-unexpected" | "tile-mismatch">
  | "beyond-head"
  | "chain-row-mismatch"
  | "checkpoint-mismatch"
  | "erased-row-mismatch"
  | "head-malformed"
  | "head-mismatch"
  | "head-missing"
  | "hold-row-mismatch"
  | "id-row-mismatch"
  | "key-missing"
  | "leaf-mismatch"
  | "leaf-missing"
  | "lost-row-mismatch"
  | "pinned-row-mismatch"
  | "retention-row-mismatch"
  | "rules-row-mismatch"
  | "sealed-malformed"
  | "sealed-missing"
  | "storage-corrupt"
  | "stream-row-mismatch"
  | "tag-mismatch"
  | "tile-mismatch"
  | "tile-missing";

export interface FsckFinding {
  readonly code: FsckCode;
  /** The entry at which it shows; absent where it concerns the whole log. */
  readonly index?: number;
  readonly message: string;
  /** What to do next. */
  readonly remedy: string;
}

/** What was looked at. */
export interface FsckCounts {
  /** Entries whose leaf is there and has its hash in the tree. */
  readonly entries: number;
  /** Sealed events that were opened and are those of their leaves. */
  readonly opened: number;
  /** Entries that do not open and that a certificate of an erasure covers. */
  readonly erased: number;
  /** Entries that do not open since their key was lost, as the log itself says. */
  readonly lost: number;
  /** Tiles and partial tiles. */
  readonly tiles: number;
  readonly checkpoints: number;
  readonly streams: number;
  /** Sessions, persons by day, and tenants. */
  readonly tags: number;
  readonly batches: number;
}

export interface FsckReport {
  readonly ok: boolean;
  readonly origin: string;
  /** Entries that the integrated head says there are. */
  readonly size: number;
  /** The first thousand. */
  readonly findings: readonly FsckFinding[];
  readonly findingsTotal: number;
  readonly counts: FsckCounts;
  /**
   * Up to this index the rules that leaves keep among each other were replayed: the size, or the first leaf that could
   * not be believed.
   */
  readonly replayedTo: number;
}

const FINDINGS_MAX = 1000;

const RESTORE =
  "stop the log, keep this folder as it is, and restore the data folder as a whole from its newest good copy; the witnesses tell at the next start whether that copy is the newest";
const REBUILD = "it follows from the entries: fsck --repair rebuilds it, where all entries are unharmed";
const LOGGED =
  "it stands in the tree for good, and an audit finds it too: keep this folder and the receipts concerned, and find out who could write to it";
const KEYS =
  "restore the newest copy of the key store; entries and receipts stay valid, but these contents cannot be read without it";

const CERTIFICATE =
  "it stands in the tree for good: keep this folder, and find out who erased what; the log's own start-up completes what it ordered itself";
const DESTROYED =
  "if its key is in a backup of the key store, restore that; else it was destroyed without an order: keep this folder and find out who could write to it";

const HOLD =
  "it follows from the entries, but for whose it is: fsck --repair rebuilds it; where its person is not known any more, set it anew, then lift this one";
const RULES =
  "fsck --repair rebuilds it from the approved text, where that is in another row, the file of rules or the defaults; else restore the newest copy of the data folder";

const REMEDIES: Readonly<Record<FsckCode, string>> = {
  "batch-cut": LOGGED,
  "batch-interrupted": LOGGED,
  "batch-signature-invalid": LOGGED,
  "batch-unsigned": LOGGED,
  "beyond-head": RESTORE,
  "certificate-before-grown": CERTIFICATE,
  "certificate-inconsistent": CERTIFICATE,
  "certificate-key-repeated": CERTIFICATE,
  "certificate-malformed": CERTIFICATE,
  "certificate-scope-wrong": CERTIFICATE,
  "chain-broken": LOGGED,
  "chain-row-mismatch": REBUILD,
  "checkpoint-mismatch": RESTORE,
  "contents-destroyed": DESTROYED,
  "contents-mismatch": LOGGED,
  "erased-contents-open": CERTIFICATE,
  "erased-row-mismatch": REBUILD,
  "erasure-before-promise": CERTIFICATE,
  "erasure-not-done": CERTIFICATE,
  "erasure-not-ordered": CERTIFICATE,
  "erasure-while-held": CERTIFICATE,
  "head-malformed": RESTORE,
  "head-mismatch": RESTORE,
  "head-missing": RESTORE,
  "hold-row-mismatch": HOLD,
  "id-row-mismatch": REBUILD,
  "key-missing": KEYS,
  "leaf-malformed": LOGGED,
  "leaf-mismatch": RESTORE,
  "leaf-missing": RESTORE,
  "lost-row-mismatch": REBUILD,
  "pinned-row-mismatch": RESTORE,
  "retention-row-mismatch": REBUILD,
  "root-mismatch": RESTORE,
  "rules-row-mismatch": RULES,
  "sealed-malformed": RESTORE,
  "sealed-missing": RESTORE,
  "sequence-gap": LOGGED,
  "storage-corrupt": RESTORE,
  "stream-row-mismatch": REBUILD,
  "stream-unknown": LOGGED,
  "tag-mismatch": LOGGED,
  "tile-mismatch": REBUILD,
  "tile-missing": REBUILD,
  "time-decreased": LOGGED,
  "time-postdated": LOGGED,
};

/** Findings as they come, of which the first are kept and all are counted. */
export class Findings {
  readonly list: FsckFinding[] = [];
  total = 0;

  add(code: FsckCode, index: number | undefined, message: string): void {
    this.total += 1;
    if (this.list.length >= FINDINGS_MAX) return;
    this.list.push({ code, ...(index === undefined ? {} : { index }), message, remedy: REMEDIES[code] });
  }

  /** Decodes what was read; bytes that do not decode are a finding. */
  decode<T>(
    place: { readonly code: FsckCode; readonly index?: number; readonly what: string },
    decode: () => T,
  ): T | undefined {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.add(place.code, place.index, `${place.what}: ${error.message}`);
      return undefined;
    }
  }
}
