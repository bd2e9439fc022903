/** Expectations on errors of this package. */
import { expect } from "vitest";
import { StorageError, type StorageErrorCode } from "../src/error.ts";

/** Awaits the failure of `call` and gives the error, to look at its message. */
export async function expectCode(code: StorageErrorCode, call: () => unknown): Promise<StorageError> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError);
    const failure = error as StorageError;
    expect(`${failure.code}: ${failure.message}`).toMatch(new RegExp(`^${code}: `));
    return failure;
  }
  throw new Error(`expected ${code}, but the call succeeded`);
}
