/** What a log has published, asked for once at start: it may bear cosignatures of ours that we have forgotten. */
import { type Checkpoint, type Note, parseCheckpoint, parseNote } from "@tallystick/core";
import type { KnownLog } from "./config.ts";

export type Fetch = typeof globalThis.fetch;

export interface PublishedHead {
  /** As it came. */
  readonly text: string;
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

export interface FetchHeadOptions {
  readonly log: KnownLog & { readonly url: string };
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const BODY_BYTES_MAX = 131_072;

/**
 * Fetches the checkpoint that a log publishes. Its signatures are not verified.
 *
 * @throws {Error} It does not answer in time, answers something else, or with the checkpoint of another log.
 */
export async function fetchPublishedHead({
  log,
  fetch,
  timeoutMs,
  signal: closing,
}: FetchHeadOptions): Promise<PublishedHead> {
  const signal = AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)]);
  const response = await fetch(`${log.url}/checkpoint`, { redirect: "manual", signal });
  const bytes = await readBounded(response);
  if (response.status !== 200) throw new Error(`it answered with status ${response.status}`);
  const note = parseNote(bytes);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== log.origin)
    throw new Error(`it publishes a checkpoint of ${JSON.stringify(checkpoint.origin)}`);
  return { text: new TextDecoder().decode(bytes), note, checkpoint };
}

async function readBounded({ body }: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  if (body !== null) {
    for await (const part of body) {
      size += part.length;
      if (size > BODY_BYTES_MAX) throw new Error(`it answered with more than ${BODY_BYTES_MAX} bytes`);
      parts.push(part);
    }
  }
  return Buffer.concat(parts);
}
