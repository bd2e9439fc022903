/** Turns what zod finds wrong with an event's shape into defects that its sender can act on. */
import type * as z from "zod";
import { suggestType } from "./catalogue.ts";
import { type Defects, type Path, describe, show } from "./defects.ts";
import { OUTCOMES, TIME_MAX_MS, TIME_MIN_MS, fieldsAt } from "./event-schema.ts";
import { nearest } from "./suggestion.ts";

/** What other systems call our fields. */
const ALSO_CALLED: Readonly<Record<string, string>> = {
  action: "type",
  data: "context",
  details: "context",
  event: "type",
  eventtype: "type",
  extra: "context",
  ip: "source.ip",
  ipaddress: "source.ip",
  message: "reason",
  metadata: "context",
  object: "targets",
  properties: "context",
  resource: "targets",
  result: "outcome",
  sessionid: "session.id",
  status: "outcome",
  target: "targets",
  tenantid: "tenant",
  timestamp: "time",
  ts: "time",
  user: "actor",
  useragent: "source.userAgent",
  userid: "actor.id",
  uuid: "id",
};

/** Fields that may be shown in an error: they hold nothing secret or personal. */
const SHOWN: ReadonlySet<PropertyKey> = new Set(["id", "time", "type", "outcome", "retention"]);

/** Adds a defect for each of zod's issues with `input`. */
export function addShapeDefects(defects: Defects, issues: readonly z.core.$ZodIssue[], input: unknown): void {
  for (const issue of issues) {
    if (defects.full) return;
    if (issue.code === "unrecognized_keys") addUnknownFields(defects, issue.path, issue.keys);
    else addShapeDefect(defects, issue, input);
  }
}

function addUnknownFields(defects: Defects, path: Path, keys: readonly string[]): void {
  const known = fieldsAt(path);
  for (const key of keys) {
    // Finding what was meant costs more than all else: hundreds of thousands of fields would take seconds.
    if (defects.full) return;
    const suggestion = suggestField(key, path, known);
    defects.add([...path, key], {
      message: "is not a field of an event: what has no place of its own goes into context",
      expected: `one of ${known.join(", ")}`,
      got: "an unknown field",
      ...(suggestion === undefined ? undefined : { suggestion }),
    });
  }
}

function suggestField(key: string, path: Path, known: readonly string[]): string | undefined {
  if (key.length > 40) return undefined;
  const plain = key.toLowerCase().replaceAll(/[^a-z]/g, "");
  const near = known.find((field) => field.toLowerCase() === plain) ?? nearest(key, known, key.length < 5 ? 1 : 2);
  if (near !== undefined) return near;
  return path.length === 0 && Object.hasOwn(ALSO_CALLED, plain) ? ALSO_CALLED[plain] : undefined;
}

function addShapeDefect(defects: Defects, { path, message: expected }: z.core.$ZodIssue, input: unknown): void {
  const value = valueAt(input, path);
  if (value === undefined) {
    defects.add(path, { message: `is missing: expected ${expected}`, expected, got: "nothing" });
    return;
  }
  const suggestion = path.length === 1 ? suggestValue(path[0], value) : undefined;
  const shown = path.length === 1 && SHOWN.has(path[0] ?? "");
  const got = value === null ? "null: leave the field out" : shown ? showField(path[0], value) : describe(value);
  defects.add(path, { expected, got, ...(suggestion === undefined ? undefined : { suggestion }) });
}

function showField(field: PropertyKey | undefined, value: unknown): string {
  const version = field === "id" && typeof value === "string" ? uuidVersion(value) : undefined;
  return version === undefined ? show(value) : `${show(value)}, of version ${version}`;
}

function uuidVersion(text: string): string | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i.exec(text)?.[1];
}

function suggestValue(field: PropertyKey | undefined, value: unknown): string | undefined {
  if (field === "time" && typeof value === "number") return suggestTime(value);
  if (typeof value !== "string" || value.length > 100) return undefined;
  if (field === "type") return suggestType(value);
  if (field === "outcome") return nearest(value.toLowerCase(), OUTCOMES, 3);
  return undefined;
}

/** Seconds or microseconds, taken for milliseconds. */
function suggestTime(value: number): string | undefined {
  const meant = [value * 1000, value / 1000, value / 1_000_000].find((ms) => ms >= TIME_MIN_MS && ms <= TIME_MAX_MS);
  return meant === undefined ? undefined : `${Math.floor(meant)} (milliseconds)`;
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input;
  for (const step of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<PropertyKey, unknown>>)[step];
  }
  return value;
}
