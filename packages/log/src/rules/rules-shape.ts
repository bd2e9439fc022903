/** What a file of rules looks like: the shape from which its parser and its JSON Schema come. */
import { CLASS_PATTERN, HOLD_CLASS } from "@tallystick/events";
import { defaultClasses, defaultOther, logClassRule } from "./default-rules.ts";
import type { Place } from "./defects.ts";
import { days, daysOrForEver, formatDays } from "./duration.ts";
import type { Located } from "./located-yaml.ts";
import {
  type ClassRule,
  ERASE_HOW,
  type EraseHow,
  FOR_EVER,
  GRANTED_ROLES,
  type GrantRule,
  type IdentityRule,
  LOG_CLASS,
  type Rules,
  type SenderKeyRule,
  TWO_PERSON_ACTS,
  type TwoPersonAct,
} from "./rules.ts";
import { type Reading, type Shape, list, named, placeOf, record, refined, text, wholeNumber, word } from "./shape.ts";

/** Each class-day has a key: more classes than anybody tells apart only cost. */
export const CLASSES_MAX = 256;
const SENDER_KEYS_MAX = 1024;
const ISSUERS_MAX = 16;
const GRANTS_MAX = 256;

/** One line without signs that steer a terminal or cannot be seen: people compare these texts. In what every dialect knows. */
const UNSEEN = String.raw`\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff`;

const lineOf = (charsMax: number): string => `^[^${UNSEEN}]{1,${charsMax}}$`;

const line = (charsMax: number, what: string): Shape<string> =>
  text({ pattern: lineOf(charsMax), expected: `${what}: a text of 1 to ${charsMax} characters on one line` });

/** https anywhere, http on this machine only: keys that came in plain could be anybody's. */
const HOST = String.raw`(?:https://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])|http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?`;
const PATH = String.raw`(?:/[!$&-;=@-Z_a-z~%]*)?`;

const address = (query: "" | "?"): Shape<string> =>
  refined(
    text({
      pattern: query === "" ? `^${HOST}${PATH}$` : String.raw`^${HOST}${PATH}(?:\?[!$&-;=?-Z_a-z~%]*)?$`,
      expected: `an address: https://…, or http:// on this machine, without user and #${query === "" ? " and ?" : ""}`,
    }),
    (value, node, { path, defects }) => {
      if (URL.canParse(value)) return value;
      defects.add(node.place, path, "expected an address, got one whose host or port cannot be");
      return undefined;
    },
  );

interface ClassText {
  readonly keep: number | typeof FOR_EVER;
  readonly atLeast?: number;
  readonly erase?: EraseHow;
  readonly basis?: string;
}

const KEEP = "How long contents are kept: whole days after the one on which they were logged";
const BASIS = "The law or reason for it; for people";
const basis = line(256, "the law or reason");

const classRule: Shape<ClassRule> = refined(
  record<ClassText>({
    fields: {
      keep: { shape: daysOrForEver, required: true, description: KEEP },
      atLeast: {
        shape: days,
        description: "Promised to whatever is logged under this rule: no later rule shortens it. Not above keep",
      },
      erase: {
        shape: word(ERASE_HOW),
        description:
          "on-request (the default): gone when the person is erased; at-expiry: stays until its time is over",
      },
      basis: { shape: basis, description: BASIS },
    },
    alsoCalled: {
      duration: "keep",
      retention: "keep",
      min: "atLeast",
      minimum: "atLeast",
      law: "basis",
      reason: "basis",
    },
  }),
  toClassRule,
  { not: { properties: { keep: { const: FOR_EVER }, erase: { const: "at-expiry" } }, required: ["keep", "erase"] } },
);

function toClassRule(given: ClassText, node: Located, { path, defects }: Reading): ClassRule | undefined {
  const { keep, atLeast = 0, erase = "on-request" } = given;
  if (keep !== FOR_EVER && atLeast > keep) {
    const words = `expected at most keep, which is ${formatDays(keep)}; got ${formatDays(atLeast)}: keep it longer, or promise less`;
    defects.add(placeOf(node, "atLeast"), `${path}.atLeast`, words);
    return undefined;
  }
  if (keep === FOR_EVER && erase === "at-expiry") {
    const words = `expected on-request where keep is ${FOR_EVER}, as such contents never expire: give keep a time, 100y at most`;
    defects.add(placeOf(node, "erase"), `${path}.erase`, words);
    return undefined;
  }
  return { keepDays: keep, atLeastDays: atLeast, erase, ...(given.basis === undefined ? {} : { basis: given.basis }) };
}

