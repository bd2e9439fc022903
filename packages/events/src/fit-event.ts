/**
 * Reads an event that is in shape beyond doubt, in a fraction of the time that the schema takes.
 *
 * It accepts nothing that the schema refuses, and gives the same event. What it does not accept may still be one: the
 * schema has the say, and the words for what is wrong. event-schema.ts
 */
import { type Context, copyFitContext, isPlainObject } from "./context.ts";
import type { Actor, EventFields, EventInput, Outcome, Subject, TallyEvent, Target } from "./event.ts";
import { EVENT_LIMITS, OUTCOMES, TIME_MAX_MS, TIME_MIN_MS, WORDS } from "./event-schema.ts";
import { isHex, isUuid } from "./hex.ts";
import { KnownWords } from "./known-words.ts";
import { isTextOf } from "./text.ts";
import { parseTime } from "./time.ts";

/** Reads the JSON view of an event; `undefined` where the schema has to be asked. */
export function readFitEvent(view: unknown, options: { readonly refuseSecrets: boolean }): TallyEvent | undefined {
  const reader = new FitReader(options.refuseSecrets);
  const event = reader.event(view);
  return reader.isFit ? event : undefined;
}

type Session = NonNullable<EventFields["session"]>;
type Source = NonNullable<EventFields["source"]>;
type Auth = NonNullable<EventFields["auth"]>;
type Writable<Fields> = { -readonly [Field in keyof Fields]: Fields[Field] };

const types = new KnownWords(matches(WORDS.type));
const tokens = new KnownWords((text) => text.length <= EVENT_LIMITS.tokenCharsMax && matches(WORDS.token)(text));
const retentions = new KnownWords(matches(WORDS.retention));
const SESSION_ID_DIGITS = 64;
const COMMITMENT_DIGITS = 64;
/** The digits that a UUID's variant can begin with. RFC 9562 §4.1. */
const VARIANT = "89ab";
const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:[.](?!$)|$)){4}$/;
/** Eight groups, or fewer than seven before and after a `::` that is not at the beginning. */
const IPV6 =
  /^(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}|(?!(?:[^:]*:){7})[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?)$/;

function matches(source: string): (text: string) => boolean {
  const pattern = new RegExp(source, "u");
  return (text) => pattern.test(text);
}

const EVENT_FIELDS = fields<EventInput>({
  id: true,
  time: true,
  type: true,
  outcome: true,
  actor: true,
  session: true,
  targets: true,
  subject: true,
  tenant: true,
  source: true,
  auth: true,
  reason: true,
  operation: true,
  retention: true,
  amends: true,
  context: true,
});
const NAMED_FIELDS = fields<Target>({ type: true, id: true, name: true });
const SESSION_FIELDS = fields<Session>({ id: true });
const SOURCE_FIELDS = fields<Source>({ ip: true, userAgent: true, device: true });
const AUTH_FIELDS = fields<Auth>({ method: true, factors: true, provider: true });

/** The names of all fields of a type. A field that the type gets has to be added here, or it does not compile. */
function fields<Type>(names: { readonly [Field in keyof Required<Type>]: true }): ReadonlySet<string> {
  return new Set(Object.keys(names));
}

/** Reads every field once. Notes where one is in doubt, and goes on: what it gives is worthless then. */
class FitReader {
  readonly #refuseSecrets: boolean;
  #isFit = true;

  constructor(refuseSecrets: boolean) {
    this.#refuseSecrets = refuseSecrets;
  }

  get isFit(): boolean {
    return this.#isFit;
  }

  /** Always of the same fields in the same order, there or not: the engine then compiles what reads them only once. */
  event(value: unknown): TallyEvent {
    const view = this.#object(value, EVENT_FIELDS);
    const { id, time, type, outcome, actor, session, targets, subject, tenant, source, auth } = view;
    const { reason, operation, retention, amends, context } = view;
    return {
      id: this.#id(id),
      time: this.#time(time),
      type: this.#word(type, types),
      outcome: outcome === undefined ? "unknown" : this.#outcome(outcome),
      actor: actor === undefined ? undefined : this.#actor(actor),
      session: session === undefined ? undefined : this.#session(session),
      targets: targets === undefined ? undefined : this.#targets(targets),
      subject: subject === undefined ? undefined : this.#subject(subject),
      tenant: tenant === undefined ? undefined : this.#text(tenant, EVENT_LIMITS.idCharsMax),
      source: source === undefined ? undefined : this.#source(source),
      auth: auth === undefined ? undefined : this.#auth(auth),
      reason: reason === undefined ? undefined : this.#text(reason, EVENT_LIMITS.textCharsMax),
      operation: operation === undefined ? undefined : this.#text(operation, EVENT_LIMITS.idCharsMax),
      retention: retention === undefined ? undefined : this.#word(retention, retentions),
      amends: amends === undefined ? undefined : this.#amends(amends),
      context: context === undefined ? undefined : this.#context(context),
    };
  }

