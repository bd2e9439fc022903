/** The rules of a log: how long contents are kept, how they are erased, who may read, whose keys count. docs/reference/rules.md */
import { createHash } from "node:crypto";

/** Contents are kept as long as the log is. */
export const FOR_EVER = "for-ever";

/** The class of the log's own events: for ever, always. */
export const LOG_CLASS = "log";

/** What may be done at a person's demand before the time is over. */
export const ERASE_HOW = ["on-request", "at-expiry"] as const;
export type EraseHow = (typeof ERASE_HOW)[number];

/** What can need two persons. */
export const TWO_PERSON_ACTS = ["erasure", "hold", "rules"] as const;
export type TwoPersonAct = (typeof TWO_PERSON_ACTS)[number];

/** docs/reference/roles.md */
export const GRANTED_ROLES = ["writer", "reader", "auditor", "operator", "officer"] as const;
export type GrantedRole = (typeof GRANTED_ROLES)[number];

/** What holds for the contents of one retention class. */
export interface ClassRule {
  /** Whole days after the one on which an entry was logged, 1 to 36,500; then its contents are destroyed. */
  readonly keepDays: number | typeof FOR_EVER;
  /** Days that are promised to whatever is logged under this rule: no later rule shortens them. Never above `keepDays`. */
  readonly atLeastDays: number;
  /** `on-request`: gone when the person is erased. `at-expiry`: stays until its time is over, as a duty to keep it asks. */
  readonly erase: EraseHow;
  /** The law or reason for it, in words. */
  readonly basis?: string;
}

/** A sender's public key, and the indexes at which it counts. */
export interface SenderKeyRule {
  /** 64 lower-case hex digits. */
  readonly publicKey: string;
  /** The first index at which it counts. */
  readonly from: number;
  /** The first index at which it counts no more; absent where it has no end. */
  readonly to?: number;
}

/** Gives a role to whoever bears a claim. */
export interface GrantRule {
  readonly claim: string;
  /** What the claim is, or has among its values where it is a list. */
  readonly has: string;
  readonly role: GrantedRole;
  /** Of readers: the claim that says whose events, and the one that says which tenant's. One of the two is there. */
  readonly subjectFrom?: string;
  readonly tenantFrom?: string;
}

/** A provider of identities (OpenID Connect) whose tokens are taken. */
export interface IdentityRule {
  readonly issuer: string;
  readonly audience: string;
  /** Where its keys are; by discovery from the issuer where it is absent. */
  readonly jwksUri?: string;
  /** The first one that fits decides. */
  readonly grants: readonly GrantRule[];
}

export interface Rules {
  readonly version: 1;
  /** Always with `log`, which is for ever. */
  readonly classes: ReadonlyMap<string, ClassRule>;
  /** Of every class that is not named. */
  readonly other: ClassRule;
  /** Whether a reader has to say what for. */
  readonly reads: { readonly purpose: "optional" | "required" };
  readonly twoPersons: readonly TwoPersonAct[];
  readonly senderKeys: readonly SenderKeyRule[];
  readonly identity: readonly IdentityRule[];
}

/** The rule for a retention class, named or not. */
export function ruleOf(rules: Pick<Rules, "classes" | "other">, retentionClass: string): ClassRule {
  return rules.classes.get(retentionClass) ?? rules.other;
}

/** What `log.rules` and `log.check` call these rules: SHA-256 of the file's bytes, in hex. */
export function rulesDigest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
