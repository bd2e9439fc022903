/**
 * Reading a log by c2sp.org/tlog-tiles: its head, its hash tiles, its entry bundles.
 *
 * A reader fetches; it verifies nothing but lengths. Whoever uses it holds the tiles against a verified checkpoint.
 */
import {
  ENTRY_BYTES_MAX,
  HASH_BYTES,
  TILE_WIDTH,
  type TileId,
  decodeUtf8,
  entriesPath,
  tilePath,
} from "@tallystick/core";
import { ClientError, clientError } from "./error.ts";
import { type Exchange, type Fetch, exchange } from "./http.ts";
import { problemOf } from "./problem.ts";

/** A source of a log's public resources: a server, a folder, a cache. Safe for concurrent use. */
export interface LogReader {
  /** The newest published checkpoint, as a signed note. */
  checkpoint(): Promise<string>;
  /** The hashes of one tile, `32 * width` bytes. */
  tile(tile: TileId): Promise<Uint8Array>;
  /** One entry bundle of `width` entries. */
  entryBundle(bundle: { readonly index: number; readonly width: number }): Promise<Uint8Array>;
}

export interface HttpLogReaderOptions {
  /** The log's own prefix, without a slash at the end. */
  readonly url: string;
  /** For entry bundles, where the log asks for a role. */
  readonly token?: string;
  readonly fetch?: Fetch;
  /** For one request; 15,000 by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A checkpoint with 16 post-quantum signature lines fits into it. */
const CHECKPOINT_BYTES_MAX = 131_072;
const BUNDLE_BYTES_MAX = TILE_WIDTH * (ENTRY_BYTES_MAX + 2);

/** Reads a log over HTTP. A partial tile that is gone is taken from the full one that replaced it. */
export function createHttpLogReader(options: HttpLogReaderOptions): LogReader {
  const get = async (path: string, bytesMax: number): Promise<Exchange> =>
    exchange({
      fetch: options.fetch ?? globalThis.fetch,
      url: `${options.url}/${path}`,
      timeoutMs: options.timeoutMs ?? 15_000,
      bytesMax,
      headers: {
        // What the specification names. `bytesMax` holds for what a compressed answer unfolds to.
        "accept-encoding": "gzip, identity",
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  return {
    checkpoint: async () => decodeUtf8(expectOk("checkpoint", await get("checkpoint", CHECKPOINT_BYTES_MAX))),
    tile: async (tile) => {
      const answer = await get(tilePath(tile), HASH_BYTES * TILE_WIDTH);
      if (answer.status !== 404 || tile.width === TILE_WIDTH) {
        return expectLength(tilePath(tile), expectOk(tilePath(tile), answer), HASH_BYTES * tile.width);
      }
      const full = { ...tile, width: TILE_WIDTH };
      const bytes = expectOk(tilePath(full), await get(tilePath(full), HASH_BYTES * TILE_WIDTH));
      return expectLength(tilePath(full), bytes, HASH_BYTES * TILE_WIDTH).subarray(0, HASH_BYTES * tile.width);
    },
    entryBundle: async (bundle) => {
      const path = entriesPath(bundle);
      const answer = await get(path, BUNDLE_BYTES_MAX);
      if (answer.status !== 404 || bundle.width === TILE_WIDTH) return expectOk(path, answer);
      const fullPath = entriesPath({ ...bundle, width: TILE_WIDTH });
      return firstEntries(expectOk(fullPath, await get(fullPath, BUNDLE_BYTES_MAX)), bundle.width);
    },
  };
}

function expectOk(path: string, answer: Exchange): Uint8Array {
  if (answer.status === 200) return answer.body;
  const { status } = answer;
  const { code: problem, message } = problemOf(answer);
  const isRefusal = status === 401 || status === 403;
  const code = isRefusal ? "log-refused" : status === 404 ? "log-answer-malformed" : "audit-unavailable";
  throw clientError(code, `${path}: the log answered ${status} ${problem}: ${message}`, {
    details: { path, status, problem },
  });
}

function expectLength(path: string, bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes;
  throw new ClientError("log-answer-malformed", `${path}: expected ${length} bytes, got ${bytes.length}`);
}

/** Cuts a full bundle down to its first entries: each is a big-endian u16 length and that many bytes. */
function firstEntries(bundle: Uint8Array, count: number): Uint8Array {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  let end = 0;
  for (let entry = 0; entry < count; entry += 1) {
    if (end + 2 > bundle.length) throw new ClientError("log-answer-malformed", `the bundle ends before entry ${entry}`);
    end += 2 + view.getUint16(end);
  }
  return bundle.subarray(0, end);
}