  #id(value: unknown): string {
    if (typeof value === "string" && isUuid(value) && value[14] === "7" && VARIANT.includes(value.charAt(19)))
      return value;
    return this.#doubt("");
  }

  #time(value: unknown): number {
    const timeMs = typeof value === "string" ? parseTime(value) : value;
    if (typeof timeMs === "number" && Number.isInteger(timeMs) && timeMs >= TIME_MIN_MS && timeMs <= TIME_MAX_MS) {
      return timeMs;
    }
    return this.#doubt(0);
  }

  #outcome(value: unknown): Outcome {
    return OUTCOMES.find((outcome) => outcome === value) ?? this.#doubt("unknown");
  }

  #actor(value: unknown): Actor {
    const { type, id, name } = this.#object(value, NAMED_FIELDS);
    return this.#named({ type: this.#word(type, tokens), id: this.#text(id, EVENT_LIMITS.idCharsMax) }, name);
  }

  #subject(value: unknown): Subject {
    const { type, id, name } = this.#object(value, NAMED_FIELDS);
    const idText = this.#text(id, EVENT_LIMITS.idCharsMax);
    return this.#named(type === undefined ? { id: idText } : { type: this.#word(type, tokens), id: idText }, name);
  }

  #target(value: unknown): Target {
    const { type, id, name } = this.#object(value, NAMED_FIELDS);
    const target = {
      type: this.#text(type, EVENT_LIMITS.tokenCharsMax),
      id: this.#text(id, EVENT_LIMITS.textCharsMax),
    };
    return this.#named(target, name);
  }

  /** Adds a name, if there is one. */
  #named<Named extends object>(named: Named & { name?: string }, name: unknown): Named {
    if (name !== undefined) named.name = this.#text(name, EVENT_LIMITS.nameCharsMax);
    return named;
  }

  #targets(value: unknown): Target[] {
    return this.#list(value, EVENT_LIMITS.targetsMax).map((target) => this.#target(target));
  }

  /** Hex digits in upper case, which stand for the same bytes, and half surrogate pairs are in doubt. */
  #session(value: unknown): Session {
    const { id } = this.#object(value, SESSION_FIELDS);
    const isId = typeof id === "string" && id.length > 0 && id.length <= EVENT_LIMITS.sessionIdCharsMax;
    if (isId && (id.length === SESSION_ID_DIGITS ? isHex(id) : id.isWellFormed())) return { id };
    return this.#doubt({ id: "" });
  }

  #source(value: unknown): Source {
    const { ip, userAgent, device } = this.#object(value, SOURCE_FIELDS);
    const source: Writable<Source> = {};
    if (ip !== undefined) source.ip = this.#ip(ip);
    if (userAgent !== undefined) source.userAgent = this.#text(userAgent, EVENT_LIMITS.textCharsMax);
    if (device !== undefined) source.device = this.#text(device, EVENT_LIMITS.idCharsMax);
    return this.#nonEmpty(source);
  }

  #ip(value: unknown): string {
    return typeof value === "string" && (IPV4.test(value) || IPV6.test(value)) ? value : this.#doubt("");
  }

  #auth(value: unknown): Auth {
    const { method, factors, provider } = this.#object(value, AUTH_FIELDS);
    const auth: Writable<Auth> = {};
    if (method !== undefined) auth.method = this.#word(method, tokens);
    if (factors !== undefined) {
      auth.factors = this.#list(factors, EVENT_LIMITS.factorsMax).map((factor) => this.#word(factor, tokens));
    }
    if (provider !== undefined) auth.provider = this.#text(provider, EVENT_LIMITS.idCharsMax);
    return this.#nonEmpty(auth);
  }

  #amends(value: unknown): string {
    return typeof value === "string" && value.length === COMMITMENT_DIGITS && isHex(value) ? value : this.#doubt("");
  }

  #context(value: unknown): Context {
    return copyFitContext(value, this.#refuseSecrets) ?? this.#doubt({});
  }

  #word(value: unknown, words: KnownWords): string {
    return typeof value === "string" && words.has(value) ? value : this.#doubt("");
  }

  #text(value: unknown, charsMax: number): string {
    return typeof value === "string" && isTextOf(value, charsMax) ? value : this.#doubt("");
  }

  #list(value: unknown, max: number): unknown[] {
    // Array.from: map() would leave out a hole.
    return Array.isArray(value) && value.length > 0 && value.length <= max ? Array.from(value) : this.#doubt([]);
  }

  #nonEmpty<Fields extends object>(fields: Fields): Fields {
    for (const _ in fields) return fields;
    return this.#doubt(fields);
  }

  /** The fields of a plain object that has none but these. */
  #object(value: unknown, known: ReadonlySet<string>): Readonly<Record<string, unknown>> {
    if (!isPlainObject(value)) return this.#doubt({});
    for (const field in value) if (!known.has(field)) return this.#doubt({});
    return value;
  }

  #doubt<Value>(instead: Value): Value {
    this.#isFit = false;
    return instead;
  }
}