/** The log's own events are what proves all the others' fate. */
const logClass: Shape<ClassRule> = refined(
  record<{ readonly keep: typeof FOR_EVER; readonly basis?: string }>({
    fields: {
      keep: { shape: word([FOR_EVER]), required: true, description: "The log's own events are kept for ever, always" },
      basis: { shape: basis, description: BASIS },
    },
  }),
  ({ keep, ...more }) => ({ keepDays: keep, atLeastDays: 0, erase: "on-request", ...more }),
);

/** A retention class that events may be of: those of holds are the log's. */
const CLASS_NAMES = {
  pattern: `^(?!${HOLD_CLASS.source.slice(1)})${CLASS_PATTERN.source.slice(1)}`,
  expected: "a retention class: 1 to 32 of a-z, 0-9 and -, and not hold- with 8 hex digits",
};

const classes: Shape<ReadonlyMap<string, ClassRule>> = named({
  names: CLASS_NAMES,
  value: classRule,
  special: { [LOG_CLASS]: logClass },
  max: CLASSES_MAX,
});

interface SenderKeyText {
  readonly publicKey: string;
  readonly from?: number;
  readonly to?: number;
}

const index: Shape<number> = wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER });

const senderKey: Shape<SenderKeyRule> = refined(
  record<SenderKeyText>({
    fields: {
      publicKey: {
        shape: text({
          pattern: "^[0-9a-f]{64}$",
          expected: "an Ed25519 public key of 64 hex digits in lower case",
          hidden: true,
        }),
        required: true,
        description: "The sender's Ed25519 public key",
      },
      from: { shape: index, description: "The first index at which it counts; 0 where it is left out" },
      to: { shape: index, description: "The first index at which it counts no more; without end where it is left out" },
    },
    alsoCalled: { key: "publicKey", since: "from", until: "to", start: "from", end: "to" },
  }),
  ({ publicKey, from = 0, to }, node, { path, defects }) => {
    if (to === undefined) return { publicKey, from };
    if (to > from) return { publicKey, from, to };
    defects.add(placeOf(node, "to"), `${path}.to`, `expected an index above from, which is ${from}; got ${to}`);
    return undefined;
  },
);

const senderKeys: Shape<readonly SenderKeyRule[]> = refined(
  list(senderKey, SENDER_KEYS_MAX),
  (keys, node, { path, defects }) => {
    const overlaps = overlappingKeys(keys);
    for (const { at, earlier } of overlaps) {
      const words = `overlaps with ${path}[${earlier}], the same key: join the two`;
      defects.add(itemPlace(node, at), `${path}[${at}]`, words);
    }
    return overlaps.length === 0 ? keys : undefined;
  },
);

/** The places of keys that another rule for the same key overlaps, with that rule's. */
function overlappingKeys(keys: readonly SenderKeyRule[]): { readonly at: number; readonly earlier: number }[] {
  const groups = Map.groupBy(keys.entries(), ([, { publicKey }]) => publicKey);
  return [...groups.values()].flatMap((group) => {
    const sorted = group.toSorted(([, a], [, b]) => a.from - b.from);
    return sorted.flatMap(([place, { from }], rank) => {
      const before = sorted[rank - 1];
      if (before === undefined || (before[1].to ?? Infinity) <= from) return [];
      return [{ at: Math.max(place, before[0]), earlier: Math.min(place, before[0]) }];
    });
  });
}

const claim = line(128, "a claim of the provider's tokens");
const SCOPED = "expected subjectFrom or tenantFrom: a reader sees the events of one person, or of one tenant";

const grant: Shape<GrantRule> = refined(
  record<GrantRule>({
    fields: {
      claim: { shape: claim, required: true, description: "The claim to look at" },
      has: {
        shape: line(256, "a value of the claim"),
        required: true,
        description: "What the claim is, or has among its values",
      },
      role: { shape: word(GRANTED_ROLES), required: true, description: "The role that this gives" },
      subjectFrom: { shape: claim, description: "Of readers: the claim that says whose events they may read" },
      tenantFrom: { shape: claim, description: "Of readers: the claim that says which tenant's events they may read" },
    },
  }),
  (given, node, { path, defects }) => {
    const isScoped = given.subjectFrom !== undefined || given.tenantFrom !== undefined;
    if (isScoped === (given.role === "reader")) return given;
    const words = isScoped
      ? `expected no subjectFrom and tenantFrom for the role ${given.role}: only readers have them`
      : SCOPED;
    defects.add(node.place, path, words);
    return undefined;
  },
  {
    if: { properties: { role: { const: "reader" } }, required: ["role"] },
    // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's keyword; nobody awaits a schema
    then: { anyOf: [{ required: ["subjectFrom"] }, { required: ["tenantFrom"] }] },
    else: { not: { anyOf: [{ required: ["subjectFrom"] }, { required: ["tenantFrom"] }] } },
  },
);

