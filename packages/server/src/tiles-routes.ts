/** The reads of c2sp.org/tlog-tiles: checkpoint, hash tiles, entry bundles. */
import { TILE_WIDTH, TlogError, parseEntriesPath, parseTilePath } from "@tallystick/core";
import { resourceReply } from "./answers.ts";
import { ServerError } from "./error.ts";
import type { Reply } from "./http/request.ts";
import { type Route, type RouteCall, route } from "./route.ts";
import * as schemas from "./schemas.ts";

const TEXT = "text/plain; charset=utf-8";
const BYTES = "application/octet-stream";
/** What a path names never changes once it is there. */
const IMMUTABLE = "public, max-age=604800, immutable";
const PRIVATE = "private, max-age=604800, immutable";

export const TILE_ROUTES: readonly Route[] = [
  route({
    method: "GET",
    path: "checkpoint",
    summary: "The newest published head, as a signed note",
    access: "public",
    query: schemas.ignoredQuery,
    answers: { 200: { description: "c2sp.org/tlog-checkpoint with cosignatures", mediaType: "text/plain" } },
    problems: ["not-found"],
    handle: async ({ log, request }) => {
      const note = log.checkpoint();
      if (note === undefined) throw new ServerError("not-found", "no head is published yet");
      return resourceReply(request, { body: note, contentType: TEXT, cacheControl: "no-cache" });
    },
  }),
  route({
    method: "GET",
    path: "tile/entries/{bundle}",
    summary: "An entry bundle",
    access: ["auditor"],
    query: schemas.ignoredQuery,
    answers: { 200: { description: "256 entries, or as many as the path says", mediaType: BYTES } },
    problems: ["not-found"],
    handle: async (call) => {
      const bundle = parsed(() => parseEntriesPath(`tile/entries/${call.parameter}`));
      const index = Number(bundle.index);
      const bytes = Number.isSafeInteger(index * TILE_WIDTH)
        ? await call.log.readBundle({ index, width: bundle.width })
        : undefined;
      return found(call, bytes, call.hosted.publicEntries ? IMMUTABLE : PRIVATE);
    },
  }),
  route({
    method: "GET",
    path: "tile/{tile}",
    summary: "A hash tile",
    access: "public",
    query: schemas.ignoredQuery,
    answers: { 200: { description: "256 hashes of 32 bytes, or as many as the path says", mediaType: BYTES } },
    problems: ["not-found"],
    handle: async (call) =>
      found(call, await call.log.readTile(parsed(() => parseTilePath(`tile/${call.parameter}`))), IMMUTABLE),
  }),
];

function found({ request }: RouteCall<unknown>, bytes: Uint8Array | undefined, cacheControl: string): Reply {
  if (bytes === undefined) throw new ServerError("not-found", "no published head has this tile");
  return resourceReply(request, { body: bytes, contentType: BYTES, cacheControl });
}

/** A path that names no tile names nothing. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw new ServerError("not-found", cause.message, { cause });
  }
}
