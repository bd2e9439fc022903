/**
 * Whether a value meets a JSON Schema: the definitions of the keywords, one after the other (JSON Schema 2020-12).
 *
 * Shares nothing with what makes our schema. Knows no more keywords than it needs, and stops at one that it does not know.
 */
type Json = Readonly<Record<string, unknown>>;
type Check = (value: unknown, argument: unknown, schema: Json) => boolean;

export function meetsSchema(value: unknown, schema: unknown): boolean {
  if (typeof schema === "boolean") return schema;
  return Object.entries(schema as Json).every(([keyword, argument]) => {
    const check = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (check === undefined) throw new Error(`this check does not know the keyword ${keyword}`);
    return check(value, argument, schema as Json);
  });
}

const SILENT = (): boolean => true;

const KEYWORDS: Readonly<Record<string, Check>> = {
  $schema: SILENT,
  $id: SILENT,
  title: SILENT,
  description: SILENT,
  else: SILENT,
  // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's keyword; nobody awaits this table
  then: SILENT,
  if: (value, condition, { then = true, else: otherwise = true }) =>
    meetsSchema(value, meetsSchema(value, condition) ? then : otherwise),
  not: (value, schema) => !meetsSchema(value, schema),
  anyOf: (value, schemas) => (schemas as Json[]).some((schema) => meetsSchema(value, schema)),
  const: (value, constant) => value === constant,
  enum: (value, values) => (values as unknown[]).includes(value),
  type: (value, type) => typeOf(value) === type || (type === "integer" && Number.isInteger(value)),
  pattern: (value, pattern) => typeof value !== "string" || new RegExp(pattern as string, "u").test(value),
  minimum: (value, minimum) => typeof value !== "number" || value >= (minimum as number),
  maximum: (value, maximum) => typeof value !== "number" || value <= (maximum as number),
  maxItems: (value, max) => !Array.isArray(value) || value.length <= (max as number),
  uniqueItems: (value, unique) =>
    unique !== true ||
    !Array.isArray(value) ||
    new Set(value.map((item) => JSON.stringify(item))).size === value.length,
  items: (value, schema) => !Array.isArray(value) || value.every((item) => meetsSchema(item, schema)),
  required: (value, names) => !isObject(value) || (names as string[]).every((name) => Object.hasOwn(value, name)),
  maxProperties: (value, max) => !isObject(value) || Object.keys(value).length <= (max as number),
  propertyNames: (value, schema) => !isObject(value) || Object.keys(value).every((name) => meetsSchema(name, schema)),
  properties: (value, schemas) =>
    !isObject(value) ||
    Object.entries(schemas as Json).every(
      ([name, schema]) => !Object.hasOwn(value, name) || meetsSchema(value[name], schema),
    ),
  additionalProperties: (value, schema, { properties = {} }) =>
    !isObject(value) ||
    Object.entries(value).every(([name, each]) => Object.hasOwn(properties as Json, name) || meetsSchema(each, schema)),
};

function isObject(value: unknown): value is Json {
  return typeOf(value) === "object";
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
