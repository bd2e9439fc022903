/** What a log's refusal says: problem+json as far as it can be understood. */
import { TallystickError, decodeUtf8 } from "@tallystick/core";
import { ClientError } from "./error.ts";
import type { Exchange } from "./http.ts";

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Reads a problem; whatever else was answered becomes one that names the status. */
export function problemOf({ status, body }: Pick<Exchange, "status" | "body">): Problem {
  try {
    const details = objectOf(parseAnswer(body), "problem");
    const { code, detail } = details;
    return {
      code: typeof code === "string" ? code : `http-${status}`,
      message: typeof detail === "string" ? detail : `status ${status}`,
      details,
    };
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    return { code: `http-${status}`, message: "an answer that is no problem+json", details: {} };
  }
}

/** The position, within the batch, of the event that a problem names. */
export function offenderOf({ details }: Problem): number | undefined {
  const defects = details["defects"];
  const named = Array.isArray(defects)
    ? (defects[0] as { entry?: unknown } | undefined | null)?.entry
    : details["entry"];
  return typeof named === "number" && Number.isSafeInteger(named) ? named : undefined;
}

const RETRY_AFTER_MAX_MS = 300_000;

/** What a Retry-After header asks for, in seconds; at most five minutes of it. */
export function retryAfterMs(header: string | null): number | undefined {
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined;
  return Math.min(Number(header) * 1000, RETRY_AFTER_MAX_MS);
}

/** @throws {ClientError} `log-answer-malformed` */
export function parseAnswer(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body));
  } catch (cause) {
    throw new ClientError("log-answer-malformed", "the log's answer is not JSON", { cause });
  }
}

/** @throws {ClientError} `log-answer-malformed` */
export function objectOf(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ClientError("log-answer-malformed", `the log's answer: ${path}: expected an object`);
}
