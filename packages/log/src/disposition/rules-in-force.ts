/** The rules that hold: those that were approved last, as the log itself keeps them. docs/reference/rules.md */
import { decodeHex, utf8 } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { bytesOf, listOf, numberOf } from "../heads.ts";
import type { OwnEvent } from "../candidate.ts";
import type { SenderKeyRule } from "../log-api.ts";
import { TABLE } from "../rows.ts";
import { parseRules } from "../rules/parse-rules.ts";
import { defaultRulesText } from "../rules/default-rules.ts";
import { type Rules, rulesDigest } from "../rules/rules.ts";
import type { Ordered, RulesInForce } from "./api.ts";

const KEY = "current";

/** What the row of the approved rules says. */
export interface Approved {
  /** Of the `log.rules` entry that approved them. */
  readonly index: number;
  readonly text: string;
}

export function approvedRow({ index, text }: Approved): Row {
  return { table: TABLE.rules, key: KEY, value: encodeCbor([index, utf8(text)]) };
}

/** @throws {LogError | EventError} It is no such row. */
export function decodeApproved(bytes: Uint8Array): Approved {
  const [index, text] = listOf(decodeCbor(bytes), "rules");
  return {
    index: numberOf(index, "rules index"),
    text: Buffer.from(bytesOf(text, "rules text")).toString("utf8"),
  };
}

interface Current {
  readonly text: string;
  readonly digest: string;
  /** Of the `log.rules` entry that approved them. */
  readonly index: number | undefined;
  readonly rules: Rules;
  readonly senderKeys: readonly SenderKeyRule[];
}

export class ApprovedRules {
  #current: Current;

  private constructor(current: Current) {
    this.#current = current;
  }

  /**
   * The rules that were approved last; where none were yet, those that are proposed, or else the defaults.
   *
   * @throws {LogError} `rules-malformed`: what is proposed; `log-corrupt`: what was approved.
   */
  static async open(storage: LogStorage, proposed: string | undefined): Promise<ApprovedRules> {
    const row = await storage.getRow(TABLE.rules, KEY);
    if (row === undefined) return new ApprovedRules(currentOf(proposed ?? defaultRulesText, undefined));
    const { index, text } = decodeApproved(row);
    return new ApprovedRules(currentOf(text, index));
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

  /** What approving rules logs, and the row beside it; `took` once it is durable. @throws {LogError} `rules-malformed` */
  approve({ text, by, approvedBy }: Partial<Ordered> & { readonly text: string }): {
    readonly event: OwnEvent;
    rows(index: number): Row[];
    took(index: number): void;
  } {
    const before = this.#current;
    const next = currentOf(text, undefined);
    const previous = before.index === undefined ? null : before.digest;
    const context = {
      digest: next.digest,
      previous,
      ...(by === undefined ? {} : { by }),
      ...(approvedBy === undefined ? {} : { approvedBy }),
    };
    return {
      event: { type: "log.rules", context },
      rows: (index) => [approvedRow({ index, text })],
      took: (index) => {
        this.#current = { ...next, index };
      },
    };
  }
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
