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
  readonly reporter: Reporter;
}

type Row = readonly [type: string, required: readonly RequirableField[], description: string];

const WHO: readonly RequirableField[] = ["actor"];
const TRIED: readonly RequirableField[] = ["outcome", "actor"];
const DONE_TO: readonly RequirableField[] = ["outcome", "actor", "targets"];
const SESSION: readonly RequirableField[] = ["session"];
const TOLD: readonly RequirableField[] = ["context"];

const FROM_APPLICATIONS: readonly Row[] = [
  ["auth.login", TRIED, "Somebody tried to log in; `auth` says how, `reason` why not"],
  ["auth.logout", WHO, "Somebody logged out"],
  ["auth.lockout", WHO, "An account was locked after too many failures; `subject` where another acted"],
  ["auth.unlock", WHO, "A lockout was lifted; `subject` is whose, where another lifted it"],
  ["auth.password.change", TRIED, "A password was changed by somebody who was logged in"],
  [
    "auth.password.reset.request",
    WHO,
    "A reset was asked for; the actor is `unverified`, as nobody has proved to be the one",
  ],
  ["auth.password.reset.complete", TRIED, "A new password was set through a reset"],
  ["auth.mfa.challenge", TRIED, "A further factor was asked for; `auth.factors` says which"],
  ["auth.mfa.enroll", TRIED, "A factor was added"],
  ["auth.mfa.remove", TRIED, "A factor was removed"],
  ["auth.token.issue", TRIED, "A token was issued: its id or a keyed hash in `targets`, never the token"],
  ["auth.token.refresh", TRIED, "A token was exchanged for a new one"],
  ["auth.token.revoke", TRIED, "A token was revoked"],
  ["auth.token.reuse", WHO, "A token came again that had been used up: a sign of theft"],
  ["auth.key.create", TRIED, "An API key or passkey was made: its id in `targets`, never the key"],
  ["auth.key.revoke", TRIED, "An API key or passkey was revoked"],
  ["auth.link", TRIED, "An identity of another provider (`auth.provider`) was linked to the account"],
  ["auth.unlink", TRIED, "A linked identity was removed from the account"],
  [
    "auth.impersonate.start",
    ["outcome", "actor", "subject"],
    "The actor began to act as the subject; `reason` says why",
  ],
  ["auth.impersonate.stop", ["actor", "subject"], "The actor no longer acts as the subject"],
  ["account.create", TRIED, "An account was made; `subject` is whose, where another made it"],
  ["account.enable", TRIED, "A disabled account was opened again"],
  ["account.disable", TRIED, "An account was disabled"],
  ["account.delete", TRIED, "An account was deleted"],
  ["session.start", ["session", "actor"], "A session began"],
  ["session.activity", SESSION, "A session was used, which moves its idle limit"],
  ["session.class", SESSION, "A session came under the limits of another class, named in `context`"],
  ["session.warning", SESSION, "The user was told that the session is about to end"],
  ["session.extend", SESSION, "A session's limit was moved at the user's wish"],
  ["session.rotate", SESSION, "A session's token was replaced; the session id stays, as it is not of the token"],
  ["session.reauth", ["outcome", "session", "actor"], "The user was authenticated anew within a session"],
  ["session.timeout", SESSION, "A session reached a limit; `reason` says which: idle or absolute"],
  ["session.end", SESSION, "A session was ended before its limit, by its user or by an operator"],
  ["session.use_after_expiry", SESSION, "A session that had ended was used"],
  ["session.policy", TOLD, "The session limits that hold from now on, in `context`; of no one session"],
  ["access.read", DONE_TO, "Something was read"],
  ["access.write", DONE_TO, "Something was created, changed or deleted"],
  ["access.export", DONE_TO, "Something was taken out in bulk"],
  ["access.denied", DONE_TO, "Access was refused; `outcome` is `denied`"],
  ["access.grant", DONE_TO, "A right to the targets was granted; `subject` is who has it now"],
  ["access.revoke", DONE_TO, "A right to the targets was taken away; `subject` is who had it"],
];

const FROM_SENDERS: readonly Row[] = [
  [
    "stream.start",
    [],
    "Sequence 1 of a signed stream; `context` names the stream before it and its last number, if known",
  ],
  ["stream.end", [], "The orderly end of a signed stream"],
  ["stream.beat", [], "An idle stream is still open"],
  [
    "stream.refused",
    TOLD,
    "In place of an event that was refused for good: its id, type and problem code in `context`",
  ],
];

const FROM_THE_LOG: readonly Row[] = [
  ["log.head", TOLD, "The newest witnessed checkpoint: what follows it came later"],
  ["log.read", WHO, "Somebody read contents: indices and tags in `context`, never contents"],
  ["log.export", WHO, "Somebody exported contents"],
  ["log.key", TOLD, "A sender's or the log's own key was pinned, replaced or withdrawn"],
  ["log.rules", TOLD, "The log's rules (retention, roles, sender keys) that hold from now on"],
  ["log.retention", TOLD, "A retention run, or a change of class"],
  ["log.erasure", TOLD, "A certificate of erasure: request, ground, state, scope and destroyed keys"],
  ["log.hold", TOLD, "A legal hold was placed or lifted"],
  ["log.check", TOLD, "A check of the log by itself, and what was found"],
  ["log.alert", TOLD, "Something that an operator has to look into"],
  ["log.silence", TOLD, "A stream has been silent for longer than it should be"],
];

function entriesOf(rows: readonly Row[], reporter: Reporter): CatalogueEntry[] {
  return rows.map(([type, required, description]) => ({ type, required, description, reporter }));
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
