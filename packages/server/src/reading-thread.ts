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
  let failing: "unreadable" | "refused" = "unreadable";
  try {
    const submitted = readSubmission(job.body, job.mediaType);
    failing = "refused";
    const prepared = prepare(submitted, job);
    return { kind: "prepared", prepared, single: submitted.kind === "events" && submitted.single };
  } catch (cause) {
    const error = sentError(cause);
    if (error !== undefined) return { kind: failing, error };
    const message = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    return { kind: "failed", message };
  }
}

function prepare(submitted: Submitted, { preparation }: ReadingJob): Prepared {
  if (submitted.kind === "batch") return prepareBatch(submitted.batch, preparation);
  return prepareEvents(submitted.events, preparation);
}
