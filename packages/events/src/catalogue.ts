/**
 * The core types of events: what each means and which fields it needs. DESIGN's "The event".
 *
 * A type outside of the core is open to the application, but not one that looks like a core type misspelt.
 */
import { KnownWords } from "./known-words.ts";
import { editDistance, nearest } from "./suggestion.ts";

/** Fields that a type can need, beyond `id`, `time` and `type`, which all do. */
export type RequirableField = "outcome" | "actor" | "subject" | "session" | "targets" | "reason" | "context";

/**
 * Who reports a type: applications, senders about their own stream (the SDK), or the log about itself, in its own
 * signed stream. A log refuses its own types from anybody else.
 */
export type Reporter = "application" | "sender" | "log";

export interface CatalogueEntry {
  readonly type: string;
  readonly description: string;
  readonly required: readonly RequirableField[];
  /** What it is in OCSF 1.8; `activityId` 99 where that has no activity for it. */
  readonly ocsf: OcsfActivity;
  readonly reporter: Reporter;
}

/** An event class of the Open Cybersecurity Schema Framework, and one of its activities. schema.ocsf.io/1.8.0 */
export interface OcsfActivity {
  readonly classUid: number;
  readonly activityId: number;
}

type Row = readonly [
  type: string,
  required: readonly RequirableField[],
  ocsf: readonly [classUid: number, activityId: number],
  description: string,
];

const FROM_APPLICATIONS = [
  ["auth.login", ["outcome", "actor"], [3002, 1], "Somebody tried to log in; `auth` says how, `reason` why not"],
  ["auth.logout", ["actor"], [3002, 2], "Somebody logged out"],
  [
    "auth.lockout",
    ["actor"],
    [3001, 9],
    "An account was locked after too many failures; `subject` where another acted",
  ],
  ["auth.unlock", ["actor"], [3001, 12], "A lockout was lifted; `subject` is whose, where another lifted it"],
  ["auth.password.change", ["outcome", "actor"], [3001, 3], "A password was changed by somebody who was logged in"],
  [
    "auth.password.reset.request",
    ["actor"],
    [3001, 4],
    "A reset was asked for; the actor is `unverified`, as nobody has proved to be the one",
  ],
  ["auth.password.reset.complete", ["outcome", "actor"], [3001, 4], "A new password was set through a reset"],
  ["auth.mfa.challenge", ["outcome", "actor"], [3002, 6], "A further factor was asked for; `auth.factors` says which"],
  ["auth.mfa.enroll", ["outcome", "actor"], [3001, 10], "A factor was added"],
  ["auth.mfa.remove", ["outcome", "actor"], [3001, 11], "A factor was removed"],
  [
    "auth.token.issue",
    ["outcome", "actor"],
    [3002, 99],
    "A token was issued: its id or a keyed hash in `targets`, never the token",
  ],
  ["auth.token.refresh", ["outcome", "actor"], [3002, 99], "A token was exchanged for a new one"],
  ["auth.token.revoke", ["outcome", "actor"], [3002, 99], "A token was revoked"],
  ["auth.token.reuse", ["actor"], [3002, 99], "A token came again that had been used up: a sign of theft"],
  [
    "auth.key.create",
    ["outcome", "actor"],
    [3004, 1],
    "An API key or passkey was made: its id in `targets`, never the key",
  ],
  ["auth.key.revoke", ["outcome", "actor"], [3004, 11], "An API key or passkey was revoked"],
  [
    "auth.link",
    ["outcome", "actor"],
    [3001, 99],
    "An identity of another provider (`auth.provider`) was linked to the account",
  ],
  ["auth.unlink", ["outcome", "actor"], [3001, 99], "A linked identity was removed from the account"],
  [
    "auth.impersonate.start",
    ["outcome", "actor", "subject"],
    [3002, 7],
    "The actor began to act as the subject; `reason` says why",
  ],
  ["auth.impersonate.stop", ["actor", "subject"], [3002, 7], "The actor no longer acts as the subject"],
  ["account.create", ["outcome", "actor"], [3001, 1], "An account was made; `subject` is whose, where another made it"],
  ["account.enable", ["outcome", "actor"], [3001, 2], "A disabled account was opened again"],
  ["account.disable", ["outcome", "actor"], [3001, 5], "An account was disabled"],
  ["account.delete", ["outcome", "actor"], [3001, 6], "An account was deleted"],
  ["session.start", ["session", "actor"], [3002, 1], "A session began"],
  ["session.activity", ["session"], [3002, 99], "A session was used, which moves its idle limit"],
  ["session.class", ["session"], [3002, 99], "A session came under the limits of another class, named in `context`"],
  ["session.warning", ["session"], [3002, 99], "The user was told that the session is about to end"],
  ["session.extend", ["session"], [3002, 99], "A session's limit was moved at the user's wish"],
  [
    "session.rotate",
    ["session"],
    [3002, 99],
    "A session's token was replaced; the session id stays, as it is not of the token",
  ],
  ["session.reauth", ["outcome", "session", "actor"], [3002, 1], "The user was authenticated anew within a session"],
  ["session.timeout", ["session"], [3002, 2], "A session reached a limit; `reason` says which: idle or absolute"],
  ["session.end", ["session"], [3002, 2], "A session was ended before its limit, by its user or by an operator"],
  ["session.use_after_expiry", ["session"], [3002, 99], "A session that had ended was used"],
  [
    "session.policy",
    ["context"],
    [3004, 3],
    "The session limits that hold from now on, in `context`; of no one session",
  ],
  ["access.read", ["outcome", "actor", "targets"], [6001, 2], "Something was read"],
  ["access.write", ["outcome", "actor", "targets"], [6001, 3], "Something was created, changed or deleted"],
  ["access.export", ["outcome", "actor", "targets"], [6001, 7], "Something was taken out in bulk"],
  ["access.denied", ["outcome", "actor", "targets"], [6001, 99], "Access was refused; `outcome` is `denied`"],
  [
    "access.grant",
    ["outcome", "actor", "targets"],
    [3005, 1],
    "A right to the targets was granted; `subject` is who has it now",
  ],
  [
    "access.revoke",
    ["outcome", "actor", "targets"],
    [3005, 2],
    "A right to the targets was taken away; `subject` is who had it",
  ],
] as const;

