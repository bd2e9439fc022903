/**
 * The shape of an event in JSON: its one source, from which types are checked, defects told and the published JSON Schema made.
 *
 * What a type of event asks for beyond the shape is in catalogue.ts.
 */
import * as z from "zod";
import type { EventInput } from "./event.ts";
import { textPattern } from "./text.ts";

/** The outcomes that an event can have. */
export const OUTCOMES = ["success", "failure", "denied", "unknown"] as const;

/** Bounds on lengths (in characters) and counts; the whole event has one of its own, `EVENT_BYTES_MAX`. */
export const EVENT_LIMITS = {
  typeCharsMax: 100,
  idCharsMax: 256,
  nameCharsMax: 256,
  tokenCharsMax: 64,
  textCharsMax: 1024,
  sessionIdCharsMax: 4096,
  targetsMax: 64,
  factorsMax: 16,
} as const;

const UUID_V7 = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$";

/** What words have to look like, as sources of patterns for the flag `u`. */
export const WORDS: Readonly<Record<"type" | "token" | "retention", string>> = {
  type: `^(?=.{3,${EVENT_LIMITS.typeCharsMax}}$)[a-z][a-z0-9-]{0,31}(?:[.][a-z0-9](?:[a-z0-9_-]*[a-z0-9])?){1,7}$`,
  token: "^[a-z][a-z0-9]*(?:[._/-][a-z0-9]+)*$",
  retention: "^[a-z0-9-]{1,32}$",
};

/** What a type of event looks like. */
export const EVENT_TYPE_PATTERN: RegExp = new RegExp(WORDS.type, "u");

/** A schema that answers every defect with what it expected. */
function pattern(source: string, expected: string): z.ZodString {
  return z.string({ error: expected }).regex(new RegExp(source, "u"), { error: expected });
}

/** One line of text. The pattern counts characters, not UTF-16 units, as JSON Schema does. */
function text(charsMax: number): z.ZodString {
  return pattern(textPattern(charsMax), `1 to ${charsMax} characters of text on one line`);
}

/** A word out of an open list, such as a method: lower case, so that two spellings cannot part what belongs together. */
function token(charsMax: number): z.ZodString {
  return pattern(
    WORDS.token,
    `lower-case letters and digits, in parts joined by one of . _ / -, at most ${charsMax} characters`,
  ).max(charsMax, { error: `at most ${charsMax} characters` });
}

const id: z.ZodString = text(EVENT_LIMITS.idCharsMax).describe("A stable id: not an address or a name that may change");
const partyType: z.ZodString = token(EVENT_LIMITS.tokenCharsMax).describe(
  "user, service, device, …; anonymous, or unverified for a login name that nobody proved: such get no key and no chain",
);
const name: z.ZodString = text(EVENT_LIMITS.nameCharsMax).describe("A name to show: personal data, only if asked for");

function object<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  expected: string,
): z.ZodObject<Shape, z.core.$strict> {
  // An unknown field has no expectation of its own: its defect lists the known ones.
  return z.strictObject(shape, { error: ({ code }) => (code === "invalid_type" ? expected : undefined) });
}

/** An object of optional fields of which one is there at least. */
function nonEmpty<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  expected: string,
): z.ZodObject<Shape, z.core.$strict> {
  return object(shape, expected)
    .refine((value) => Object.values(value).some((field) => field !== undefined), { error: expected })
    .meta({ minProperties: 1 });
}

/** What is asked of a time, in words. */
export const EXPECTED_TIME = "a time as of RFC 3339 (2026-01-31T09:14:09.131Z) or in ms since 1970, from 1990 to 9999";
const RFC_3339 =
  "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$";

/** The first and the last millisecond that an event can bear. A time before 1990 is most likely one in seconds. */
export const TIME_MIN_MS = 631_152_000_000;
export const TIME_MAX_MS = 253_402_300_799_999;

const time = z
  .union(
    [
      z
        .int({ error: EXPECTED_TIME })
        .min(TIME_MIN_MS, { error: EXPECTED_TIME })
        .max(TIME_MAX_MS, { error: EXPECTED_TIME }),
      pattern(RFC_3339, EXPECTED_TIME),
    ],
    { error: EXPECTED_TIME },
  )
  .describe("When it happened. Digits beyond milliseconds are cut off");

const EXPECTED_IP = "an IPv4 or IPv6 address without zone or port";
const ipAddress = z.union([z.ipv4({ error: EXPECTED_IP }), z.ipv6({ error: EXPECTED_IP })], { error: EXPECTED_IP });

/** Whether `source.ip` can hold `text`. */
export function isIpAddress(text: string): boolean {
  return ipAddress.safeParse(text).success;
}

const EXPECTED_TYPE = `a dotted type in lower case, such as auth.login, at most ${EVENT_LIMITS.typeCharsMax} characters`;

