/** Reading an event that somebody reports: its shape, then what its type asks for. */
import { invariant } from "@tallystick/core";
import { catalogueEntry, typeProblem } from "./catalogue.ts";
import { type Context, copyContext, copyFitContext, isPlainObject } from "./context.ts";
import { Defects, type Path, show } from "./defects.ts";
import type { EventInput, TallyEvent } from "./event.ts";
import { EXPECTED_TIME, TIME_MAX_MS, TIME_MIN_MS, compiledEventSchema } from "./event-schema.ts";
import { readFitEvent } from "./fit-event.ts";
import { addShapeDefects } from "./shape-defects.ts";
import { parseTime } from "./time.ts";

/**
 * Reads the JSON view of an event that is being reported.
 *
 * Strict: unknown fields, numbers that are no integers, misspelt core types and missing fields are refused, all of
 * them at once. The result shares nothing with `json`. A session id that is not 64 hex digits comes back as it is:
 * hash it with normaliseSession() before the event is encoded. The bound on the event's bytes is encodeEvent()'s.
 *
 * @throws {EventError} `event-invalid`: `details.defects` is a list of {@link EventDefect}.
 * @example
 * parseEvent({
 *   id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
 *   time: "2026-01-31T09:14:09.131Z",
 *   type: "auth.login",
 *   outcome: "success",
 *   actor: { type: "user", id: "u_81" },
 * });
 */
export function parseEvent(json: unknown): TallyEvent {
  const fit = readFitEvent(json, { refuseSecrets: true });
  return fit !== undefined && meetsCatalogue(json as EventInput) ? fit : parseWithSchema(json);
}

/** Asks the schema: tells what is wrong with any value. */
export function parseWithSchema(json: unknown): TallyEvent {
  const defects = new Defects();
  if (isPlainObject(json)) addCatalogueDefects(json, defects);
  const event = readShape(json, defects, { refuseSecrets: true });
  defects.throwIfAny();
  invariant(event !== undefined, "an event without defects has a shape");
  return event;
}

/**
 * Holds an event that was decoded against what parseEvent() asks for beyond its shape: the fields that its type needs,
 * no misspelt core type, no raw secret. For what is reported in permanent bytes; not for what is logged already, which
 * the catalogue of its own day allowed.
 *
 * @throws {EventError} `event-invalid`, as parseEvent() does.
 */
export function assertReportable(event: TallyEvent): void {
  const { context } = event;
  if (meetsCatalogue(event) && (context === undefined || copyFitContext(context, true) !== undefined)) return;
  const defects = new Defects();
  addCatalogueDefects({ ...event }, defects);
  if (context !== undefined) copyContext(context, defects, { refuseSecrets: true });
  defects.throwIfAny();
}

/** Whether an event has all fields that its type needs, and a type that may be. */
function meetsCatalogue(event: Partial<EventInput>): boolean {
  const { type } = event;
  if (typeof type !== "string") return false;
  const entry = catalogueEntry(type);
  if (entry === undefined) return typeProblem(type) === undefined;
  return entry.required.every((field) => event[field] !== undefined);
}

function addCatalogueDefects(fields: Readonly<Record<string, unknown>>, defects: Defects): void {
  const { type } = fields;
  if (typeof type !== "string") return;
  const entry = catalogueEntry(type);
  if (entry === undefined) return addTypeProblem(type, defects);
  for (const field of entry.required) {
    if (fields[field] !== undefined) continue;
    const expected = `the ${field} that ${type} needs`;
    defects.add([field], { message: `is missing: ${type} needs it`, expected, got: "nothing" });
  }
}

function addTypeProblem(type: string, defects: Defects): void {
  const problem = typeProblem(type);
  if (problem === undefined) return;
  const expected = "a type of the catalogue, or one of the application's own outside of the core's namespaces";
  const { suggestion } = problem;
  defects.add(["type"], { expected, got: show(type), ...(suggestion === undefined ? undefined : { suggestion }) });
}

/**
 * Reads the shape alone, from JSON or from a view that was made of permanent bytes.
 *
 * Adds what is wrong to `defects`; the result is `undefined` where the shape does not hold.
 */
export function readShape(
  view: unknown,
  defects: Defects,
  options: { readonly refuseSecrets: boolean },
): TallyEvent | undefined {
  if (isOvercrowded(view, defects)) return undefined;
  const parsed = compiledEventSchema().safeParse(view);
  if (!parsed.success) addShapeDefects(defects, parsed.error.issues, view);
  const { time, context }: { time?: unknown; context?: unknown } = isPlainObject(view) ? view : {};
  // What is neither text nor a number the schema has refused; to make a number of it could run its own code, or throw.
  const timeMs = typeof time === "string" ? readTime(time, defects) : typeof time === "number" ? time : Number.NaN;
  const copy = context === undefined ? undefined : copyContext(context, defects, options);
  return parsed.success ? toEvent(parsed.data, timeMs, copy) : undefined;
}

/** Far more than any part of an event has: the schema takes seconds over hundreds of thousands. */
const FIELDS_MAX = 256;

/** Whether the event or one of its parts has more fields than are worth looking at. Context has bounds of its own. */
function isOvercrowded(view: unknown, defects: Defects): boolean {
  if (!isPlainObject(view)) return false;
  if (hasTooMany(Object.keys(view).length, [], defects)) return true;
  return Object.entries(view).some(
    ([field, part]) =>
      field !== "context" && isPlainObject(part) && hasTooMany(Object.keys(part).length, [field], defects),
  );
}

function hasTooMany(count: number, path: Path, defects: Defects): boolean {
  if (count <= FIELDS_MAX) return false;
  defects.add(path, { expected: `at most ${FIELDS_MAX} fields`, got: `${count}` });
  return true;
}

function readTime(text: string, defects: Defects): number {
  const timeMs = parseTime(text);
  if (timeMs !== undefined && timeMs >= TIME_MIN_MS && timeMs <= TIME_MAX_MS) return timeMs;
  defects.add(["time"], { expected: EXPECTED_TIME, got: show(text) });
  return TIME_MIN_MS;
}

function toEvent(fields: EventInput, time: number, context: Context | undefined): TallyEvent {
  const { id, type, outcome = "unknown", actor, session, targets, subject, tenant, source, auth } = fields;
  const { reason, operation, retention, amends } = fields;
  return {
    id: id.toLowerCase(),
    time,
    type,
    outcome,
    actor,
    session: session === undefined ? undefined : readSession(session.id),
    targets,
    subject,
    tenant: typeof tenant === "object" ? tenant.id : tenant,
    source,
    auth,
    reason,
    operation,
    retention,
    amends,
    context,
  };
}

/** Hex digits have two cases, and the bytes that they stand for one. */
function readSession(id: string): { readonly id: string } {
  return { id: /^[0-9A-Fa-f]{64}$/.test(id) ? id.toLowerCase() : id };
}
