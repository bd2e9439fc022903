/** A change of rules in words: what it changes for whom, and what is easily overlooked. */
import type { KeepDays, OfClass, OfIssuer, RulesChange, RulesChanges, Step } from "./diff-rules.ts";
import { formatDays } from "./duration.ts";
import { FOR_EVER, type GrantRule, type GrantedRole, type SenderKeyRule } from "./rules.ts";

export interface ChangeDescription {
  /** One line: what changes, and for whom. */
  readonly words: string;
  /** What is easily overlooked: contents that go, a check that ends, a promise that still binds. */
  readonly warning?: string;
}

type Describers = { readonly [K in keyof RulesChanges]: (change: RulesChanges[K]) => ChangeDescription };

const OLDER_GOES =
  "what is older goes with the next run, for good; what was promised longer when it was logged (atLeast) is kept that long";

const DESCRIBERS: Describers = {
  keep: (change) =>
    isShorter(change)
      ? { words: `${nameOf(change)}: kept shorter, ${days(change)}`, warning: OLDER_GOES }
      : { words: `${nameOf(change)}: kept longer, ${days(change)}` },
  "at-least": (change) =>
    change.after < change.before
      ? {
          words: `${nameOf(change)}: promised shorter, ${promises(change)}`,
          warning: `does not bind backwards: what was logged before keeps its promise of ${formatDays(change.before)}`,
        }
      : {
          words: `${nameOf(change)}: promised longer, ${promises(change)}`,
          warning: "cannot be taken back for what is logged under it",
        },
  erase: (change) =>
    change.after === "at-expiry"
      ? {
          words: `${nameOf(change)}: no longer erased at a person's request, only when its time is over`,
          warning: "a person's erasure leaves these contents as they are: that needs a legal duty to keep them",
        }
      : {
          words: `${nameOf(change)}: erased at a person's request`,
          warning: "a person's erasure destroys these contents even where a law asks to keep them",
        },
  basis: (change) => ({ words: `${nameOf(change)}: basis ${arrow(quoted(change.before), quoted(change.after))}` }),
  "reads-purpose": ({ before, after }) =>
    after === "required"
      ? { words: `readers: have to say what for, ${arrow(before, after)}` }
      : {
          words: `readers: need not say what for, ${arrow(before, after)}`,
          warning: "reads are logged without a purpose",
        },
  "two-persons-added": ({ act }) => ({ words: `officers: ${act} needs a second person` }),
  "two-persons-removed": ({ act }) => ({
    words: `officers: ${act} needs no second person any more`,
    warning: "one officer alone can do it",
  }),
  "sender-key-added": ({ key }) => ({ words: `sender ${describeKey(key)}: its batches are taken` }),
  "sender-key-removed": ({ key }) => ({
    words: `sender ${describeKey(key)}: its batches are not taken any more`,
    warning: "a sender that still signs with it is refused until another rule takes its key",
  }),
  "issuer-added": (change) => ({ words: `${providerOf(change)}: its tokens are taken` }),
  "issuer-removed": (change) => ({
    words: `${providerOf(change)}: its tokens are not taken any more`,
    warning: "whoever comes in through it has no access any more",
  }),
  "issuer-keys": (change) => ({
    words: `${providerOf(change)}: where its keys are, ${arrow(change.before ?? "by discovery", change.after ?? "by discovery")}`,
    warning: "whoever controls that address can let in anybody",
  }),
  "grant-added": (change) => ({
    words: `${providerOf(change)}: ${describeGrant(change.grant)}`,
    ...(POWERS[change.grant.role] === undefined ? {} : { warning: POWERS[change.grant.role] }),
  }),
  "grant-removed": (change) => ({ words: `${providerOf(change)}: no longer ${describeGrant(change.grant)}` }),
  "grants-reordered": (change) => ({
    words: `${providerOf(change)}: the same grants in another order; the first that fits decides`,
  }),
};

export function describeChange<K extends keyof RulesChanges>(
  change: RulesChange & { readonly kind: K } & RulesChanges[K],
): ChangeDescription {
  const describe: Describers[K] = DESCRIBERS[change.kind];
  return describe(change);
}

/** What a role allows that an approver must not overlook. */
const POWERS: Readonly<Partial<Record<GrantedRole, string>>> = {
  auditor: "an auditor reads the contents of every entry",
  officer: "an officer erases, sets and lifts holds, and changes these rules",
};

function isShorter({ before, after }: Step<KeepDays>): boolean {
  return after !== FOR_EVER && (before === FOR_EVER || after < before);
}

function nameOf({ class: name }: OfClass): string {
  return name === undefined ? "every class that is not named" : `class ${name}`;
}

function days({ before, after }: Step<KeepDays>): string {
  return arrow(formatDays(before), formatDays(after));
}

function promises({ before, after }: Step<number>): string {
  return arrow(before === 0 ? "nothing" : formatDays(before), after === 0 ? "nothing" : formatDays(after));
}

function arrow(before: string, after: string): string {
  return `${before} → ${after}`;
}

function quoted(text: string | undefined): string {
  return text === undefined ? "none" : JSON.stringify(text);
}

function providerOf({ issuer, audience }: OfIssuer): string {
  return `identities of ${issuer} for ${JSON.stringify(audience)}`;
}

function describeKey({ publicKey, from, to }: SenderKeyRule): string {
  return `${publicKey.slice(0, 16)}… at indexes ${to === undefined ? `from ${from}` : `${from} to ${to - 1}`}`;
}

function describeGrant({ claim, has, role, subjectFrom, tenantFrom }: GrantRule): string {
  const scopes = [
    ...(subjectFrom === undefined ? [] : [`of the person in ${subjectFrom}`]),
    ...(tenantFrom === undefined ? [] : [`of the tenant in ${tenantFrom}`]),
  ];
  const scope = scopes.length === 0 ? "" : ` ${scopes.join(", ")}`;
  return `${role}${scope} where ${claim} has ${JSON.stringify(has)}`;
}