const tenantId = text(EVENT_LIMITS.idCharsMax);

const schema = object(
  {
    id: pattern(UUID_V7, "a UUID of version 7 (RFC 9562), such as 0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d").describe(
      "The same writer, id and content gives the first answer again; other content is an error",
    ),
    time,
    type: pattern(WORDS.type, EXPECTED_TYPE).describe(
      "What happened. Its first segment is the retention class by default",
    ),
    outcome: z
      .enum(OUTCOMES, { error: `one of ${OUTCOMES.join(", ")}` })
      .optional()
      .describe("unknown where it is left out, which types that need one do not allow"),
    actor: object({ type: partyType, id, name: name.optional() }, "an object with type and id")
      .optional()
      .describe("Who did it"),
    session: object(
      {
        id: pattern(
          `^[^\\ud800-\\udfff]{1,${EVENT_LIMITS.sessionIdCharsMax}}$`,
          `1 to ${EVENT_LIMITS.sessionIdCharsMax} characters of text`,
        ).describe("64 hex digits: a keyed hash of the application's session id. Another text is hashed, not kept"),
      },
      "an object with id",
    )
      .optional()
      .describe("In which session"),
    targets: z
      .array(
        object(
          { type: text(EVENT_LIMITS.tokenCharsMax), id: text(EVENT_LIMITS.textCharsMax), name: name.optional() },
          "an object with type and id",
        ),
        { error: "a list of targets" },
      )
      .min(1, { error: "at least one target" })
      .max(EVENT_LIMITS.targetsMax, { error: `at most ${EVENT_LIMITS.targetsMax} targets` })
      .optional()
      .describe("On what it was done"),
    subject: object({ type: partyType.optional(), id, name: name.optional() }, "an object with id")
      .optional()
      .describe("Whose data the event is, where that is not the actor. There is one; others are pseudonyms"),
    tenant: z
      .union([tenantId, object({ id: tenantId }, "an object with id")], {
        error: `1 to ${EVENT_LIMITS.idCharsMax} characters of text on one line`,
      })
      .optional()
      .describe("The id of the customer or organisation that it happened in"),
    source: nonEmpty(
      {
        ip: ipAddress.optional(),
        userAgent: text(EVENT_LIMITS.textCharsMax).optional(),
        device: text(EVENT_LIMITS.idCharsMax).optional(),
      },
      "an object with ip, userAgent or device",
    )
      .optional()
      .describe("From where"),
    auth: nonEmpty(
      {
        method: token(EVENT_LIMITS.tokenCharsMax).optional().describe("password, publickey, passkey, oidc, …"),
        factors: z
          .array(token(EVENT_LIMITS.tokenCharsMax), { error: "a list of factors" })
          .min(1, { error: "at least one factor" })
          .max(EVENT_LIMITS.factorsMax, { error: `at most ${EVENT_LIMITS.factorsMax} factors` })
          .optional(),
        provider: text(EVENT_LIMITS.idCharsMax).optional(),
      },
      "an object with method, factors or provider",
    )
      .optional()
      .describe("How the actor was authenticated"),
    reason: text(EVENT_LIMITS.textCharsMax).optional().describe("Why it came out so"),
    operation: text(EVENT_LIMITS.idCharsMax).optional().describe("An id that joins the events of one operation"),
    retention: pattern(WORDS.retention, "a retention class: 1 to 32 of a-z, 0-9 and -")
      .optional()
      .describe("The retention class, where it is not the first segment of the type"),
    amends: pattern("^[0-9a-f]{64}$", "a commitment: 64 lower-case hex digits")
      .optional()
      .describe("The commitment of the event that this one corrects"),
    context: z.custom<EventInput["context"]>().optional(),
  },
  "a JSON object",
);

/** The shape of an event, but for `context`: that nests, and copyContext() walks it. */
export const eventSchema: z.ZodType<EventInput, EventInput> = schema;

/** The fields of the object at `path`: `["targets", 0]`. */
export function fieldsAt(path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const step of path) {
    const object = objectIn(at);
    at = object === undefined ? elementOf(at) : object.shape[String(step)];
  }
  return Object.keys(objectIn(at)?.shape ?? {});
}

function objectIn(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodOptional) return objectIn(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.map(objectIn).find((option) => option !== undefined);
  return schema instanceof z.ZodObject ? schema : undefined;
}

function elementOf(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional) return elementOf(schema.unwrap());
  return schema instanceof z.ZodArray ? schema.element : undefined;
}

let compiled: z.ZodType<EventInput, EventInput> | undefined;

/**
 * The same schema as code made for it, which takes a third of the time. Where a platform forbids that (a page's
 * content security policy), zod goes on as it is.
 */
export function compiledEventSchema(): z.ZodType<EventInput, EventInput> {
  compiled ??= z.compile(eventSchema);
  return compiled;
}
