/** What a connection sends: each source gives the requests of one connection, one after the other. */
import { randomInt } from "node:crypto";
import { JsonBody } from "./json-events.ts";
import { type BatchSender, BatchStream } from "./signed-batches.ts";
import { type Target, requestOf } from "./target.ts";

/** Gives the next request, which may lie in the bytes of the last one; `undefined` where none is left. */
export interface RequestSource {
  readonly eventsPerRequest: number;
  next(): Buffer | undefined;
}

export type RequestPlan =
  | { readonly kind: "json"; readonly target: Target; readonly eventsPerRequest: number }
  | {
      readonly kind: "signed";
      readonly target: Target;
      readonly eventsPerRequest: number;
      readonly origin: string;
      /** In hex. */
      readonly seed: string;
      /** For each connection. */
      readonly requests: number;
    }
  /** Reads: `*` in the path stands for an index below `size`. */
  | { readonly kind: "read"; readonly target: Target; readonly size: number };

/** The sources of so many connections. What can be made before the clock starts is made here. */
export function requestSources(plan: RequestPlan, connections: number): RequestSource[] {
  if (plan.kind === "signed") return signedSources(plan, connections);
  return Array.from({ length: connections }, () =>
    plan.kind === "json" ? jsonSource(plan.target, plan.eventsPerRequest) : readSource(plan.target, plan.size),
  );
}

function jsonSource(target: Target, eventsPerRequest: number): RequestSource {
  const body = new JsonBody(eventsPerRequest);
  const request = requestOf(target, body.bytes);
  const offset = request.length - body.bytes.length;
  return {
    eventsPerRequest,
    next: () => {
      body.renew(request, offset);
      return request;
    },
  };
}

/** A stream for each connection. Batches are made in turns, as they are sent: so ids that are sent at one time are of one time. */
function signedSources(plan: Extract<RequestPlan, { kind: "signed" }>, connections: number): RequestSource[] {
  const sender: BatchSender = { origin: plan.origin, seed: new Uint8Array(Buffer.from(plan.seed, "hex")) };
  const { target, eventsPerRequest } = plan;
  const streams = Array.from({ length: connections }, () => ({
    stream: new BatchStream(sender),
    requests: [] as Buffer[],
  }));
  for (let batch = 0; batch < plan.requests; batch += 1)
    for (const { stream, requests } of streams) requests.push(requestOf(target, stream.next(eventsPerRequest)));
  return streams.map(({ requests }) => {
    let sent = 0;
    return { eventsPerRequest, next: () => requests[sent++] };
  });
}

/** Of each connection; then from the beginning. */
const READS = 1024;

function readSource(target: Target, size: number): RequestSource {
  const requests = Array.from({ length: READS }, () =>
    requestOf({ ...target, path: target.path.replace("*", String(randomInt(size))) }),
  );
  let sent = 0;
  return { eventsPerRequest: 1, next: () => requests[sent++ % READS] };
}
