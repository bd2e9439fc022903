/** Bodies of answers, in JSON or, where the client prefers it, in CBOR. */
import { createHash } from "node:crypto";
import { type CborValue, encodeCbor } from "@tallystick/events";

/** A value as JSON, or as CBOR with the same fields. */
export function valueResponse(
  request: Request,
  value: unknown,
  init: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Response {
  const { status = 200, headers = {} } = init;
  const plain: unknown = JSON.parse(JSON.stringify(value));
  const shared = { "cache-control": "no-store", vary: "accept", ...headers };
  if (!prefersCbor(request)) return Response.json(plain, { status, headers: shared });
  const bytes = encodeCbor(plain as CborValue);
  return new Response(new Uint8Array(bytes), { status, headers: { ...shared, "content-type": "application/cbor" } });
}

function prefersCbor(request: Request): boolean {
  const [first = ""] = (request.headers.get("accept") ?? "").split(",");
  return first.split(";", 1)[0]?.trim() === "application/cbor";
}

export interface Resource {
  readonly body: Uint8Array | string;
  readonly contentType: string;
  readonly cacheControl: string;
}

/** Bytes with an entity tag; 304 where the client has them. */
export function resourceResponse(request: Request, { body, contentType, cacheControl }: Resource): Response {
  const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 32)}"`;
  const headers = { etag, "cache-control": cacheControl };
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(etag) || known.includes("*")) return new Response(null, { status: 304, headers });
  const bytes = typeof body === "string" ? body : new Uint8Array(body);
  return new Response(bytes, { headers: { ...headers, "content-type": contentType } });
}
