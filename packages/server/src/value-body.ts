/** Bodies that hold one value, in JSON or canonical CBOR, checked whole by its schema. */
import { decodeCbor, parseJson } from "@tallystick/events";
import { ServerError } from "./error.ts";
import type { RouteCall, ValueBody } from "./route.ts";
import { mediaTypeOf, textOf } from "./submission.ts";

export const VALUE_MEDIA_TYPES = ["application/json", "application/cbor"] as const;

/** An object in an object, and one more to spare. */
const CBOR_DEPTH = 3;
const CBOR_ITEMS_MAX = 100;

/**
 * Reads a body and gives its value.
 *
 * @throws {ServerError} `media-type-unsupported`, `body-too-large`, `body-too-slow`, `request-malformed`: names the
 *   field, and never shows what it holds: it may name a person.
 * @throws {EventError} `json-malformed`, `cbor-malformed`
 */
export async function readValue<Value>(
  { request, body }: Pick<RouteCall<unknown>, "request" | "body">,
  { schema, bytesMax }: ValueBody<Value>,
): Promise<Value> {
  const mediaType = mediaTypeOf(request, VALUE_MEDIA_TYPES);
  const bytes = await body.read(bytesMax);
  const value: unknown =
    mediaType === "application/json"
      ? parseJson(textOf(bytes))
      : decodeCbor(bytes, { bytesMax, depthMax: CBOR_DEPTH, itemsMax: CBOR_ITEMS_MAX });
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.path.join(".") ?? "";
  throw new ServerError("request-malformed", `body${name === "" ? "" : ` ${name}`}: ${issue?.message ?? "not valid"}`);
}
