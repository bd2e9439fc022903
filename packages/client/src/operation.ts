/** `tally.audit`: an event before something is done and one after it, so that neither the try nor its outcome is missing. */
import type { Context, EventInput } from "@tallystick/events";
import { AuditUnavailableError } from "./error.ts";
import { reasonLine } from "./reason-line.ts";
import type { Report } from "./report.ts";

/** What is done, without its outcome: that shows. `operation`, which joins both events, is made where it is left out. */
export type OperationReport = Omit<Report, "id" | "time" | "outcome">;

/** Says what the work alone knows; all of it stands in the event of the outcome. */
export interface Operation {
  /** Joins both events, and others of the same operation. */
  readonly id: string;
  /** The outcome is `denied`, although the work returns. */
  deny(reason?: string): void;
  /** The outcome is `failure`, although the work returns. */
  fail(reason?: string): void;
  /** Adds to the event of the outcome, or changes it. */
  note(fields: OperationNotes): void;
}

export type OperationNotes = Partial<Pick<EventInput, "actor" | "subject" | "targets" | "auth" | "reason" | "context">>;

/** By what an operation is recorded. */
export interface OperationRecorder {
  /** Records the attempt. @throws {AuditUnavailableError} the work must not be done. */
  attempt(report: Report): Promise<void>;
  /**
   * Records the outcome; what goes wrong is told elsewhere, as the work is done.
   *
   * @param bare - Takes its place where it is none that can be recorded: the same without what the work said.
   */
  outcome(report: Report, bare: Report): Promise<void>;
  /** Records, without a wait for a log that is away, that the work was not done. */
  refused(report: Report): Promise<void>;
}

/**
 * Records the attempt, does the work, records how it came out. What the work returns or throws passes through.
 *
 * The outcome is `success`; `failure` where the work throws, or returns a response of status 400 or more; `denied` where
 * what it throws or returns has status 401 or 403; or what the work says through {@link Operation}.
 *
 * @throws {AuditUnavailableError} The attempt must be in the log first, and is not: the work was not done.
 */
export async function runOperation<T>(
  recorder: OperationRecorder,
  report: OperationReport,
  work: (operation: Operation) => T | Promise<T>,
): Promise<T> {
  const id = report.operation ?? globalThis.crypto.randomUUID();
  // Two events have two ids and two times, whatever came with the report.
  const { id: _, time: __, ...rest }: Partial<Report> = report;
  const known = { ...rest, type: report.type, operation: id };
  const context: Context = { ...report.context, step: "attempt" };
  try {
    await recorder.attempt({ ...known, outcome: "unknown", context });
  } catch (error) {
    if (error instanceof AuditUnavailableError)
      await recorder.refused({ ...known, outcome: "denied", reason: error.code });
    throw error;
  }
  const said = new Said(id);
  const tell = async (judged: Judged): Promise<void> =>
    recorder.outcome({ ...known, ...judged, ...said.fields(report.context) }, { ...known, ...judged, ...said.judged });
  let result: T;
  try {
    result = await work(said);
  } catch (error) {
    await tell(outcomeOfError(error));
    throw error;
  }
  await tell(outcomeOfResult(result));
  return result;
}

type Judged = Pick<Report, "outcome" | "reason">;

class Said implements Operation {
  readonly id: string;
  #judged: Judged = {};
  #notes: OperationNotes = {};

  constructor(id: string) {
    this.id = id;
  }

  deny(reason?: string): void {
    this.#judged = { outcome: "denied", ...reasonOf(reason) };
  }

  fail(reason?: string): void {
    this.#judged = { outcome: "failure", ...reasonOf(reason) };
  }

  note(fields: OperationNotes): void {
    const { context } = this.#notes;
    this.#notes = { ...this.#notes, ...fields, context: { ...context, ...fields.context } };
  }

  /** What it said of the outcome, if anything. */
  get judged(): Judged {
    return this.#judged;
  }

  fields(context: Context | undefined): Partial<Report> {
    const notes = this.#notes.context ?? {};
    const all = { ...context, ...notes };
    return { ...this.#notes, ...this.#judged, context: Object.keys(all).length === 0 ? undefined : all };
  }
}

/** Messages of errors come here, long ones and such of several lines: no outcome must be lost for them. */
function reasonOf(reason: string | undefined): Pick<Report, "reason"> {
  const line = typeof reason === "string" ? reasonLine(reason) : undefined;
  return line === undefined ? {} : { reason: line };
}

function outcomeOfError(error: unknown): Judged {
  const { status, statusCode, code, name } = fieldsOf(error);
  const reason = [code, name].find((text): text is string => typeof text === "string" && REASON.test(text));
  return { outcome: outcomeOfStatus(status ?? statusCode) ?? "failure", ...(reason === undefined ? {} : { reason }) };
}

/** A code or a class's name: the message may hold anything, so it stays out of a permanent record. */
const REASON = /^[\w.:-]{1,100}$/;

function outcomeOfResult(result: unknown): Judged {
  const { status, headers } = fieldsOf(result);
  const outcome = headers === undefined ? undefined : outcomeOfStatus(status);
  return outcome === undefined ? { outcome: "success" } : { outcome, reason: `HTTP ${String(status)}` };
}

function outcomeOfStatus(status: unknown): "denied" | "failure" | undefined {
  if (status === 401 || status === 403) return "denied";
  return typeof status === "number" && status >= 400 ? "failure" : undefined;
}

function fieldsOf(
  value: unknown,
): Readonly<Partial<Record<"status" | "statusCode" | "code" | "name" | "headers", unknown>>> {
  if (typeof value !== "object" || value === null) return {};
  try {
    const { status, statusCode, code, name, headers } = value as Readonly<Record<string, unknown>>;
    return { status, statusCode, code, name, headers };
  } catch {
    // What the work gives may be anything, and a look at it may fail; the work is done all the same.
    return {};
  }
}
