/** What requests about the end of contents hold, and what they are answered: erasure, holds, retention, rules. */
import * as z from "zod";
import type { ValueBody } from "./route.ts";

/** Of a person's id, a ground and selectors there is no more than that. */
const BYTES_MAX = 65_536;
const RULES_BYTES_MAX = 262_144;
const APPROVAL_BYTES_MAX = 1_048_576;
/** As events have them. */
const ID_CHARS_MAX = 256;
const CLASS_PATTERN = /^[a-z0-9-]{1,32}$/;

/** One line: what goes into the log for ever is read on terminals. */
function line(charsMax: number): z.ZodString {
  const expected = `expected 1 to ${charsMax} characters of text on one line`;
  return z
    .string({ error: expected })
    .regex(new RegExp(`^[^\\p{Cc}\\p{Cs}\\u2028\\u2029]{1,${charsMax}}$`, "u"), { error: expected });
}

const index = z.int().min(0);
const day = z.iso.date();
const time = z.iso.datetime();
const milliseconds = z
  .string()
  .regex(/^(0|[1-9]\d{0,15})$/, { error: "expected a whole number" })
  .transform(Number)
  .pipe(z.int().min(0).max(60_000));
const subject = line(ID_CHARS_MAX).describe("The person's id, as events have it; kept nowhere");
const purpose = line(256);

const NAMED = "expected words without the person's id: they stay in the log for ever";
/** An id of fewer letters, and of nothing but letters, may be any word: `art` in `GDPR Art. 17`, say. */
const ANY_WORD = /^[\p{L}\p{M}]{0,4}$/u;

/** Whether a text has an id as a word: the slip that would put back into the log what is to leave it. */
function isNamed(id: string | undefined, text: string | undefined): boolean {
  if (id === undefined || text === undefined || ANY_WORD.test(id)) return false;
  const [wanted, words] = [id.toLowerCase(), text.toLowerCase()];
  for (let at = words.indexOf(wanted); at !== -1; at = words.indexOf(wanted, at + 1)) {
    const around = `${words.slice(0, at).at(-1) ?? ""}${words.slice(at + wanted.length).at(0) ?? ""}`;
    if (!/[\p{L}\p{N}]/u.test(around)) return true;
  }
  return false;
}
const retentionClass = z.string().regex(CLASS_PATTERN, { error: "expected a-z, 0-9 and dashes, at most 32" });

export interface EraseBody {
  readonly subject: string;
  readonly ground: string;
  readonly request?: string | undefined;
}

export const eraseBody: ValueBody<EraseBody> = {
  bytesMax: BYTES_MAX,
  schema: z
    .strictObject({
      subject,
      ground: line(1024).describe("Why; in the log for ever, so that no name belongs there"),
      request: z
        .uuid({ version: "v7", error: "expected a UUIDv7" })
        .optional()
        .describe("Makes a repeated call harmless"),
    })
    .refine(({ subject: id, ground }) => !isNamed(id, ground), { path: ["ground"], error: NAMED }),
};

export interface HoldBody {
  readonly case: string;
  readonly reason?: string | undefined;
  readonly subject?: string | undefined;
  readonly class?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly operation?: string | undefined;
}

export const holdBody: ValueBody<HoldBody> = {
  bytesMax: BYTES_MAX,
  schema: z
    .strictObject({
      case: line(128).describe("Names the case; no person's name belongs there"),
      reason: line(1024).optional(),
      subject: subject.optional(),
      class: retentionClass.optional(),
      from: time.optional().describe("Logged at this time or later"),
      to: time.optional().describe("Logged before this time"),
      operation: line(ID_CHARS_MAX).optional(),
    })
    .refine((hold) => SELECTORS.some((name) => hold[name] !== undefined), {
      error: `expected at least one of ${["subject", "class", "from", "to", "operation"].join(", ")}`,
    })
    .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
      error: "expected from before to",
    })
    .refine(({ subject: id, case: name }) => !isNamed(id, name), { path: ["case"], error: NAMED })
    .refine(({ subject: id, reason }) => !isNamed(id, reason), { path: ["reason"], error: NAMED }),
};

const SELECTORS = ["subject", "class", "from", "to", "operation"] as const;

export const liftBody: z.ZodType<{ readonly id: string }> = z.strictObject({ id: line(64) });

export interface RulesBody {
  readonly text: string;
}

export const rulesBody: ValueBody<RulesBody> = {
  bytesMax: RULES_BYTES_MAX,
  schema: z.strictObject({ text: z.string().min(1).describe("YAML or JSON: docs/reference/rules.md") }),
};

export interface ApprovalBody {
  readonly approval: string;
  readonly preview?: boolean | undefined;
}

/** A ticket holds what was asked for, encrypted: rules at most. */
export const approvalBody: ValueBody<ApprovalBody> = {
  bytesMax: APPROVAL_BYTES_MAX,
  schema: z.strictObject({
    approval: z.string().min(1).describe("The ticket that the first person was given"),
    preview: z.boolean().optional().describe("Only tell what would be approved"),
  }),
};

