/** The thread that reads submissions: it parses, checks and encodes what the main thread then logs. */
import { type MessagePort, parentPort } from "node:worker_threads";
import { type Prepared, buffersOf, prepareBatch, prepareEvents } from "@tallystick/log";
import { READY, type ReadingAnswer, type ReadingJob, type ReadingResult, sentError } from "./reading-messages.ts";
import { type Submitted, readSubmission } from "./submission.ts";

if (parentPort === null) throw new Error("expected to be run as a worker thread");
const port: MessagePort = parentPort;

port.on("message", (job: ReadingJob) => {
  const result = resultOf(job);
  const answer: ReadingAnswer = { number: job.number, result };
  port.postMessage(answer, result.kind === "prepared" ? buffersOf(result.prepared) : []);
});

port.postMessage(READY);

function resultOf(job: ReadingJob): ReadingResult {
  const submitted = attempt("unreadable", () => readSubmission(job.body, job.mediaType));
  if (!submitted.ok) return submitted.result;
  const prepared = attempt("refused", () => prepare(submitted.value, job));
  if (!prepared.ok) return prepared.result;
  const single = submitted.value.kind === "events" && submitted.value.single;
  return { kind: "prepared", prepared: prepared.value, single };
}

function prepare(submitted: Submitted, { preparation }: ReadingJob): Prepared {
  if (submitted.kind === "batch") return prepareBatch(submitted.batch, preparation);
  return prepareEvents(submitted.events, preparation);
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly result: ReadingResult };

function attempt<T>(kind: "unreadable" | "refused", work: () => T): Attempt<T> {
  try {
    return { ok: true, value: work() };
  } catch (cause) {
    const error = sentError(cause);
    if (error !== undefined) return { ok: false, result: { kind, error } };
    const message = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    return { ok: false, result: { kind: "failed", message } };
  }
}
