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

/** The source of one connection. What can be made before the clock starts is made here. */
export function requestSource(plan: RequestPlan): RequestSource {
  if (plan.kind === "json") return jsonSource(plan.target, plan.eventsPerRequest);
  return plan.kind === "signed" ? signedSource(plan) : readSource(plan.target, plan.size);
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

function signedSource(plan: Extract<RequestPlan, { kind: "signed" }>): RequestSource {
  const sender: BatchSender = { origin: plan.origin, seed: new Uint8Array(Buffer.from(plan.seed, "hex")) };
  const stream = new BatchStream(sender);
  const { target, eventsPerRequest } = plan;
  const requests = Array.from({ length: plan.requests }, () => requestOf(target, stream.next(eventsPerRequest)));
  let sent = 0;
  return { eventsPerRequest, next: () => requests[sent++] };
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
