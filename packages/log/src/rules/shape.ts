/**
 * Shapes of values, each said once: from a shape come both what reads a value, with every defect at its place, and the
 * JSON Schema that tells programs the same.
 */
import { quote } from "@tallystick/core";
import { nearest } from "@tallystick/events";
import type { Place, RulesDefects } from "./defects.ts";
import { type Located, type LocatedMap, joinPath } from "./located-yaml.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Reading {
  readonly path: string;
  readonly defects: RulesDefects;
}

export interface Shape<T> {
  readonly schema: Json;
  /** The value; `undefined` where it has defects, which are added. */
  readonly read: (node: Located, reading: Reading) => T | undefined;
}

/** One of a few words. */
export function word<T extends string>(words: readonly T[]): Shape<T> {
  const list = words.join(", ");
  return {
    schema: { enum: words },
    read: (node, reading) => {
      const found = words.find((known) => node.kind === "scalar" && known === node.value);
      if (found !== undefined) return found;
      const given = node.kind === "scalar" ? node.source.toLowerCase() : "";
      const meant = nearestOf(given, words);
      return refuse(node, reading, `expected ${list}${words.length > 1 ? "" : " alone"}${meant}`);
    },
  };
}

export interface TextBounds {
  /** A regular expression for the whole text, read as Unicode. */
  readonly pattern: string;
  /** What is expected, in words. */
  readonly expected: string;
  /** What was most likely meant by a text that does not fit. */
  readonly meant?: (text: string) => string | undefined;
  /** That what stands there is not shown: somebody may have put a secret in its place. */
  readonly hidden?: boolean;
}

/** Text that a pattern describes. */
export function text({ pattern, expected, meant, hidden = false }: TextBounds): Shape<string> {
  const expression = new RegExp(pattern, "u");
  const guessOf = (given: string): string | undefined => {
    const guess = meant?.(given);
    return guess !== undefined && expression.test(guess) ? guess : undefined;
  };
  return {
    schema: { type: "string", pattern },
    read: (node, reading) => {
      const value = node.kind === "scalar" ? node.value : undefined;
      if (typeof value === "string" && expression.test(value)) return value;
      const given = node.kind === "scalar" && value !== null ? node.source : undefined;
      const guess = given === undefined ? undefined : guessOf(given);
      const quotes = guess === undefined && given !== undefined && typeof value !== "string" && expression.test(given);
      const hint = quotes ? ", in quotes" : guess === undefined ? "" : `, such as ${guess}`;
      if (!hidden || given === undefined) return refuse(node, reading, `expected ${expected}${hint}`);
      reading.defects.add(node.place, reading.path, `expected ${expected}${hint}; got ${given.length} characters`);
      return undefined;
    },
  };
}

/** A whole number, written as one: not 0x10, 1e3 or 007. */
export function wholeNumber({ min, max }: { readonly min: number; readonly max: number }): Shape<number> {
  return {
    schema: { type: "integer", minimum: min, maximum: max },
    read: (node, reading) => {
      const value = node.kind === "scalar" ? node.value : undefined;
      const isWhole = typeof value === "number" && node.kind === "scalar" && String(value) === node.source;
      if (isWhole && Number.isSafeInteger(value) && value >= min && value <= max) return value;
      return refuse(node, reading, min === max ? `expected ${min}` : `expected a whole number from ${min} to ${max}`);
    },
  };
}

/** A list of at most `max` items of one shape. */
export function list<T>(item: Shape<T>, max: number): Shape<readonly T[]> {
  return {
    schema: { type: "array", items: item.schema, maxItems: max },
    read: (node, reading) => {
      if (node.kind !== "list") return refuse(node, reading, "expected a list");
      if (node.items.length > max) return refuse(node, reading, `expected at most ${max} items`);
      const items = node.items.map((each, at) => item.read(each, { ...reading, path: `${reading.path}[${at}]` }));
      return all(items);
    },
  };
}

/** A map whose keys are free names; those of `special` have a shape of their own. */
export interface NamedBounds<T> {
  readonly names: { readonly pattern: string; readonly expected: string };
  readonly value: Shape<T>;
  readonly special: Readonly<Record<string, Shape<T>>>;
  readonly max: number;
}

export function named<T>({ names, value, special, max }: NamedBounds<T>): Shape<ReadonlyMap<string, T>> {
  const expression = new RegExp(names.pattern, "u");
  return {
    schema: {
      type: "object",
      maxProperties: max,
      propertyNames: { pattern: names.pattern },
      properties: Object.fromEntries(Object.entries(special).map(([name, { schema }]) => [name, schema])),
      additionalProperties: value.schema,
    },
    read: (node, reading) => {
      if (node.kind !== "map") return refuse(node, reading, "expected a map");
      if (node.members.size > max) return refuse(node, reading, `expected at most ${max} keys`);
      const { defects } = reading;
      const entries = [...node.members].map(([name, member]): readonly [string, T] | undefined => {
        const path = joinPath(reading.path, name);
        if (!expression.test(name)) {
          defects.add(member.key, path, `expected ${names.expected} as key`);
          return undefined;
        }
        const shape = Object.hasOwn(special, name) ? special[name] : undefined;
        const read = (shape ?? value).read(member.value, { path, defects });
        return read === undefined ? undefined : [name, read];
      });
      const whole = all(entries);
      return whole === undefined ? undefined : new Map(whole);
    },
  };
}

