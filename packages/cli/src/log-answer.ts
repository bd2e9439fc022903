/** What a log answers, as far as a command uses it. A log may be broken, or not be one at all. */
import { ClientError, type Exchange } from "@tallystick/client";
import { TallystickError, decodeBase64, decodeUtf8 } from "@tallystick/core";
import { parseJson } from "@tallystick/events";

export const STATES = ["durable", "published", "witnessed"] as const;
export type State = (typeof STATES)[number];

/** Where an event that was sent stands. */
export interface LoggedEntry {
  readonly id: string;
  readonly index: number;
  readonly loggedAt: string;
  readonly state: State;
  readonly duplicate: boolean;
}

/** @throws {ClientError} `log-answer-malformed`: not one entry for each of `count` events. */
export function loggedEntries(answer: Exchange, count: number): readonly LoggedEntry[] {
  const value = jsonOf(answer);
  if (!Array.isArray(value) || value.length !== count) throw malformed(`expected an array of ${count} entries`);
  return value.map((entry, at) => loggedEntry(entry, `entry ${at}`));
}

function loggedEntry(value: unknown, place: string): LoggedEntry {
  const { id, index, loggedAt, state, duplicate } = objectOf(value, place);
  return {
    id: textOf(id, `${place}: id`),
    index: indexOf(index, `${place}: index`),
    loggedAt: timeOf(loggedAt, `${place}: loggedAt`),
    state: stateOf(state, `${place}: state`),
    duplicate: duplicate === true,
  };
}

/** An entry as the tail shows it. */
export interface TailEntry {
  readonly index: number;
  readonly state: State;
  readonly loggedAt: string;
  readonly event?: unknown;
}

/** @throws {ClientError} `log-answer-malformed` */
export function tailEntry(data: string): TailEntry {
  const entry = objectOf(
    parseAnswer(() => data),
    "entry",
  );
  indexOf(entry["index"], "entry: index");
  stateOf(entry["state"], "entry: state");
  timeOf(entry["loggedAt"], "entry: loggedAt");
  return entry as unknown as TailEntry;
}

export interface TailHead {
  readonly size: number;
  readonly note: string;
}

/** @throws {ClientError} `log-answer-malformed` */
export function tailHead(data: string): TailHead {
  const { size, note, ...more } = objectOf(
    parseAnswer(() => data),
    "checkpoint",
  );
  return { size: indexOf(size, "checkpoint: size"), note: textOf(note, "checkpoint: note"), ...more };
}

/** The tree size in a status. @throws {ClientError} `log-answer-malformed` */
export function statusSize(answer: Exchange): number {
  return indexOf(objectOf(jsonOf(answer), "status")["size"], "status: size");
}

/** The text of a receipt, or of a checkpoint. @throws {ClientError} `log-answer-malformed` */
export function textIn({ body }: Exchange, what: "receipt" | "checkpoint"): string {
  try {
    return decodeUtf8(body);
  } catch (cause) {
    throw malformed(`${what}: expected UTF-8`, cause);
  }
}

/** The opening in an entry's contents. @throws {ClientError} `log-answer-malformed` */
export function openingIn(answer: Exchange): Uint8Array {
  return base64Of(objectOf(jsonOf(answer), "contents")["opening"], "opening");
}

/** What is told of one entry of a range: its opening, or why there is none. */
export interface ToldOpening {
  readonly index: number;
  readonly opening?: Uint8Array;
  readonly code?: unknown;
  readonly certificate?: unknown;
}

/** @throws {ClientError} `log-answer-malformed`: not the entries from the first on, at least one, and no more than asked for. */
export function openingsIn(
  answer: Exchange,
  { from, limit }: { readonly from: number; readonly limit: number },
): readonly ToldOpening[] {
  const { openings } = objectOf(jsonOf(answer), "contents");
  if (!Array.isArray(openings) || openings.length === 0 || openings.length > limit)
    throw malformed(`openings: expected an array of 1 to ${limit}`);
  return openings.map((value: unknown, at) => {
    const place = `opening ${at}`;
    const { index, opening, code, certificate } = objectOf(value, place);
    if (index !== from + at) throw malformed(`${place}: index: expected ${from + at}`);
    return opening === undefined ? { index, code, certificate } : { index, opening: base64Of(opening, place) };
  });
}

function base64Of(value: unknown, place: string): Uint8Array {
  const text = textOf(value, place);
  try {
    return decodeBase64(text);
  } catch (cause) {
    throw malformed(`${place}: expected base64`, cause);
  }
}

export function jsonOf({ body }: Exchange): unknown {
  return parseAnswer(() => decodeUtf8(body));
}

/** Strictly, and so at a bounded depth: what is parsed is printed again. */
export function parseAnswer(text: () => string): unknown {
  try {
    return parseJson(text());
  } catch (cause) {
    if (cause instanceof TallystickError) throw malformed("expected JSON", cause);
    throw cause;
  }
}

export function objectOf(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw malformed(`${place}: expected an object`);
}

export function textOf(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  throw malformed(`${place}: expected text`);
}

export function indexOf(value: unknown, place: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`${place}: expected a whole number`);
}

export function timeOf(value: unknown, place: string): string {
  if (typeof value === "string" && Number.isFinite(Date.parse(value))) return value;
  throw malformed(`${place}: expected a time`);
}

function stateOf(value: unknown, place: string): State {
  const state = STATES.find((known) => known === value);
  if (state !== undefined) return state;
  throw malformed(`${place}: expected ${STATES.join(", ")}`);
}

export function malformed(text: string, cause?: unknown): ClientError {
  return new ClientError("log-answer-malformed", `the log's answer: ${text}`, cause === undefined ? {} : { cause });
}
