/** All that is held about a person, as lines of JSON: pulled by the client, so that a slow reader fills no memory. */
import { utf8 } from "@tallystick/core";
import { type TallyEvent, decodeEvent, decodeOpening, eventToJson } from "@tallystick/events";
import type { ExportedEntry, ReadFilter } from "@tallystick/log";
import { base64Of } from "./answers.ts";
import type { Reply } from "./http/request.ts";

export interface ExportOptions {
  /** What a reader may have; everything where there is none. */
  readonly filter: ReadFilter | undefined;
  readonly signal: AbortSignal;
}

/** Given at once; an entry more can follow, of some 50 kB. */
const PART_CHARS = 65_536;

/**
 * Streams entries, and then a line with their number: without it an answer was cut off, whatever stands between.
 *
 * The first entry is waited for: that the export was recorded shows then, and where it was not, there is an error to
 * answer with instead of a stream.
 *
 * @throws {LogError} as `exportSubject` of `@tallystick/log`.
 */
export async function exportReply(
  exported: AsyncIterable<ExportedEntry>,
  { filter, signal }: ExportOptions,
): Promise<Reply> {
  const entries = opened(exported, filter);
  // What nobody pulls any more must not keep a snapshot open.
  const stop = (): void => void entries.return(undefined).catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  let step = await entries.next();
  let count = 0;
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      let part = "";
      while (step.done !== true && part.length < PART_CHARS) {
        part += `${JSON.stringify(describeEntry(step.value))}\n`;
        count += 1;
        step = await entries.next();
      }
      if (step.done === true) part += `${JSON.stringify({ entries: count })}\n`;
      controller.enqueue(utf8(part));
      if (step.done === true) controller.close();
    },
    cancel: stop,
  });
  const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store", "x-accel-buffering": "no" };
  return { status: 200, headers, body };
}

type OpenedEntry = ExportedEntry & { readonly event: TallyEvent };

/** Without what is about somebody else: a person who acted on another's account may not read of that. */
async function* opened(
  exported: AsyncIterable<ExportedEntry>,
  filter: ReadFilter | undefined,
): AsyncGenerator<OpenedEntry, undefined> {
  for await (const entry of exported) {
    const event = decodeEvent(decodeOpening(entry.opening).event);
    if (filter === undefined || filter.admits(event)) yield { ...entry, event };
  }
}

function describeEntry({ index, leaf, opening, event, receipt }: OpenedEntry): unknown {
  return { index, leaf: base64Of(leaf), opening: base64Of(opening), event: eventToJson(event), receipt };
}
