/** What a log answers about the end of contents, as far as commands use it. A log may be broken, or not be one at all. */
import type { Exchange } from "@tallystick/client";
import { indexOf, jsonOf, malformed, objectOf, textOf, timeOf } from "./log-answer.ts";

const DESTRUCTION_STATES = ["held", "ordered", "done"] as const;

export interface ClassDayScope {
  readonly class: string;
  readonly day: string;
  readonly count: number;
}

export interface Destruction {
  readonly request: string;
  readonly ground: string;
  readonly state: (typeof DESTRUCTION_STATES)[number];
  /** Indexes of the certificate's entries. */
  readonly ordered: readonly number[];
  readonly done: number | undefined;
  readonly finalOn: string | undefined;
  readonly scope: ClassDayScope | undefined;
  readonly kept: readonly { readonly class: string; readonly count: number }[];
}

/** A value as it came, and what is known of it. */
export interface Answered<T> {
  readonly value: unknown;
  readonly known: T;
}

/** @throws {ClientError} `log-answer-malformed` */
export function destructionIn(answer: Exchange): Answered<Destruction> {
  const value = jsonOf(answer);
  return { value, known: destructionOf(value, "erasure") };
}

/** @throws {ClientError} `log-answer-malformed` */
export function destructionsIn(answer: Exchange): Answered<readonly Destruction[]> {
  const value = objectOf(jsonOf(answer), "answer")["erasures"];
  return { value, known: listOf(value, "erasures").map((each, at) => destructionOf(each, `erasure ${at}`)) };
}

function destructionOf(value: unknown, place: string): Destruction {
  const { request, ground, state, ordered = [], done, finalOn, scope, kept = [] } = objectOf(value, place);
  const known = DESTRUCTION_STATES.find((each) => each === state);
  if (known === undefined) throw malformed(`${place}: state: expected ${DESTRUCTION_STATES.join(", ")}`);
  return {
    request: textOf(request, `${place}: request`),
    ground: textOf(ground, `${place}: ground`),
    state: known,
    ordered: listOf(ordered, `${place}: ordered`).map((index) => indexOf(index, `${place}: ordered`)),
    done: done === undefined ? undefined : indexOf(done, `${place}: done`),
    finalOn: finalOn === undefined ? undefined : textOf(finalOn, `${place}: finalOn`),
    scope: scope === undefined ? undefined : scopeOf(scope, `${place}: scope`),
    kept: listOf(kept, `${place}: kept`).map((each) => keptOf(each, `${place}: kept`)),
  };
}

function keptOf(value: unknown, place: string): { class: string; count: number } {
  const { class: name, count } = objectOf(value, place);
  return { class: textOf(name, `${place}: class`), count: indexOf(count, `${place}: count`) };
}

function scopeOf(value: unknown, place: string): ClassDayScope {
  const { class: name, day, count } = objectOf(value, place);
  return {
    class: textOf(name, `${place}: class`),
    day: textOf(day, `${place}: day`),
    count: indexOf(count, `${place}: count`),
  };
}

export interface CertificateEntry {
  readonly index: number;
  readonly evidence: string;
}

/** @throws {ClientError} `log-answer-malformed` */
export function certificateIn(answer: Exchange): readonly CertificateEntry[] {
  const entries = listOf(objectOf(jsonOf(answer), "answer")["certificate"], "certificate");
  return entries.map((each, at) => {
    const { index, evidence } = objectOf(each, `certificate ${at}`);
    return {
      index: indexOf(index, `certificate ${at}: index`),
      evidence: textOf(evidence, `certificate ${at}: evidence`),
    };
  });
}

export interface Hold {
  readonly id: string;
  readonly case: string;
  readonly ofPerson: boolean;
  /** Class, times and operation in words; empty where it is of a person alone. */
  readonly selectors: readonly string[];
  readonly setBy: string;
  readonly setAt: string;
  readonly setIndex: number;
  readonly lifted: { readonly by: string; readonly at: string } | undefined;
}

/** @throws {ClientError} `log-answer-malformed` */
export function holdIn(answer: Exchange): Answered<Hold> {
  const value = jsonOf(answer);
  return { value, known: holdOf(value, "hold") };
}

/** @throws {ClientError} `log-answer-malformed` */
export function holdsIn(answer: Exchange): Answered<readonly Hold[]> {
  const value = objectOf(jsonOf(answer), "answer")["holds"];
  return { value, known: listOf(value, "holds").map((each, at) => holdOf(each, `hold ${at}`)) };
}

function holdOf(value: unknown, place: string): Hold {
  const hold = objectOf(value, place);
  const { ofPerson, liftedAt } = hold;
  const selectors = ["class", "from", "to", "operation"].flatMap((name) =>
    hold[name] === undefined ? [] : [`${name} ${textOf(hold[name], `${place}: ${name}`)}`],
  );
  const lifted =
    liftedAt === undefined
      ? undefined
      : { by: textOf(hold["liftedBy"], `${place}: liftedBy`), at: timeOf(liftedAt, `${place}: liftedAt`) };
  return {
    id: textOf(hold["id"], `${place}: id`),
    case: textOf(hold["case"], `${place}: case`),
    ofPerson: ofPerson === true,
    selectors,
    setBy: textOf(hold["setBy"], `${place}: setBy`),
    setAt: timeOf(hold["setAt"], `${place}: setAt`),
    setIndex: indexOf(hold["setIndex"], `${place}: setIndex`),
    lifted,
  };
}

export interface ClassDay extends ClassDayScope {
  readonly dueOn: string | undefined;
  readonly held: boolean;
}

export interface ClassDays {
  readonly classDays: readonly ClassDay[];
  readonly more: boolean;
}

/** @throws {ClientError} `log-answer-malformed` */
export function classDaysIn(answer: Exchange): Answered<ClassDays> {
  const value = jsonOf(answer);
  const { classDays, more } = objectOf(value, "answer");
  const known = listOf(classDays, "classDays").map((each, at) => {
    const { dueOn, held } = objectOf(each, `class-day ${at}`);
    return {
      ...scopeOf(each, `class-day ${at}`),
      dueOn: dueOn === undefined ? undefined : textOf(dueOn, `class-day ${at}: dueOn`),
      held: held === true,
    };
  });
  return { value, known: { classDays: known, more: more === true } };
}

export interface RetentionRun {
  readonly destroyed: readonly ClassDayScope[];
  readonly held: number;
}

/** @throws {ClientError} `log-answer-malformed` */
export function retentionRunIn(answer: Exchange): Answered<RetentionRun> {
  const value = jsonOf(answer);
  const { destroyed, held } = objectOf(value, "answer");
  const scopes = listOf(destroyed, "destroyed").map((each, at) => scopeOf(each, `destroyed ${at}`));
  return { value, known: { destroyed: scopes, held: indexOf(held, "held") } };
}

function listOf(value: unknown, place: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed(`${place}: expected an array`);
}
