/** The tail as server-sent events: pulled by the client, so that a slow reader fills no memory. */
import { encodeBase64, utf8 } from "@tallystick/core";
import { decodeLeaf, eventToJson } from "@tallystick/events";
import type { TailItem } from "@tallystick/log";
import { readingOf } from "./reading.ts";
import type { Reply } from "./http/request.ts";
import type { RouteCall } from "./route.ts";

/** Often enough for proxies that cut silent connections. */
const HEARTBEAT_MS = 15_000;

/** How long to wait for the read to be recorded before the stream begins all the same; nothing flows before it is. */
const RECORD_MS = 100;

/**
 * Streams the tail from `from`, or after the Last-Event-ID that a client brings back, for as long as the client may have it.
 *
 * @throws {LogError} `log-overloaded`: too many tails; or whatever keeps the read from being recorded.
 */
export async function tailReply(
  call: RouteCall<{ readonly from?: number | undefined; readonly purpose?: string | undefined }>,
): Promise<Reply> {
  const { log, request, query, mayGoOn } = call;
  const reading = readingOf(call, query.purpose);
  const from = resumeAt(request.header("last-event-id")) ?? query.from;
  const gone = new AbortController();
  const ended = AbortSignal.any([request.signal, gone.signal]);
  const tail = log.tail({ ...reading, signal: ended, ...(from === undefined ? {} : { from }) });
  const items = tail[Symbol.asyncIterator]();
  // A tail that nobody pulls any more must not go on counting as one.
  ended.addEventListener("abort", () => void items.return?.().catch(() => undefined), { once: true });
  // The first step records the read: where that fails, there is an error to answer with instead of a stream.
  let next = stepOf(items);
  try {
    await within(RECORD_MS, next);
  } catch (error) {
    gone.abort();
    throw error;
  }
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(utf8(": tallystick tail\n\n")),
    pull: async (controller) => {
      const step = await within(HEARTBEAT_MS, next);
      if (!(await mayGoOn())) {
        gone.abort();
        return controller.close();
      }
      if (step === undefined) return controller.enqueue(utf8(": still here\n\n"));
      if (step.done === true) {
        gone.abort();
        return controller.close();
      }
      next = stepOf(items);
      controller.enqueue(utf8(formatItem(step.value)));
    },
    cancel: () => gone.abort(),
  });
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };
  return { status: 200, headers, body };
}

/** The next step, begun before it is asked for: should it fail until then, nobody is to hear of it but who asks. */
function stepOf(items: AsyncIterator<TailItem>): Promise<IteratorResult<TailItem>> {
  const step = items.next();
  step.catch(() => undefined);
  return step;
}

/** What a promise gives, or `undefined` when that takes longer. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, timeoutMs, undefined).unref();
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function resumeAt(lastEventId: string | undefined): number | undefined {
  if (lastEventId === undefined || !/^\d{1,15}$/.test(lastEventId)) return undefined;
  return Number(lastEventId) + 1;
}

function formatItem(item: TailItem): string {
  if (item.kind === "checkpoint")
    return `event: checkpoint\ndata: ${JSON.stringify({ size: item.size, note: item.note })}\n\n`;
  const { index, state, leaf, event } = item;
  const data = {
    index,
    state,
    loggedAt: new Date(decodeLeaf(leaf).loggedAt).toISOString(),
    leaf: encodeBase64(leaf),
    ...(event === undefined ? {} : { event: eventToJson(event) }),
  };
  return `event: entry\nid: ${index}\ndata: ${JSON.stringify(data)}\n\n`;
}