const identityRule: Shape<IdentityRule> = record<IdentityRule>({
  fields: {
    issuer: { shape: address(""), required: true, description: "The provider, exactly as its tokens call it (iss)" },
    audience: {
      shape: line(256, "whom the tokens are for"),
      required: true,
      description: "Whom the tokens have to be for (aud)",
    },
    jwksUri: { shape: address("?"), description: "Where its keys are; asked of the issuer where it is left out" },
    grants: {
      shape: list(grant, GRANTS_MAX),
      required: true,
      description: "Which claims give which role; the first that fits decides, and without one there is no access",
    },
  },
  alsoCalled: { iss: "issuer", aud: "audience", jwks: "jwksUri", roles: "grants" },
});

const identity: Shape<readonly IdentityRule[]> = refined(
  list(identityRule, ISSUERS_MAX),
  (rules, node, { path, defects }) => {
    const firsts = rules.map(({ issuer, audience }) =>
      rules.findIndex((earlier) => earlier.issuer === issuer && earlier.audience === audience),
    );
    const repeated = [...firsts.entries()].filter(([at, first]) => at !== first);
    for (const [at, first] of repeated)
      defects.add(
        itemPlace(node, at),
        `${path}[${at}]`,
        `is the issuer and audience of ${path}[${first}]: join the two`,
      );
    return repeated.length === 0 ? rules : undefined;
  },
);

const twoPersons: Shape<readonly TwoPersonAct[]> = refined(
  list(word(TWO_PERSON_ACTS), TWO_PERSON_ACTS.length),
  (acts, node, { path, defects }) => {
    const at = acts.findIndex((act, place) => acts.indexOf(act) !== place);
    if (at === -1) return acts;
    defects.add(itemPlace(node, at), `${path}[${at}]`, `${acts[at]} stands there already`);
    return undefined;
  },
  { uniqueItems: true },
);

interface RulesText {
  readonly version: number;
  readonly classes?: ReadonlyMap<string, ClassRule>;
  readonly other?: ClassRule;
  readonly reads?: { readonly purpose?: "optional" | "required" };
  readonly twoPersons?: readonly TwoPersonAct[];
  readonly senderKeys?: readonly SenderKeyRule[];
  readonly identity?: readonly IdentityRule[];
}

/** The whole file. */
export const rulesShape: Shape<Rules> = refined(
  record<RulesText>({
    fields: {
      version: { shape: wholeNumber({ min: 1, max: 1 }), required: true, description: "1" },
      classes: { shape: classes, description: "What holds for which retention class; in place of the default list" },
      other: { shape: classRule, description: "What holds for every class that is not named" },
      reads: {
        shape: record<{ readonly purpose?: "optional" | "required" }>({
          fields: {
            purpose: { shape: word(["optional", "required"]), description: "Whether a reader has to say what for" },
          },
        }),
        description: "What holds for whoever reads contents",
      },
      twoPersons: { shape: twoPersons, description: "What a second officer has to approve" },
      senderKeys: { shape: senderKeys, description: "Whose signed batches are taken, and at which indexes" },
      identity: { shape: identity, description: "Providers of identities (OpenID Connect) whose tokens are taken" },
    },
    alsoCalled: { retention: "classes", class: "classes", default: "other", oidc: "identity", keys: "senderKeys" },
  }),
  (given) => ({
    version: 1,
    classes: withLogClass(given.classes ?? defaultClasses),
    other: given.other ?? defaultOther,
    reads: { purpose: given.reads?.purpose ?? "optional" },
    twoPersons: given.twoPersons ?? [],
    senderKeys: given.senderKeys ?? [],
    identity: given.identity ?? [],
  }),
);

function withLogClass(named: ReadonlyMap<string, ClassRule>): ReadonlyMap<string, ClassRule> {
  return named.has(LOG_CLASS) ? named : new Map([...named, [LOG_CLASS, logClassRule]]);
}

function itemPlace(node: Located, at: number): Place {
  return (node.kind === "list" ? node.items[at]?.place : undefined) ?? node.place;
}