const FROM_SENDERS = [
  [
    "stream.start",
    [],
    [6002, 3],
    "Sequence 1 of a signed stream; `context` names the stream before it and its last number, if known",
  ],
  ["stream.end", [], [6002, 4], "The orderly end of a signed stream"],
  ["stream.beat", [], [6002, 99], "An idle stream is still open"],
  [
    "stream.refused",
    ["context"],
    [6002, 99],
    "In place of an event that was refused for good: its id, type and problem code in `context`",
  ],
] as const;

const FROM_THE_LOG = [
  ["log.head", ["context"], [6002, 99], "The newest witnessed checkpoint: what follows it came later"],
  ["log.read", ["actor"], [6001, 2], "Somebody read contents: indices and tags in `context`, never contents"],
  ["log.export", ["actor"], [6001, 7], "Somebody exported contents"],
  ["log.key", ["context"], [3004, 3], "A sender's or the log's own key was pinned, replaced or withdrawn"],
  ["log.rules", ["context"], [3004, 3], "The log's rules (retention, roles, sender keys) that hold from now on"],
  ["log.retention", ["context"], [6002, 99], "A retention run, or a change of class"],
  ["log.erasure", ["context"], [6001, 4], "A certificate of erasure: request, ground, state, scope and destroyed keys"],
  ["log.hold", ["context"], [3004, 3], "A legal hold was placed or lifted"],
  ["log.check", ["context"], [6002, 99], "A check of the log by itself, and what was found"],
  ["log.alert", ["context"], [2004, 1], "Something that an operator has to look into"],
  ["log.silence", ["context"], [2004, 1], "A stream has been silent for longer than it should be"],
] as const;

