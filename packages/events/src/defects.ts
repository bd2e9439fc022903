/** What is wrong with an event, field by field, in words that its sender can act on. */
import { EventError } from "./error.ts";

/** One defect. No part of it holds what a field says, but for `type`, `outcome`, `time` and the like. */
export interface EventDefect {
  /** The field: `actor.id`, `targets[2].type`, `context["a b"]`; empty for the event as a whole. */
  readonly path: string;
  /** The whole defect in words, without the path. */
  readonly message: string;
  readonly expected: string;
  readonly got: string;
  /** What was most likely meant. */
  readonly suggestion?: string;
}

/** More defects than these help nobody, and an answer has to stay small. */
const DEFECTS_MAX = 100;
const DEFECTS_IN_MESSAGE = 3;
const SHOWN_CHARS_MAX = 64;

export type Path = readonly PropertyKey[];

/** Collects defects. */
export class Defects {
  readonly #found: EventDefect[] = [];
  readonly #keys: Set<string> = new Set();

  get any(): boolean {
    return this.#found.length > 0;
  }

  get full(): boolean {
    return this.#found.length >= DEFECTS_MAX;
  }

  /** Adds a defect; the first one of a field wins. */
  add(path: Path, defect: Omit<EventDefect, "path" | "message"> & { readonly message?: string }): void {
    const text = formatPath(path);
    if (this.full || this.#keys.has(text)) return;
    this.#keys.add(text);
    const { message = `expected ${defect.expected}, got ${defect.got}`, suggestion, ...rest } = defect;
    const hint = suggestion === undefined ? "" : `; did you mean ${suggestion}?`;
    this.#found.push({
      path: text,
      message: message + hint,
      ...rest,
      ...(suggestion === undefined ? undefined : { suggestion }),
    });
  }

  /** @throws {EventError} `event-invalid`: there are defects. */
  throwIfAny(): void {
    if (this.any) throw eventInvalid(this.#found);
  }
}

function eventInvalid(defects: readonly EventDefect[]): EventError {
  const shown = defects.slice(0, DEFECTS_IN_MESSAGE).map(({ path, message }) => `${path || "event"}: ${message}`);
  const rest = defects.length - shown.length;
  const text = shown.join(" | ") + (rest > 0 ? ` | and ${rest} more` : "");
  return new EventError("event-invalid", text, { details: { defects } });
}

/** A path as JavaScript would write it. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(String(step)))
      text += text === "" ? String(step) : `.${String(step)}`;
    else text += `[${cut(String(step))}]`;
  }
  return text;
}

/** A value's kind and size, not what it says. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return value === "" ? "empty text" : `text of ${value.length} characters`;
  if (typeof value === "number") return describeNumber(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "object" ? "an object" : typeof value;
}

/** The value itself, for fields that hold nothing secret or personal; long text is cut. */
export function show(value: unknown): string {
  if (typeof value === "string") return cut(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return describe(value);
}

function describeNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (!Number.isInteger(value)) return "a number with a fraction";
  return Number.isSafeInteger(value) ? "an integer" : "an integer beyond ±(2^53 - 1)";
}

function cut(text: string): string {
  const short = text.toWellFormed().slice(0, SHOWN_CHARS_MAX).toWellFormed();
  return JSON.stringify(short) + (text.length > SHOWN_CHARS_MAX ? "…" : "");
}
