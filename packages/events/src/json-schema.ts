/** The published JSON Schema of an event: docs/reference/event.schema.json. Made from what validates. */
import * as z from "zod";
import { CATALOGUE, CORE_NAMESPACES } from "./catalogue.ts";
import { CONTEXT_LIMITS } from "./context.ts";
import { eventSchema } from "./event-schema.ts";

type Json = Readonly<Record<string, unknown>>;

/** The $id of the schema. It names the schema and need not be fetched. */
const SCHEMA_ID = "urn:tallystick:event:1";

/**
 * JSON Schema 2020-12 of an event as it is reported.
 *
 * It says all that parseEvent() checks but for this: the calendar, how deep context nests and how many bytes it
 * takes, names of secrets in context, and types that look like a core type misspelt outside of its namespace.
 */
export function eventJsonSchema(): Json {
  const { $schema, properties, ...shape } = z.toJSONSchema(eventSchema, { io: "input", unrepresentable: "any" });
  return {
    $schema,
    $id: SCHEMA_ID,
    title: "Tallystick event",
    ...shape,
    properties: { ...properties, context: { $ref: "#/$defs/context" } },
    allOf: [coreNamespaces(), ...requirements()],
    $defs: contextDefinitions(),
  };
}

/** What begins like a core type has to be one. */
function coreNamespaces(): Json {
  const begins = `^(?:${CORE_NAMESPACES.join("|")})[.]`;
  return rule({ pattern: begins }, { properties: { type: { enum: CATALOGUE.map(({ type }) => type) } } });
}

/** One rule for each set of fields that some types need. */
function requirements(): Json[] {
  const typesByFields = Map.groupBy(CATALOGUE, ({ required }) => required.join());
  return [...typesByFields.values()].flatMap((entries) => {
    const required = entries[0]?.required ?? [];
    return required.length === 0 ? [] : [rule({ enum: entries.map(({ type }) => type) }, { required })];
  });
}

/** Events whose type is such have to be such. The condition asks for a type, as one that is not there meets any. */
function rule(type: Json, consequence: Json): Json {
  // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's keyword; nobody awaits a schema
  return { if: { properties: { type }, required: ["type"] }, then: consequence };
}

function contextDefinitions(): Json {
  const text = { type: "string", maxLength: CONTEXT_LIMITS.textCharsMax };
  const integer = { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
  const list = { type: "array", maxItems: CONTEXT_LIMITS.listMax, items: { $ref: "#/$defs/contextValue" } };
  return {
    context: {
      description: "What else there is to say, free but bounded: integers only, others as decimal strings; no secrets",
      type: "object",
      maxProperties: CONTEXT_LIMITS.membersMax,
      propertyNames: { minLength: 1, maxLength: CONTEXT_LIMITS.keyCharsMax },
      additionalProperties: { $ref: "#/$defs/contextValue" },
    },
    contextValue: {
      anyOf: [{ type: "null" }, { type: "boolean" }, integer, text, list, { $ref: "#/$defs/context" }],
    },
  };
}
