/** What the thread that reads submissions is asked, and what it answers. */
import { EventError } from "@tallystick/events";
import { LogError, type Preparation, type Prepared } from "@tallystick/log";
import { ServerError } from "./error.ts";
import type { EventMediaType } from "./submission.ts";

/** What it says first, once it can be asked. */
export const READY = "ready";

export interface ReadingJob {
  readonly number: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly mediaType: EventMediaType;
  readonly preparation: Preparation;
}

/** An error of ours, as it crosses. */
export interface SentError {
  readonly name: "EventError" | "LogError" | "ServerError";
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export type ReadingResult =
  | { readonly kind: "prepared"; readonly prepared: Prepared; readonly single: boolean }
  /** Not what the log takes. */
  | { readonly kind: "refused"; readonly error: SentError }
  /** Not even readable. */
  | { readonly kind: "unreadable"; readonly error: SentError }
  | { readonly kind: "failed"; readonly message: string };

export interface ReadingAnswer {
  readonly number: number;
  readonly result: ReadingResult;
}

const ERRORS = { EventError, LogError, ServerError } as const;

/** `undefined` for what is no error of ours. */
export function sentError(error: unknown): SentError | undefined {
  if (!(error instanceof EventError || error instanceof LogError || error instanceof ServerError)) return undefined;
  const { name, code, message, details } = error;
  return { name, code, message, details };
}

export function receivedError({ name, code, message, details }: SentError): EventError | LogError | ServerError {
  return new ERRORS[name](code as never, message, { details });
}
