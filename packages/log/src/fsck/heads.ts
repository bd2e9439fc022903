/** The stored heads and checkpoints: do they bear the log's signature, and are their roots those of the tree? */
import { TallystickError, type Verifier, equalBytes, openNote, parseCheckpoint } from "@tallystick/core";
import { type IntegratedHead, type SignedHead, decodeIntegratedHead, decodeSignedHead } from "../heads.ts";
import { TABLE } from "../rows.ts";
import { indexKey } from "@tallystick/storage";
import type { DamagedReader, Stored } from "./reader.ts";
import type { Findings } from "./report.ts";
import type { TreeReplay } from "./tree.ts";

interface Claim {
  readonly what: string;
  readonly head: SignedHead;
}

export class HeadsCheck {
  readonly #reader: DamagedReader;
  readonly #findings: Findings;
  readonly #origin: string;
  readonly #verifiers: readonly Verifier[];
  #claims: Claim[] = [];
  #checkpoints: AsyncIterator<Claim> | undefined;
  #next: Claim | undefined;
  checkpoints = 0;

  constructor(input: {
    readonly reader: DamagedReader;
    readonly findings: Findings;
    readonly origin: string;
    readonly verifiers: readonly Verifier[];
  }) {
    this.#reader = input.reader;
    this.#findings = input.findings;
    this.#origin = input.origin;
    this.#verifiers = input.verifiers;
  }

  /** Reads the three heads; gives the integrated one, without which nothing else can be judged. */
  async read(): Promise<IntegratedHead | undefined> {
    const integrated = this.#decoded("integrated head", await this.#reader.head("integrated"), decodeIntegratedHead);
    const signed = this.#decoded("signed head", await this.#reader.head("signed"), decodeSignedHead);
    const published = this.#decoded("published head", await this.#reader.head("published"), decodeSignedHead);
    this.#assertOrder(integrated?.size ?? 0, signed, published);
    for (const [what, head] of [["signed head", signed] as const, ["published head", published] as const]) {
      if (head !== undefined && this.#isOurs(what, head)) this.#claims.push({ what, head });
    }
    if (published !== undefined) await this.#checkKept(published);
    this.#checkpoints = this.#scanCheckpoints();
    await this.#advance();
    return integrated;
  }

  #decoded<T>(name: string, stored: Stored, decode: (bytes: Uint8Array) => T): T | undefined {
    if (typeof stored === "string") return undefined;
    return this.#findings.decode({ code: "head-malformed", what: name }, () => decode(stored));
  }

  #assertOrder(size: number, signed: SignedHead | undefined, published: SignedHead | undefined): void {
    if ((signed?.size ?? 0) > size) {
      const text = `a head of size ${signed?.size} was signed, but only ${size} entries are stored: entries were lost`;
      this.#findings.add("head-mismatch", size, text);
    }
    if (published !== undefined && (signed === undefined || published.size > signed.size)) {
      const text = `a head of size ${published.size} was published, but the newest signed one is of size ${signed?.size ?? 0}`;
      this.#findings.add("head-mismatch", undefined, text);
    }
  }

  /** The published head stands among the checkpoints, byte for byte. */
  async #checkKept(published: SignedHead): Promise<void> {
    const row = await this.#reader.row(TABLE.checkpoint, indexKey(published.size));
    const what = `the published head of size ${published.size}`;
    if (row === "missing") this.#findings.add("head-missing", undefined, `${what} is not among the checkpoints`);
    const kept = this.#decoded(what, row, decodeSignedHead);
    if (kept === undefined || kept.note === published.note) return;
    this.#findings.add("checkpoint-mismatch", undefined, `${what} is not the checkpoint that is kept for this size`);
  }

  async *#scanCheckpoints(): AsyncGenerator<Claim> {
    for await (const { key, value } of this.#reader.scan(TABLE.checkpoint)) {
      const head = this.#decoded(`checkpoint ${key}`, value, decodeSignedHead);
      if (head === undefined) continue;
      this.checkpoints += 1;
      const what = `checkpoint of size ${head.size}`;
      if (indexKey(head.size) !== key)
        this.#findings.add("checkpoint-mismatch", undefined, `${what} stands under key ${key}`);
      else if (this.#isOurs(what, head)) yield { what, head };
    }
  }

  #isOurs(what: string, { note, size, rootHash }: SignedHead): boolean {
    try {
      const checkpoint = parseCheckpoint(openNote(note, this.#verifiers).text);
      const same =
        checkpoint.origin === this.#origin &&
        checkpoint.size === BigInt(size) &&
        equalBytes(checkpoint.rootHash, rootHash);
      if (same) return true;
      this.#findings.add("checkpoint-mismatch", undefined, `${what}: its note says something else than its fields`);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#findings.add(
        "checkpoint-mismatch",
        undefined,
        `${what} does not bear this log's signature: ${error.message}`,
      );
    }
    return false;
  }

  /** Whether some head is said to be of the tree as it is now. */
  isDue(size: number): boolean {
    return this.#next?.head.size === size || this.#claims.some(({ head }) => head.size === size);
  }

  /** Compares the heads of the tree's present size with its root. */
  async compare(tree: TreeReplay): Promise<void> {
    for (const claim of this.#claims) if (claim.head.size === tree.size) this.#compareRoot(claim, tree);
    while (this.#next?.head.size === tree.size) {
      this.#compareRoot(this.#next, tree);
      await this.#advance();
    }
  }

  #compareRoot({ what, head }: Claim, tree: TreeReplay): void {
    const rootHash = tree.rootHash();
    if (rootHash === undefined || equalBytes(rootHash, head.rootHash)) return;
    const text = `${what} (size ${head.size}): its root is not the one that the first ${head.size} entries have`;
    this.#findings.add("root-mismatch", head.size === 0 ? undefined : head.size - 1, text);
  }

  /** Says what heads there are beyond the tree. Call after the last leaf. */
  async finish(size: number): Promise<void> {
    for (; this.#next !== undefined; await this.#advance()) {
      const text = `${this.#next.what}: only ${size} entries are stored`;
      this.#findings.add("beyond-head", undefined, text);
    }
  }

  async #advance(): Promise<void> {
    const step = await this.#checkpoints?.next();
    this.#next = step === undefined || step.done === true ? undefined : step.value;
  }
}
