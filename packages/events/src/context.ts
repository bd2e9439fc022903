/** An event's context: free JSON of bounded size, in which every number is an integer. */
import { CBOR_DEPTH_MAX } from "./cbor.ts";
import { type Defects, describe, type Path } from "./defects.ts";
import { KnownWords } from "./known-words.ts";
import { isSecretName } from "./secrets.ts";
import { textPattern } from "./text.ts";

/** What context can hold. */
export type ContextValue = null | boolean | number | string | readonly ContextValue[] | Context;

export interface Context {
  readonly [key: string]: ContextValue;
}

/** Bounds within context; the event's own on bytes comes on top. */
export const CONTEXT_LIMITS = { keyCharsMax: 128, textCharsMax: 16_384, membersMax: 256, listMax: 1024 } as const;

/** The event is the outermost level, context the second. */
const CONTEXT_DEPTH = 2;
const KEY = new RegExp(textPattern(CONTEXT_LIMITS.keyCharsMax), "u");

export interface CopyContextOptions {
  /** Whether text under a name such as `password` is a defect: for what is reported, not for what is logged already. */
  readonly refuseSecrets: boolean;
}

/** Names that context can have, and those of them under which no raw secret is looked for. */
const names = new KnownWords((name) => KEY.test(name) && name !== "__proto__");
const harmlessNames = new KnownWords((name) => names.has(name) && !isSecretName(name));

/** Copies context that is in its bounds, so that nothing changes it later; `undefined` where {@link copyContext} has to look. */
export function copyFitContext(value: unknown, refuseSecrets: boolean): Context | undefined {
  return isPlainObject(value) ? copyFitMap(value, refuseSecrets ? harmlessNames : names, CONTEXT_DEPTH) : undefined;
}

function copyFitMap(value: Readonly<Record<string, unknown>>, names: KnownWords, depth: number): Context | undefined {
  if (depth > CBOR_DEPTH_MAX) return undefined;
  const copy: Record<string, ContextValue> = {};
  let size = 0;
  for (const name of Object.keys(value)) {
    const member = copyFitValue(value[name], names, depth);
    if (member === undefined || !names.has(name)) return undefined;
    copy[name] = member;
    size += 1;
  }
  return size <= CONTEXT_LIMITS.membersMax ? copy : undefined;
}

function copyFitValue(value: unknown, names: KnownWords, depth: number): ContextValue | undefined {
  if (typeof value === "string") {
    return value.length <= CONTEXT_LIMITS.textCharsMax && value.isWellFormed() ? value : undefined;
  }
  // Negative zero is zero in CBOR, and so it is here.
  if (typeof value === "number") return Number.isSafeInteger(value) ? value + 0 : undefined;
  if (value === null || typeof value === "boolean") return value;
  if (Array.isArray(value)) return copyFitList(value, names, depth + 1);
  return isPlainObject(value) ? copyFitMap(value, names, depth + 1) : undefined;
}

function copyFitList(values: readonly unknown[], names: KnownWords, depth: number): ContextValue | undefined {
  if (depth > CBOR_DEPTH_MAX || values.length > CONTEXT_LIMITS.listMax) return undefined;
  const copy: ContextValue[] = [];
  for (let i = 0; i < values.length; i += 1) {
    const member = copyFitValue(values[i], names, depth);
    if (member === undefined) return undefined;
    copy.push(member);
  }
  return copy;
}

/** Copies context, so that nothing changes it later, and adds what is wrong with it to `defects`. */
export function copyContext(value: unknown, defects: Defects, options: CopyContextOptions): Context {
  if (!isPlainObject(value)) {
    defects.add(["context"], { expected: "an object", got: describe(value) });
    return {};
  }
  return new Copier(defects, options).map(value, ["context"], CONTEXT_DEPTH);
}

class Copier {
  readonly #defects: Defects;
  readonly #options: CopyContextOptions;

  constructor(defects: Defects, options: CopyContextOptions) {
    this.#defects = defects;
    this.#options = options;
  }

  map(value: Readonly<Record<string, unknown>>, path: Path, depth: number): Context {
    const copy: Record<string, ContextValue> = {};
    const keys = Object.keys(value);
    if (!this.#enter(keys.length, CONTEXT_LIMITS.membersMax, { path, depth })) return copy;
    for (const key of keys) {
      const member = value[key];
      if (member !== undefined && this.#checkKey(key, member, path))
        copy[key] = this.#value(member, [...path, key], depth);
    }
    return copy;
  }

  #list(values: readonly unknown[], path: Path, depth: number): ContextValue {
    if (!this.#enter(values.length, CONTEXT_LIMITS.listMax, { path, depth })) return [];
    return Array.from(values, (value, i) => this.#value(value, [...path, i], depth));
  }

  #value(value: unknown, path: Path, depth: number): ContextValue {
    if (typeof value === "string") return this.#text(value, path);
    if (typeof value === "number") return this.#integer(value, path);
    if (value === null || typeof value === "boolean") return value;
    if (Array.isArray(value)) return this.#list(value, path, depth + 1);
    if (isPlainObject(value)) return this.map(value, path, depth + 1);
    this.#refuse(path, "a JSON value", value);
    return null;
  }

  #text(value: string, path: Path): string {
    const bound = CONTEXT_LIMITS.textCharsMax;
    if (value.length > bound) this.#refuse(path, `at most ${bound} characters`, value);
    if (!value.isWellFormed()) {
      this.#defects.add(path, { expected: "well-formed text", got: "text with half a surrogate pair" });
    }
    return value;
  }

  #integer(value: number, path: Path): number {
    if (!Number.isSafeInteger(value)) {
      this.#refuse(path, "an integer within ±(2^53 - 1): send it as a decimal string", value);
    }
    // Negative zero is zero in CBOR, and so it is here.
    return value + 0;
  }

  #checkKey(key: string, member: unknown, path: Path): boolean {
    if (!KEY.test(key) || key === "__proto__") {
      const expected = `names of 1 to ${CONTEXT_LIMITS.keyCharsMax} characters on one line, not __proto__`;
      this.#defects.add([...path, key], { expected, got: key === "__proto__" ? key : describe(key) });
      return false;
    }
    if (this.#options.refuseSecrets && typeof member === "string" && member !== "" && isSecretName(key)) {
      const message = "raw secrets are never logged: leave it out, or log a keyed hash under another name";
      this.#defects.add([...path, key], { message, expected: "no raw secret", got: describe(member) });
      return false;
    }
    return true;
  }

  #enter(count: number, max: number, { path, depth }: { path: Path; depth: number }): boolean {
    if (this.#defects.full) return false;
    if (depth > CBOR_DEPTH_MAX) {
      const expected = `at most ${CBOR_DEPTH_MAX} levels, the event being the first and context the second`;
      this.#defects.add(path, { expected, got: "one more" });
      return false;
    }
    if (count > max) this.#defects.add(path, { expected: `at most ${max} entries`, got: String(count) });
    return count <= max;
  }

  #refuse(path: Path, expected: string, value: unknown): void {
    this.#defects.add(path, { expected, got: describe(value) });
  }
}

/** An object as JSON or CBOR gives it, not an instance of a class, whose contents would be lost. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
