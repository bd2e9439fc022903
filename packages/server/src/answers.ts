/** Bodies of answers: values in JSON or CBOR, and bytes that can be asked for in part or only when they changed. */
import { hash } from "node:crypto";
import { Encoder } from "cbor-x";
import type { Format } from "./accept.ts";
import type { Reply, ServerRequest } from "./http/request.ts";

interface ValueOptions {
  readonly format: Format;
  readonly status?: number;
}

/** Answers are not permanent bytes: any CBOR will do, without the extensions that only this library reads. */
const cbor = new Encoder({ useRecords: false });

/** A value as JSON, or as CBOR with the same fields. */
export function valueReply(value: unknown, options: ValueOptions): Reply {
  return jsonReply(JSON.stringify(value), options);
}

/** As {@link valueReply}, of a value that is JSON already, as text or in UTF-8. */
export function jsonReply(json: string | Buffer, { format, status = 200 }: ValueOptions): Reply {
  if (format === "json") return { status, headers: JSON_HEADERS, body: json };
  // By way of JSON, so that what is undefined is left out and both forms say the same.
  return { status, headers: CBOR_HEADERS, body: cbor.encode(JSON.parse(json.toString())) };
}

const JSON_HEADERS = { "cache-control": "no-store", vary: "accept", "content-type": "application/json" };
const CBOR_HEADERS = { ...JSON_HEADERS, "content-type": "application/cbor" };

/** Standard base64 with padding: what encodeBase64() of `@tallystick/core` gives, by Node's own code in a seventh of the time. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

export interface Resource {
  readonly body: Uint8Array | string;
  readonly contentType: string;
  readonly cacheControl: string;
}

/** Bytes with an entity tag: 304 where the client has them, 206 for a part. RFC 9110 §13, §14 */
export function resourceReply(request: ServerRequest, { body, contentType, cacheControl }: Resource): Reply {
  const { bytes, etag } = typeof body === "string" ? texts.of(body) : taggedBytes(body);
  const headers = { etag, "cache-control": cacheControl };
  if (isKnown(request.header("if-none-match"), etag)) return { status: 304, headers, body: undefined };
  const described = { ...headers, "content-type": contentType, "accept-ranges": "bytes" };
  const part = partOf(request, bytes.length, etag);
  if (part === undefined)
    return { status: 200, headers: { ...described, "content-length": String(bytes.length) }, body };
  const { first, last } = part;
  return {
    status: 206,
    headers: {
      ...described,
      "content-length": String(last + 1 - first),
      "content-range": `bytes ${first}-${last}/${bytes.length}`,
    },
    body: bytes.subarray(first, last + 1),
  };
}

interface TaggedBytes {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

function taggedBytes(bytes: Uint8Array): TaggedBytes {
  return { bytes, etag: `"${hash("sha256", bytes, "hex").slice(0, 32)}"` };
}

/** The texts that were asked for last: a head or a policy is asked for again and again, and is one string all the time. */
class Texts {
  readonly #known = new Map<string, TaggedBytes>();

  of(text: string): TaggedBytes {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const made = taggedBytes(Buffer.from(text));
    this.#known.set(text, made);
    const [oldest] = this.#known.keys();
    if (this.#known.size > TEXTS_MAX && oldest !== undefined) this.#known.delete(oldest);
    return made;
  }
}

/** Of some kilobytes each. */
const TEXTS_MAX = 32;
const texts = new Texts();

function isKnown(tags: string | undefined, etag: string): boolean {
  if (tags === undefined) return false;
  const known = tags.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return known.includes(etag) || known.includes("*");
}

/** The one range that is asked for; what does not make sense is ignored, as RFC 9110 §14.2 allows. */
function partOf(
  request: ServerRequest,
  size: number,
  etag: string,
): { readonly first: number; readonly last: number } | undefined {
  const condition = request.header("if-range");
  if (condition !== undefined && condition !== etag) return undefined;
  const match = /^bytes=(\d{1,15})?-(\d{1,15})?$/.exec(request.header("range") ?? "");
  if (match === null) return undefined;
  const [from, to] = [match[1], match[2]].map((text) => (text === undefined ? undefined : Number(text)));
  if (from === undefined)
    return to === undefined || to === 0 ? undefined : { first: Math.max(0, size - to), last: size - 1 };
  const last = Math.min(to ?? size - 1, size - 1);
  return from <= last ? { first: from, last } : undefined;
}
