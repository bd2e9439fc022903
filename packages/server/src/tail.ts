/** The tail as server-sent events: pulled by the client, so that a slow reader fills no memory. */
import { encodeBase64, utf8 } from "@tallystick/core";
import { decodeLeaf, eventToJson } from "@tallystick/events";
import type { TailItem } from "@tallystick/log";
import type { RouteCall } from "./route.ts";

/** Often enough for proxies that cut silent connections. */
const HEARTBEAT_MS = 15_000;

/** How long to wait for the read to be recorded before the stream begins all the same; nothing flows before it is. */
const RECORD_MS = 100;

/** Streams the tail from `from`, or after the Last-Event-ID that a client brings back. */
export async function tailResponse({
  log,
  request,
  credential,
  query,
  signal,
}: RouteCall<{ readonly from?: number | undefined }>): Promise<Response> {
  const from = resumeAt(request.headers.get("last-event-id")) ?? query.from;
  const gone = new AbortController();
  const ended = AbortSignal.any([signal, gone.signal]);
  const items = log
    .tail({ reader: credential?.id ?? "", signal: ended, ...(from === undefined ? {} : { from }) })
    [Symbol.asyncIterator]();
  // The first step records the read: where that fails, there is an error to answer with instead of a stream.
  let next = items.next();
  await Promise.race([next, pause(RECORD_MS)]);
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(utf8(": tallystick tail\n\n")),
    pull: async (controller) => {
      const step = await Promise.race([next, pause(HEARTBEAT_MS)]);
      if (step === undefined) return controller.enqueue(utf8(": still here\n\n"));
      if (step.done === true) return controller.close();
      next = items.next();
      controller.enqueue(utf8(formatItem(step.value)));
    },
    cancel: () => gone.abort(),
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

async function pause(timeoutMs: number): Promise<undefined> {
  return await new Promise((resolve) => setTimeout(resolve, timeoutMs, undefined).unref());
}

function resumeAt(lastEventId: string | null): number | undefined {
  if (lastEventId === null || !/^\d{1,15}$/.test(lastEventId)) return undefined;
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
