/** Turns what the operating system and LevelDB report into errors of ours. */
import { StorageError } from "./error.ts";

const FULL_CODES: readonly unknown[] = ["ENOSPC", "EDQUOT"];

/** The error for an operation that failed below us, `storage-full` or `storage-unavailable`; ours pass unchanged. */
export function storageFailure(what: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause;
  const reason = reasonOf(cause);
  return isDiskFull(cause)
    ? new StorageError("storage-full", `${what}: the disk is full (${reason}); make room and open the store again`, {
        cause,
      })
    : new StorageError("storage-unavailable", `${what}: ${reason}; find the cause and open the store again`, { cause });
}

/** What a broken store answers to every call after the one that failed. */
export function laterFailure(first: StorageError): StorageError {
  return new StorageError(first.code, `an earlier write failed, open the store again: ${first.message}`, {
    cause: first,
  });
}

export function closedFailure(what: string): StorageError {
  return new StorageError("storage-unavailable", `the ${what} is closed`);
}

/** Node's `code` of a failed system call, or LevelDB's. */
export function errorCodeOf(cause: unknown): string | undefined {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** LevelDB has no code for a full disk: the text of the system's error is all that comes through. */
function isDiskFull(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  return (
    FULL_CODES.includes(errorCodeOf(cause)) ||
    /no space left|quota exceeded/i.test(cause.message) ||
    isDiskFull(cause.cause)
  );
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message;
}
