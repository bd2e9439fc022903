/** What requests may ask and what answers hold: the one source of validation and of the OpenAPI document. */
import * as z from "zod";

const index = z.int().min(0).describe("0-based, below the size");
const base64 = z.base64();
const state = z.enum(["durable", "published", "witnessed"]);

/** A whole number in a query, in its one decimal form. */
const decimal = z
  .string()
  .regex(/^(0|[1-9]\d{0,15})$/, { error: "expected a whole number" })
  .transform(Number)
  .pipe(z.int().min(0));

export interface SubmitQuery {
  readonly wait?: "durable" | "published" | "witnessed" | undefined;
  readonly timeout?: number | undefined;
}

export const submitQuery: z.ZodType<SubmitQuery> = z.strictObject({
  wait: state.optional().describe("How far to wait; durable by default"),
  timeout: decimal.pipe(z.int().max(60_000)).optional().describe("For how many ms; 10,000 by default"),
});
export const receiptQuery: z.ZodType<{ readonly signatures?: "minimal" | "all" | undefined }> = z.strictObject({
  signatures: z.enum(["minimal", "all"]).optional(),
});
export const inclusionQuery: z.ZodType<{ readonly index: number; readonly size?: number | undefined }> = z.strictObject(
  { index: decimal, size: decimal.optional() },
);
export const consistencyQuery: z.ZodType<{ readonly from: number; readonly to: number }> = z.strictObject({
  from: decimal,
  to: decimal,
});
export const checkpointsQuery: z.ZodType<{
  readonly limit?: number | undefined;
  readonly before?: number | undefined;
}> = z.strictObject({
  limit: decimal.pipe(z.int().min(1).max(1000)).optional(),
  before: decimal.optional(),
});
const purpose = z.string().min(1).max(256).optional().describe("Why it is read; recorded in the log");
export const tailQuery: z.ZodType<{ readonly from?: number | undefined; readonly purpose?: string | undefined }> =
  z.strictObject({ from: decimal.optional(), purpose });
export const eventQuery: z.ZodType<{ readonly purpose?: string | undefined }> = z.strictObject({ purpose });
export const openingsQuery: z.ZodType<{
  readonly from: number;
  readonly limit?: number | undefined;
  readonly purpose?: string | undefined;
}> = z.strictObject({
  from: decimal.describe("The first index"),
  limit: decimal.pipe(z.int().min(1).max(256)).optional().describe("Of entries; 256 by default"),
  purpose,
});
export const noQuery: z.ZodType = z.strictObject({});
/** For tiles: a query changes nothing about what a path names. */
export const ignoredQuery: z.ZodType = z.looseObject({});

export const acknowledgement: z.ZodType = z.strictObject({
  id: z.uuid(),
  index,
  loggedAt: z.iso.datetime(),
  leafHash: base64,
  leaf: base64.describe("The entry as it stands in the tree"),
  state,
  duplicate: z.literal(true).optional().describe("This is the first answer again"),
  receipt: z.string().optional().describe("The tlog-proof, from published on"),
});
export const batchAcknowledgement: z.ZodType = z.strictObject({
  entries: z.array(acknowledgement),
  tagKeys: z.strictObject({
    personDays: z.array(z.strictObject({ id: z.string(), day: z.int(), key: base64 })),
    tenants: z.array(z.strictObject({ id: z.string(), key: base64 })),
  }),
});
export const submitted: z.ZodType = z.union([acknowledgement, z.array(acknowledgement), batchAcknowledgement]);
export const readEvent: z.ZodType = z.strictObject({
  index,
  leaf: base64,
  opening: base64,
  event: z.record(z.string(), z.unknown()).describe("The event in JSON: event.schema.json"),
  state,
});
export const readOpenings: z.ZodType = z.strictObject({
  openings: z
    .array(
      z.union([
        z.strictObject({ index, opening: base64 }),
        z.strictObject({
          index,
          code: z.enum(["erased", "forbidden", "key-lost", "log-corrupt"]).describe("Why it is not given"),
          certificate: index.optional().describe("Of what was erased: that of the log.erasure entry"),
        }),
      ]),
    )
    .min(1)
    .max(256)
    .describe("One behind the other from the first on; fewer than were asked for where they reach 1 MiB"),
});
const hashes = z.array(base64).describe("32 bytes each");
export const inclusionProof: z.ZodType = z.strictObject({ index, size: z.int().min(1), hashes });
export const consistencyProof: z.ZodType = z.strictObject({ from: z.int().min(0), to: z.int().min(0), hashes });
export const checkpoints: z.ZodType = z.strictObject({
  checkpoints: z.array(
    z.strictObject({ size: z.int(), rootHash: base64, note: z.string(), publishedAt: z.iso.datetime() }),
  ),
});
const reason = z.strictObject({ code: z.string(), message: z.string() });
export const status: z.ZodType = z.strictObject({
  state: z.enum(["starting", "ok", "degraded", "stopped"]),
  reasons: z.array(reason),
  size: z.int(),
  publishedSize: z.int(),
  queuedEntries: z.int(),
  witnesses: z.array(
    z.strictObject({
      name: z.string(),
      state: z.enum(["ok", "behind", "unreachable", "faulty"]),
      size: z.int(),
      lastError: z.string().optional(),
    }),
  ),
});
export const readiness: z.ZodType = z.strictObject({
  ready: z.boolean(),
  logs: z.array(z.strictObject({ name: z.string(), state: z.string(), reasons: z.array(reason) })),
});
export const problem: z.ZodType = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  instance: z.string().describe("By which the operator finds more in the server's log"),
  code: z.string().describe("Stable; docs/reference/errors.md"),
});
