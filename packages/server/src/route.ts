/** What a route is: who may use it, what it asks, what it answers, and what it does. */
import type { DeniedRead, Log, Rules } from "@tallystick/log";
import type * as z from "zod";
import type { Format } from "./accept.ts";
import type { Approvals } from "./approval.ts";
import type { Body } from "./body.ts";
import type { HostedLog } from "./hosted-log.ts";
import type { ProblemCode } from "./problem.ts";
import type { Reply, ServerRequest } from "./http/request.ts";
import type { SubmissionReader } from "./submission-reader.ts";
import type { Credential, Role } from "./tokens.ts";

export interface RouteCall<Query> {
  readonly hosted: HostedLog;
  readonly log: Log;
  /** Who asks; `undefined` on public routes. */
  readonly credential: Credential | undefined;
  readonly request: ServerRequest;
  readonly query: Query;
  /** The last part of the path, where the route has a parameter. */
  readonly parameter: string;
  /** Of answers that are values. */
  readonly format: Format;
  readonly body: Body;
  /** Reads large submissions, where there is a thread for it. */
  readonly submissions: SubmissionReader | undefined;
  /** Those in force. */
  readonly rules: () => Rules;
  readonly approvals: Approvals;
  /**
   * Whether the credential may still do this: for answers that go on for long, while tokens are revoked and expire. Cheap to
   * ask often: it looks every 15 seconds.
   */
  readonly mayGoOn: () => Promise<boolean>;
}

export interface Answer {
  readonly description: string;
  readonly mediaType: string;
  readonly schema?: z.ZodType;
}

/** A body that holds one value: {@link readValue}. */
export interface ValueBody<Value> {
  readonly schema: z.ZodType<Value>;
  readonly bytesMax: number;
}

export interface RouteDefinition<Query> {
  readonly method: "GET" | "POST";
  /** Below the log's prefix; a parameter in braces stands for the rest of the path. */
  readonly path: string;
  readonly summary: string;
  /** `public`, or the roles that may. */
  readonly access: "public" | readonly Role[];
  /** What kind of contents it gives, if it does: that somebody wanted them and may not is an entry of the log. */
  readonly contents?: DeniedRead["kind"];
  readonly query: z.ZodType<Query>;
  /** What its body holds; nothing, where it is left out. */
  readonly takes?: "events" | ValueBody<unknown>;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Codes of problems, beyond those that every route has. */
  readonly problems: readonly ProblemCode[];
  /** Whether an answer has a megabyte or more: only a few of them are made at a time. */
  readonly isLarge?: boolean;
  readonly handle: (call: RouteCall<Query>) => Promise<Reply>;
}

export interface Route extends RouteDefinition<unknown> {
  /** Whether its answer is a value, in JSON or CBOR, rather than bytes. */
  readonly answersValue: boolean;
  /** What it is asked where there is no query at all; `undefined` where there has to be one. */
  readonly noQuery: { readonly data: unknown } | undefined;
}

/** Keeps the type of a route's query between its schema and its handler. */
export function route<Query>(definition: RouteDefinition<Query>): Route {
  const { answers, query } = definition;
  const { success, data } = query.safeParse({});
  return {
    ...(definition as unknown as RouteDefinition<unknown>),
    answersValue: Object.values(answers).some(({ schema }) => schema !== undefined),
    noQuery: success ? { data } : undefined,
  };
}
