/** What went wrong, in words, and what to do about it. */
import { TallystickError } from "@tallystick/core";
import type { UnmetPoint } from "@tallystick/server";
import { FileError } from "./bounded-file.ts";
import { commandLine, startLine } from "./command-line.ts";

export interface Failure {
  readonly code: string | undefined;
  /** One line. */
  readonly message: string;
  /** Lines that say more: every defect, or what to do next. */
  readonly more: readonly string[];
}

const ADDRESS_HINT = "--log: the address ends with the log's name, such as /app";

const ROLE_HINT = "another role's token is needed: --token gives it";

const READYZ_HINT = "the log answers, and does not do it now: its /readyz and the server's own log say why";

function runningHint(): string {
  return `is the log running? ${startLine()} starts one; --log names another`;
}

function wasAnswered(error: Error): boolean {
  return error instanceof TallystickError && error.details["status"] !== undefined;
}

/** What to do next, by code: only where the message cannot say so itself. */
type WayOut = string | ((error: Error) => string | undefined);

const WAYS_OUT: ReadonlyMap<unknown, WayOut> = new Map<unknown, WayOut>([
  ["audit-unavailable", (error) => (wasAnswered(error) ? READYZ_HINT : runningHint())],
  ["not-found", ADDRESS_HINT],
  ["log-unknown", ADDRESS_HINT],
  ["unauthenticated", "--token, TALLYSTICK_TOKEN or .tallystick/dev.json give the token"],
  // Of a reader's token that is for another person there is nothing to be had.
  ["forbidden", ({ message }) => (message.includes("the role ") ? ROLE_HINT : undefined)],
  ["purpose-required", "--purpose says what the contents are read for; it stays in the log"],
  ["client-certificate-required", "--client-cert and --client-key give the certificate"],
  [
    "sender-key-unknown",
    () =>
      `a token belongs to the first outbox that uses it; another one: ${commandLine()} keys create-token --dir DIR --name LOG --role writer`,
  ],
  ["receipt-not-ready", "the receipt comes with the next head that the witnesses cosign: try again in a moment"],
  ["policy-malformed", "the policy says whom to trust: docs/reference/formats.md shows its lines"],
  ["rules-malformed", "docs/reference/rules.md has every key, and what it may be"],
  ["EADDRINUSE", "another process listens there: --listen names another address"],
]);

const UNTRUSTED_HINT = "--ca names the authority of the log's certificate, where it is none of the usual ones";

/** How Node says that a certificate leads to nobody whom it knows. */
const UNTRUSTED: ReadonlySet<unknown> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

function isUntrusted(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ("code" in error && UNTRUSTED.has(error.code)) || isUntrusted(error.cause);
}

/** Words for what the operating system answers about a file. */
const FILE_FAILURES: ReadonlyMap<unknown, string> = new Map([
  ["ENOENT", "there is no such file"],
  ["EACCES", "it may not be read or written by you"],
  ["EPERM", "it may not be read or written by you"],
  ["EISDIR", "it is a folder, not a file"],
  ["ENOTDIR", "a part of its path is not a folder"],
  ["ENAMETOOLONG", "its name is too long"],
  ["ELOOP", "its links lead in a circle"],
  ["EEXIST", "it is there already"],
  ["ENOSPC", "the disk is full"],
  ["EROFS", "the disk can only be read"],
]);

const DEFECTS_SHOWN = 20;

export function describeFailure(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), more: [] };
  const code = codeOf(error);
  const { problem, defects } = error instanceof TallystickError ? error.details : {};
  const wayOut = WAYS_OUT.get(problem) ?? (isUntrusted(error) ? UNTRUSTED_HINT : WAYS_OUT.get(code));
  const words = typeof wayOut === "function" ? wayOut(error) : wayOut;
  const more = [...describeDefects(defects), ...remediesOf(error), ...(words === undefined ? [] : [words])];
  return { code, message: fileFailure(error, code) ?? error.message, more };
}

function codeOf(error: Error): string | undefined {
  if (error instanceof TallystickError) return error.code;
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** `13.json: there is no such file`, in place of the names of system calls. */
function fileFailure(error: Error, code: string | undefined): string | undefined {
  const words = FILE_FAILURES.get(code);
  if (words === undefined || error instanceof TallystickError || error instanceof FileError) return undefined;
  return "path" in error && typeof error.path === "string" ? `${error.path}: ${words}` : undefined;
}

/** Of one defect the message tells everything; of several, each has its line. */
function describeDefects(defects: unknown): readonly string[] {
  return Array.isArray(defects) && defects.length > 1 ? defects.slice(0, DEFECTS_SHOWN).map(describeDefect) : [];
}

/** Of each point of a profile that is not met, what to do; what is the same for several once. */
function remediesOf(error: unknown): readonly string[] {
  const points = error instanceof TallystickError ? error.details["points"] : undefined;
  if (!Array.isArray(points)) return [];
  return [...new Set(points.map((each: UnmetPoint) => `${wordsOf(each.point)}: ${wordsOf(each.remedy)}`))];
}

function describeDefect(defect: unknown): string {
  const { entry, path, message, line, column } = (defect ?? {}) as Record<string, unknown>;
  if (typeof line === "number" && typeof column === "number")
    return `line ${line}, column ${column}: ${path === "" ? "" : `${wordsOf(path)}: `}${wordsOf(message)}`;
  return `entry ${wordsOf(entry)}: ${wordsOf(path)}: ${wordsOf(message)}`;
}

/** Not String(): an object of others may have a `toString` that is no function. */
export function wordsOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "unknown");
}
