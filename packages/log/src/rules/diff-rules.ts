/** What changes when other rules hold: as data, and in words. */
import { type ChangeDescription, describeChange } from "./describe-change.ts";
import {
  type ClassRule,
  type EraseHow,
  type GrantRule,
  type IdentityRule,
  type Rules,
  type SenderKeyRule,
  type TwoPersonAct,
  ruleOf,
} from "./rules.ts";

/** A time to keep: days, or for ever. */
export type KeepDays = ClassRule["keepDays"];

export interface Step<T> {
  readonly before: T;
  readonly after: T;
}

/** `class` is absent where it is the rule for every class that is not named. */
export interface OfClass {
  readonly class?: string;
}

export interface OfIssuer {
  readonly issuer: string;
  readonly audience: string;
}

/** What a change of each kind tells. */
export interface RulesChanges {
  readonly keep: OfClass & Step<KeepDays>;
  readonly "at-least": OfClass & Step<number>;
  readonly erase: OfClass & Step<EraseHow>;
  readonly basis: OfClass & Partial<Step<string>>;
  readonly "reads-purpose": Step<Rules["reads"]["purpose"]>;
  readonly "two-persons-added": { readonly act: TwoPersonAct };
  readonly "two-persons-removed": { readonly act: TwoPersonAct };
  readonly "sender-key-added": { readonly key: SenderKeyRule };
  readonly "sender-key-removed": { readonly key: SenderKeyRule };
  readonly "issuer-added": OfIssuer;
  readonly "issuer-removed": OfIssuer;
  /** Where its keys are; absent where by discovery. */
  readonly "issuer-keys": OfIssuer & Partial<Step<string>>;
  readonly "grant-added": OfIssuer & { readonly grant: GrantRule };
  readonly "grant-removed": OfIssuer & { readonly grant: GrantRule };
  readonly "grants-reordered": OfIssuer;
}

type ChangeOfKind<K extends keyof RulesChanges> = { readonly kind: K } & RulesChanges[K];

export type RulesChange = { readonly [K in keyof RulesChanges]: ChangeOfKind<K> }[keyof RulesChanges];

export type DescribedChange = RulesChange & ChangeDescription;

/** The changes from one set of rules to another: none where both say the same, in whatever words. */
export function diffRules(before: Rules, after: Rules): readonly DescribedChange[] {
  const changes = [
    ...diffClasses(before, after),
    ...diffReads(before, after),
    ...diffTwoPersons(before, after),
    ...diffSenderKeys(before, after),
    ...diffIdentity(before, after),
  ];
  return changes.map((change) => ({ ...change, ...describeChange(change) }));
}

/** Every class that either names is compared by the rule that holds for it, be it the one for all others. */
function diffClasses(before: Rules, after: Rules): RulesChange[] {
  const names = [...new Set([...before.classes.keys(), ...after.classes.keys()])].toSorted();
  return [
    ...names.flatMap((name) => diffClass({ class: name }, ruleOf(before, name), ruleOf(after, name))),
    ...diffClass({}, before.other, after.other),
  ];
}

function diffClass(of: { readonly class?: string }, before: ClassRule, after: ClassRule): RulesChange[] {
  const changes: RulesChange[] = [];
  if (before.keepDays !== after.keepDays)
    changes.push({ kind: "keep", ...of, before: before.keepDays, after: after.keepDays });
  if (before.atLeastDays !== after.atLeastDays)
    changes.push({ kind: "at-least", ...of, before: before.atLeastDays, after: after.atLeastDays });
  if (before.erase !== after.erase) changes.push({ kind: "erase", ...of, before: before.erase, after: after.erase });
  if (before.basis !== after.basis) changes.push({ kind: "basis", ...of, ...texts(before.basis, after.basis) });
  return changes;
}

function texts(before: string | undefined, after: string | undefined): { before?: string; after?: string } {
  return { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
}

function diffReads({ reads: { purpose: before } }: Rules, { reads: { purpose: after } }: Rules): RulesChange[] {
  return before === after ? [] : [{ kind: "reads-purpose", before, after }];
}

function diffTwoPersons({ twoPersons: before }: Rules, { twoPersons: after }: Rules): RulesChange[] {
  const added = after.filter((act) => !before.includes(act));
  const removed = before.filter((act) => !after.includes(act));
  return [
    ...added.map((act) => ({ kind: "two-persons-added", act }) as const),
    ...removed.map((act) => ({ kind: "two-persons-removed", act }) as const),
  ];
}

function diffSenderKeys({ senderKeys: before }: Rules, { senderKeys: after }: Rules): RulesChange[] {
  const { added, removed } = diffLists(before, after);
  return [
    ...added.map((key) => ({ kind: "sender-key-added", key }) as const),
    ...removed.map((key) => ({ kind: "sender-key-removed", key }) as const),
  ];
}

function diffIdentity({ identity: before }: Rules, { identity: after }: Rules): RulesChange[] {
  const isSame = (a: IdentityRule, b: IdentityRule): boolean => a.issuer === b.issuer && a.audience === b.audience;
  return [
    ...after.flatMap((rule): RulesChange[] => {
      const earlier = before.find((known) => isSame(known, rule));
      return diffIssuer(earlier, rule);
    }),
    ...before
      .filter((rule) => !after.some((known) => isSame(known, rule)))
      .map(({ issuer, audience }) => ({ kind: "issuer-removed", issuer, audience }) as const),
  ];
}

function diffIssuer(before: IdentityRule | undefined, after: IdentityRule): RulesChange[] {
  const of = { issuer: after.issuer, audience: after.audience };
  const { added, removed } = diffLists(before?.grants ?? [], after.grants);
  const keys = before === undefined || before.jwksUri === after.jwksUri ? [] : [texts(before.jwksUri, after.jwksUri)];
  const isReordered = before !== undefined && added.length + removed.length === 0;
  return [
    ...(before === undefined ? [{ kind: "issuer-added", ...of } as const] : []),
    ...keys.map((both) => ({ kind: "issuer-keys", ...of, ...both }) as const),
    ...added.map((grant) => ({ kind: "grant-added", ...of, grant }) as const),
    ...removed.map((grant) => ({ kind: "grant-removed", ...of, grant }) as const),
    ...(isReordered && canonical(before.grants) !== canonical(after.grants)
      ? [{ kind: "grants-reordered", ...of } as const]
      : []),
  ];
}

function diffLists<T extends object>(before: readonly T[], after: readonly T[]): { added: T[]; removed: T[] } {
  const [had, has] = [new Set(before.map(canonical)), new Set(after.map(canonical))];
  return {
    added: after.filter((item) => !had.has(canonical(item))),
    removed: before.filter((item) => !has.has(canonical(item))),
  };
}

/** The same text for the same values, in whatever order their keys were written. */
function canonical(value: object): string {
  const sorted = (_key: string, inner: unknown): unknown =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return JSON.stringify(value, sorted);
}
