/** What went wrong, in words, and what to do about it. */
import { TallystickError } from "@tallystick/core";

export interface Failure {
  readonly code: string | undefined;
  readonly message: string;
  readonly wayOut: string | undefined;
}

/** What to do next, by code: only where the message cannot say so itself. */
const WAYS_OUT: Readonly<Record<string, string>> = {
  "audit-unavailable": "is the log running? tallystick dev starts one; --log names another",
  "authentication-required": "--token, TALLYSTICK_TOKEN or .tallystick/dev.json give the token",
  forbidden: "another role's token is needed: --token gives it",
  "receipt-not-ready": "the receipt comes with the next head that the witnesses cosign: try again in a moment",
  "policy-malformed": "the policy says whom to trust: docs/reference/formats.md shows its lines",
  EADDRINUSE: "another process listens there: --listen names another address",
};

/** Words for what the operating system answers about a file. */
const FILE_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "it may not be read or written by you",
  EPERM: "it may not be read or written by you",
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "a part of its path is not a folder",
  ENOSPC: "the disk is full",
};

export function describeFailure(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), wayOut: undefined };
  const code = codeOf(error);
  const problem = error instanceof TallystickError ? error.details["problem"] : undefined;
  const wayOut = WAYS_OUT[typeof problem === "string" ? problem : ""] ?? WAYS_OUT[code ?? ""];
  return { code, message: fileFailure(error, code) ?? error.message, wayOut };
}

function codeOf(error: Error): string | undefined {
  if (error instanceof TallystickError) return error.code;
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** `13.json: there is no such file`, in place of the names of system calls. */
function fileFailure(error: Error, code: string | undefined): string | undefined {
  const words = FILE_FAILURES[code ?? ""];
  if (words === undefined || error instanceof TallystickError) return undefined;
  return "path" in error && typeof error.path === "string" ? `${error.path}: ${words}` : undefined;
}
