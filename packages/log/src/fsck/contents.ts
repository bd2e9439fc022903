/** Sealed events: do they open, to the event of their leaf, and are the leaf's tags those of its persons? */
import { TallystickError, encodeHex, equalBytes } from "@tallystick/core";
import {
  type Leaf,
  type TallyEvent,
  dayOf,
  decodeEvent,
  decodeOpening,
  decodeSealed,
  retentionClass,
  sessionTagOf,
} from "@tallystick/events";
import { partiesOf } from "../candidate.ts";
import { type LogSecrets, decodeSealedRow } from "../keys.ts";
import type { Stored } from "./reader.ts";
import type { Findings } from "./report.ts";

export class ContentsCheck {
  readonly #secrets: LogSecrets | undefined;
  readonly #findings: Findings;
  opened = 0;
  erased = 0;

  constructor(secrets: LogSecrets | undefined, findings: Findings) {
    this.#secrets = secrets;
    this.#findings = findings;
  }

  /** Gives the event, where it opens. */
  check(index: number, leaf: Leaf, row: Stored): TallyEvent | undefined {
    if (row === "damaged") return undefined;
    if (row === "missing") {
      this.#findings.add("sealed-missing", index, `index ${index}: its sealed event is not stored`);
      return undefined;
    }
    if (!this.#isFiled(index, leaf, row)) return undefined;
    const contents = this.#secrets?.examine({ row, commitment: leaf.commitment });
    if (contents === undefined) return undefined;
    if (contents.kind === "opened") return this.#checkEvent(index, leaf, contents);
    if (contents.kind === "erased") this.erased += 1;
    else if (contents.kind === "unopenable") {
      this.#findings.add("sealed-malformed", index, `index ${index}: ${contents.cause.message}`);
    } else {
      const text = `index ${index}: the key store has no ${contents.key} key for its sealed event, and none was destroyed`;
      this.#findings.add("key-missing", index, text);
    }
    return undefined;
  }

  /** Sealed under the keys of the leaf's class and day: else destroying those would not erase it. */
  #isFiled(index: number, leaf: Leaf, row: Uint8Array): boolean {
    try {
      const sealed = decodeSealed(decodeSealedRow(row).bytes);
      const day = dayOf(leaf.loggedAt);
      if (sealed.class === leaf.class && sealed.day === day) return true;
      const text = `index ${index}: sealed under class ${sealed.class} and day ${sealed.day}, the leaf has ${leaf.class} and ${day}`;
      this.#findings.add("sealed-malformed", index, text);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#findings.add("sealed-malformed", index, `index ${index}: ${error.message}`);
    }
    return false;
  }

  #checkEvent(
    index: number,
    leaf: Leaf,
    { opening, person }: { readonly opening: Uint8Array; readonly person: Uint8Array | null },
  ): TallyEvent | undefined {
    let event: TallyEvent;
    try {
      event = decodeEvent(decodeOpening(opening).event);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#findings.add("contents-mismatch", index, `index ${index}: the event does not decode: ${error.message}`);
      return undefined;
    }
    this.opened += 1;
    if (retentionClass(event) !== leaf.class) {
      const text = `index ${index}: the event's class is ${retentionClass(event)}, the leaf's ${leaf.class}`;
      this.#findings.add("contents-mismatch", index, text);
    }
    this.#checkTags(index, leaf, event);
    this.#checkPerson(index, event, person);
    return event;
  }

  #checkTags(index: number, leaf: Leaf, event: TallyEvent): void {
    const wanted = sessionTagOf(event);
    const session = leaf.session?.tag ?? null;
    if (wanted === null ? session !== null : session === null || !equalBytes(session, wanted))
      this.#mismatch(index, "session");
    const parties = partiesOf(event);
    for (const kind of ["actor", "subject", "tenant"] as const) {
      const [id, chain] = [parties[kind], leaf[kind]];
      if (id === undefined && chain === null) continue;
      // A key that is gone leaves nothing to compare with; whoever made the tag made it with that key.
      const holds =
        id !== undefined &&
        chain !== null &&
        (this.#secrets?.isTagOf(kind, { tag: chain.tag, id, day: parties.day }) ?? true);
      if (!holds) this.#mismatch(index, kind);
    }
  }

  #mismatch(index: number, kind: string): void {
    this.#findings.add(
      "tag-mismatch",
      index,
      `index ${index}: the leaf's ${kind} tag is not that of the event's ${kind}`,
    );
  }

  /** Sealed under the key of the event's own person: else destroying that key would not erase it. */
  #checkPerson(index: number, event: TallyEvent, person: Uint8Array | null): void {
    const id = partiesOf(event).person;
    const wanted = id === undefined ? null : this.#secrets?.existingReference(id);
    if ((wanted === null && person === null) || (wanted && person && encodeHex(wanted) === encodeHex(person))) return;
    const text = `index ${index}: it is not sealed under the key of the person whom it is about`;
    this.#findings.add("sealed-malformed", index, text);
  }
}