/** A type that applications report. */
export type ApplicationType = (typeof FROM_APPLICATIONS)[number][0];

/** The fields that a type which applications report needs. */
export type RequiredFieldOf<Type extends ApplicationType> = Extract<
  (typeof FROM_APPLICATIONS)[number],
  readonly [Type, ...(readonly unknown[])]
>[1][number];

function entriesOf(rows: readonly Row[], reporter: Reporter): CatalogueEntry[] {
  return rows.map(([type, required, [classUid, activityId], description]) => {
    return { type, required, ocsf: { classUid, activityId }, description, reporter };
  });
}

/** Every core type. docs/reference/events.md is its printed form. */
export const CATALOGUE: readonly CatalogueEntry[] = [
  ...entriesOf(FROM_APPLICATIONS, "application"),
  ...entriesOf(FROM_SENDERS, "sender"),
  ...entriesOf(FROM_THE_LOG, "log"),
];

const byType: ReadonlyMap<string, CatalogueEntry> = new Map(CATALOGUE.map((entry) => [entry.type, entry]));

/** The first segments of core types: no other type may begin with one. */
export const CORE_NAMESPACES: readonly string[] = [...new Set(CATALOGUE.map(({ type }) => namespaceOf(type)))];

/** The catalogue's entry of a core type; `undefined` for a type of the application's own. */
export function catalogueEntry(type: string): CatalogueEntry | undefined {
  return byType.get(type);
}

/** The part of a type before its first dot. */
export function namespaceOf(type: string): string {
  const end = type.indexOf(".");
  return end === -1 ? type : type.slice(0, end);
}

/** What is wrong with a type that is not in the core: it should be, and perhaps was meant to be `suggestion`. */
export interface TypeProblem {
  readonly suggestion?: string;
}

/**
 * Whether a well-formed type that is not of the core has to be refused.
 *
 * So it is in a core namespace, and where both parts of it, before and after the first dot, are a slip away from those
 * of a core type. Namespaces of up to three letters are left out of the second: `blog.read` is no slip for `log.read`.
 */
export function typeProblem(type: string): TypeProblem | undefined {
  return byType.has(type) || ownTypes.has(type) ? undefined : findProblem(type);
}

/** Types of applications' own in which nothing was found: to look takes as long as all the rest of an event. */
const ownTypes: KnownWords = new KnownWords((type) => findProblem(type) === undefined);

function findProblem(type: string): TypeProblem | undefined {
  const namespace = namespaceOf(type);
  if (CORE_NAMESPACES.includes(namespace)) return withSuggestion(suggestType(type));
  const rest = type.slice(namespace.length + 1);
  for (const core of CORE_NAMESPACES) {
    if (core.length <= 3 || editDistance(namespace, core, 1) > 1) continue;
    const found = nearest(rest, restsOf(core), slips(rest));
    if (found !== undefined) return withSuggestion(`${core}.${found}`);
  }
  return undefined;
}

/** The core type nearest to any text; `undefined` where none is near. */
export function suggestType(text: string): string | undefined {
  const dotted = text
    .slice(0, 100)
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_:/-]+/g, ".");
  const types = CATALOGUE.map(({ type }) => type);
  const found = nearest(dotted, types, Math.max(2, Math.floor(dotted.length / 4)));
  return found ?? types.find((type) => type.endsWith(`.${dotted}`));
}

function withSuggestion(suggestion: string | undefined): TypeProblem {
  return suggestion === undefined ? {} : { suggestion };
}

function restsOf(namespace: string): string[] {
  return CATALOGUE.flatMap(({ type }) => (namespaceOf(type) === namespace ? [type.slice(namespace.length + 1)] : []));
}

/** How many slips are likely in a word: in a short one, one more makes another word. */
function slips(word: string): number {
  return word.length < 5 ? 0 : word.length < 9 ? 1 : 2;
}
