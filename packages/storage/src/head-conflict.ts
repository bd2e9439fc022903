/** The refusal of a commit whose head has moved. */
import { StorageError } from "./error.ts";
import type { Commit } from "./storage.ts";

export function headConflict({ name, expected }: Commit["head"], actual: number): StorageError {
  const message = `head "${name}" is at version ${actual}, the commit expected ${expected}: somebody else writes to this log; stop, and open it again`;
  return new StorageError("head-conflict", message, { details: { name, expected, actual } });
}