/** A key of a record: its shape, whether it has to be there, and what it says. */
export interface Field<T> {
  readonly shape: Shape<T>;
  readonly required?: true;
  readonly description: string;
}

export interface RecordBounds<T> {
  readonly fields: { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };
  /** What others call the keys. */
  readonly alsoCalled?: Readonly<Record<string, string>>;
}

/** A map of fixed keys. What is left out is absent. */
export function record<T extends object>({ fields, alsoCalled = {} }: RecordBounds<T>): Shape<T> {
  const known = Object.entries<Field<unknown>>(fields);
  const names = known.map(([name]) => name);
  const required = known.filter(([, field]) => field.required === true).map(([name]) => name);
  const properties = known.map(([name, { shape, description }]) => [name, { ...shape.schema, description }]);
  return {
    schema: {
      type: "object",
      ...(required.length === 0 ? {} : { required }),
      additionalProperties: false,
      properties: Object.fromEntries(properties),
    },
    read: (node, reading) => {
      if (node.kind !== "map") return refuse(node, reading, `expected a map of ${names.join(", ")}`);
      const hasOnlyKnown = refuseUnknown(node, reading, { names, alsoCalled });
      const hasAll = refuseMissing(node, reading, required);
      const members = known.flatMap(([name, { shape }]) => {
        const member = node.members.get(name);
        if (member === undefined) return [];
        const value = shape.read(member.value, { ...reading, path: joinPath(reading.path, name) });
        return [value === undefined ? undefined : ([name, value] as const)];
      });
      const whole = all(members);
      // Read field by field, by the shapes that make up T.
      return whole === undefined || !hasOnlyKnown || !hasAll ? undefined : (Object.fromEntries(whole) as T);
    },
  };
}

/** A shape whose values have to meet more, or are something else in the end; `more` says it in the schema's words. */
export function refined<S, T>(
  shape: Shape<S>,
  refine: (value: S, node: Located, reading: Reading) => T | undefined,
  more: Json = {},
): Shape<T> {
  return {
    schema: { ...shape.schema, ...more },
    read: (node, reading) => {
      const value = shape.read(node, reading);
      return value === undefined ? undefined : refine(value, node, reading);
    },
  };
}

/** Where a key's value stands, or else the map that it is missing in. */
export function placeOf(node: Located, name: string): Place {
  return (node.kind === "map" ? node.members.get(name)?.value.place : undefined) ?? node.place;
}

interface Known {
  readonly names: readonly string[];
  readonly alsoCalled: Readonly<Record<string, string>>;
}

function refuseUnknown({ members }: LocatedMap, { path, defects }: Reading, { names, alsoCalled }: Known): boolean {
  let isKnown = true;
  for (const [name, { key }] of members) {
    if (names.includes(name)) continue;
    isKnown = false;
    // Guessing costs more than all else.
    if (defects.full) break;
    const plain = name.toLowerCase().replaceAll(/[^a-z]/g, "");
    const meant = Object.hasOwn(alsoCalled, plain) ? `: did you mean ${alsoCalled[plain]}?` : nearestOf(name, names);
    defects.add(key, joinPath(path, name), `is no key here${meant === "" ? `: expected ${names.join(", ")}` : meant}`);
  }
  return isKnown;
}

function refuseMissing(
  { members, place }: LocatedMap,
  { path, defects }: Reading,
  required: readonly string[],
): boolean {
  const missing = required.filter((name) => !members.has(name));
  for (const name of missing) defects.add(place, path, `expected ${name}, which is missing`);
  return missing.length === 0;
}

function nearestOf(given: string, words: readonly string[]): string {
  if (given.length > 40) return "";
  const plain = given.toLowerCase().replaceAll(/[^a-z]/g, "");
  const same = words.find((known) => known.toLowerCase().replaceAll(/[^a-z]/g, "") === plain);
  const found = same ?? nearest(given, words, given.length < 5 ? 1 : 2);
  return found === undefined ? "" : `: did you mean ${found}?`;
}

function refuse(node: Located, { path, defects }: Reading, expected: string): undefined {
  defects.add(node.place, path, `${expected}; got ${describe(node)}`);
  return undefined;
}

/** What stands there. Rules hold no secrets; what could be long is cut. */
function describe(node: Located): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return `a list of ${node.items.length}`;
  if (node.value === null) return "nothing";
  return typeof node.value === "string" ? quote(node.value) : `the ${typeof node.value} ${quote(node.source)}`;
}

function all<T>(values: readonly (T | undefined)[]): T[] | undefined {
  const there = values.filter((value) => value !== undefined);
  return there.length === values.length ? there : undefined;
}