export interface ExportBody {
  readonly subject: string;
  readonly purpose?: string | undefined;
}

export const exportBody: ValueBody<ExportBody> = {
  bytesMax: BYTES_MAX,
  schema: z
    .strictObject({
      subject,
      purpose: purpose.optional().describe("Why it is read; recorded in the log"),
    })
    .refine(({ subject: id, purpose: why }) => !isNamed(id, why), { path: ["purpose"], error: NAMED }),
};

export const destructionQuery: z.ZodType<{ readonly timeout?: number | undefined }> = z.strictObject({
  timeout: milliseconds.optional().describe("For how many ms to wait until it is done; not at all by default"),
});
export const certificateQuery: z.ZodType<{ readonly timeout?: number | undefined }> = z.strictObject({
  timeout: milliseconds.optional().describe("For how many ms to wait until it is published; 10,000 by default"),
});
export const destructionsQuery: z.ZodType<{
  readonly limit?: number | undefined;
  readonly before?: string | undefined;
}> = z.strictObject({
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, { error: "expected 1 to 1000" })
    .transform(Number)
    .pipe(z.int().max(1000))
    .optional(),
  before: z
    .uuid({ version: "v7", error: "expected a UUIDv7" })
    .optional()
    .describe("Those that were asked for before it"),
});
export const holdsQuery: z.ZodType<{ readonly lifted?: "true" | "false" | undefined }> = z.strictObject({
  lifted: z.enum(["true", "false"]).optional().describe("Whether those that were lifted are wanted too"),
});
export const retentionQuery: z.ZodType<{
  readonly class?: string | undefined;
  readonly dueBefore?: string | undefined;
  readonly from?: string | undefined;
}> = z.strictObject({
  class: retentionClass.optional(),
  dueBefore: day.optional().describe("Only those that are due before this day"),
  from: day.optional().describe("Only those of this day and later ones: the last day of an answer asks for the next"),
});

const scope = z.strictObject({
  class: z.string(),
  day: day.describe("On which its entries were logged, UTC"),
  first: index,
  last: index,
  count: z.int().min(0),
});

export const destruction: z.ZodType = z.strictObject({
  request: z.uuid(),
  kind: z.enum(["person", "class-day"]),
  ground: z.string(),
  state: z
    .enum(["held", "ordered", "done"])
    .describe("held by a legal hold; ordered: nothing opens any more; done: the keys are destroyed"),
  ordered: z.array(index).optional().describe("Of the certificate's entries"),
  done: index.optional().describe("Of the entry that says it is done"),
  finalOn: day.optional().describe("From when on no backup of the key store holds the keys"),
  scope: scope.optional(),
  kept: z
    .array(z.strictObject({ class: z.string(), count: z.int().min(0) }))
    .optional()
    .describe("Entries that are kept all the same, since a duty or a hold asks for it"),
});
/** Where rules ask for two persons. */
export const awaitingApproval: z.ZodType = z.strictObject({
  state: z.literal("awaiting-approval"),
  approval: z.string().describe("The ticket: another officer posts it to v1/approvals"),
  validUntil: time,
});
export const destructions: z.ZodType = z.strictObject({ erasures: z.array(destruction) });

export const certificate: z.ZodType = z.strictObject({
  certificate: z
    .array(
      z.strictObject({
        index,
        evidence: z.string().describe("N.evidence.json, as tallystick verify reads it"),
      }),
    )
    .describe("The order in its parts, then what says that it is done"),
});

export const hold: z.ZodType = z.strictObject({
  id: z.uuid(),
  case: z.string(),
  reason: z.string().optional(),
  ofPerson: z.boolean().describe("Whether it is of one person; whose is not told"),
  class: z.string().optional(),
  from: time.optional(),
  to: time.optional(),
  operation: z.string().optional(),
  setBy: z.string(),
  setAt: time,
  setIndex: index,
  liftedBy: z.string().optional(),
  liftedAt: time.optional(),
  liftedIndex: index.optional(),
});
export const holds: z.ZodType = z.strictObject({ holds: z.array(hold) });

export const classDays: z.ZodType = z.strictObject({
  classDays: z.array(
    z.strictObject({
      ...scope.shape,
      atLeastDays: z.int().min(0).describe("What was promised when its events were logged"),
      dueOn: day.optional().describe("The first day on which it may be destroyed; none where it is kept for ever"),
      held: z.boolean(),
    }),
  ),
  more: z.boolean().describe("Whether there are others: a class or an earlier day asks for fewer"),
});
export const retentionRun: z.ZodType = z.strictObject({
  destroyed: z.array(scope),
  held: z.int().min(0).describe("Entries that were kept, since a hold covers them"),
});

export const rules: z.ZodType = z.strictObject({
  text: z.string(),
  digest: z.string().describe("SHA-256 of the text, in hex"),
  index: index.optional().describe("Of the entry log.rules; none before the first"),
});
export const rulesApplied: z.ZodType = z.strictObject({
  index,
  digest: z.string(),
  state: z.enum(["durable", "published", "witnessed"]),
});
