/** An application's own types of events, with fields that are typed and checked. Nothing is registered anywhere. */
import {
  type ContextValue,
  EVENT_TYPE_PATTERN,
  EventError,
  assertOptionNames,
  catalogueEntry,
  typeProblem,
} from "@tallystick/events";
import type { Report } from "./report.ts";

/** What zod, valibot, arktype and others have in common. standardschema.dev, version 1. */
export interface FieldsSchema<Input = unknown, Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export interface EventDefinition {
  /** The `type` of its target: then a report takes the target's id alone, and needs it. */
  readonly target?: string | undefined;
  /** What its `context` holds. */
  readonly fields?: FieldsSchema | undefined;
  /** The retention class, where it is not the first segment of the type. */
  readonly retention?: string | undefined;
}

/** What the schema takes, or nothing where there is none. */
type FieldsOf<Definition extends EventDefinition> =
  Definition["fields"] extends FieldsSchema<infer Input> ? { readonly fields: Input } : { readonly fields?: undefined };

type TargetOf<Definition extends EventDefinition> = Definition["target"] extends string
  ? { readonly target: string }
  : { readonly targets?: Report["targets"] };

export type DefinedReport<Definition extends EventDefinition> = Omit<
  Report,
  "type" | "targets" | "context" | "retention"
> &
  FieldsOf<Definition> &
  TargetOf<Definition>;

/** Makes the report of an event: hand it to `record`, or to `audit`. @throws {EventError} `event-invalid`: a field is not as defined. */
export type DefinedEvent<Type extends string, Definition extends EventDefinition> = ((
  report: DefinedReport<Definition>,
) => Report & { readonly type: Type }) & { readonly type: Type };

export type DefinedEvents<Definitions extends Readonly<Record<string, EventDefinition>>> = {
  readonly [Type in keyof Definitions & string]: DefinedEvent<Type, Definitions[Type]>;
};

/**
 * Defines types of events: for each a function that makes a typed report.
 *
 * @throws {TypeError} A type is none, is one of the core, or looks like one misspelt: then it names the likely one.
 * @example
 * const events = defineEvents({ "invoice.refund": { target: "invoice", fields: z.object({ cents: z.int() }) } });
 * await tally.record(events["invoice.refund"]({ outcome: "success", actor, target: "i_7", fields: { cents: 1200 } }));
 */
export function defineEvents<const Definitions extends Readonly<Record<string, EventDefinition>>>(
  definitions: Definitions,
): DefinedEvents<Definitions> {
  const made = Object.entries(definitions).map(([type, definition]) => {
    assertOwnType(type);
    assertDefinition(type, definition);
    return [type, Object.assign((report: AnyReport) => reportOf(type, definition, report), { type })] as const;
  });
  return Object.fromEntries(made) as unknown as DefinedEvents<Definitions>;
}

type AnyReport = Omit<Report, "type"> & { readonly target?: string; readonly fields?: unknown };

function reportOf(type: string, definition: EventDefinition, given: AnyReport): Report {
  assertPlaces(type, definition, given);
  const { target, fields, ...report } = given;
  const targets = definition.target === undefined ? report.targets : targetsOf(type, definition.target, target);
  const context = definition.fields === undefined ? undefined : checkedFields(type, definition.fields, fields);
  return {
    ...report,
    type,
    ...(targets === undefined ? {} : { targets }),
    ...(context === undefined ? {} : { context }),
    ...(definition.retention === undefined ? {} : { retention: definition.retention }),
  };
}

/** What the definition has no place for would be lost without a word. */
function assertPlaces(type: string, definition: EventDefinition, given: AnyReport): void {
  const stray =
    definition.fields === undefined
      ? { path: "fields", why: `${type} defines no fields`, value: given.fields }
      : { path: "context", why: `${type} has its fields there`, value: given.context };
  const strayTarget =
    definition.target === undefined
      ? { path: "target", why: `${type} defines none: list targets`, value: given.target }
      : { path: "targets", why: `${type} has a target`, value: given.targets };
  const defects = [stray, strayTarget].filter(({ value }) => value !== undefined);
  if (defects.length === 0) return;
  throw invalid(defects.map(({ path, why }) => ({ path, expected: `expected nothing, as ${why}`, got: "a value" })));
}

function targetsOf(type: string, targetType: string, id: string | undefined): Report["targets"] {
  if (typeof id === "string" && id !== "") return [{ type: targetType, id }];
  throw invalid([
    {
      path: "target",
      expected: `the id of the ${targetType} that ${type} needs`,
      got: id === undefined ? "nothing" : typeof id,
    },
  ]);
}

function checkedFields(type: string, schema: FieldsSchema, fields: unknown): Report["context"] {
  const result = schema["~standard"].validate(fields);
  if (result instanceof Promise)
    throw new TypeError(`${type}: fields: expected a schema that validates at once, got one that gives a promise`);
  if (result.issues !== undefined)
    throw invalid(
      result.issues.map(({ message, path }) => ({ path: pathOf(path), expected: message, got: "another" })),
    );
  const { value } = result;
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, ContextValue>>;
  throw new TypeError(`${type}: fields: expected the schema of an object`);
}

function pathOf(path: SchemaIssue["path"]): string {
  const steps = (path ?? []).map((step) => String(typeof step === "object" ? step.key : step));
  return ["fields", ...steps].join(".");
}

interface FieldDefect {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

function invalid(defects: readonly FieldDefect[]): EventError {
  const told = defects.map((defect) => ({ ...defect, message: defect.expected }));
  const text = told.map(({ path, message }) => `${path}: ${message}`).join("; ");
  return new EventError("event-invalid", text, { details: { defects: told } });
}

function assertDefinition(type: string, definition: EventDefinition): void {
  assertOptionNames(type, definition, { target: true, fields: true, retention: true });
  const { fields } = definition;
  if (fields === undefined || typeof (fields as Partial<FieldsSchema>)["~standard"]?.validate === "function") return;
  throw new TypeError(`${type}.fields: expected a schema, of zod or any other Standard Schema, got ${typeof fields}`);
}

function assertOwnType(type: string): void {
  if (catalogueEntry(type) !== undefined)
    throw new TypeError(`${type}: expected a type of the application's own, got one of the core: use its helper`);
  if (!EVENT_TYPE_PATTERN.test(type))
    throw new TypeError(`expected a dotted type in lower case, such as invoice.refund, got ${JSON.stringify(type)}`);
  const problem = typeProblem(type);
  if (problem === undefined) return;
  const meant = problem.suggestion === undefined ? "" : `: did you mean ${problem.suggestion}?`;
  throw new TypeError(`${type}: expected a type outside of the core's namespaces${meant}`);
}
