/** What an action throws, in one word. */
import { TallystickError } from "@tallystick/core";

/** The code of the error that `action` throws; the name of one without a code; undefined when it throws nothing. */
export function errorCode(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof TallystickError) return error.code;
    return error instanceof Error ? error.name : typeof error;
  }
  return undefined;
}

/** As {@link errorCode}, for what fails later. */
export async function rejectionCode(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
  } catch (error) {
    return errorCode(() => {
      throw error;
    });
  }
  return undefined;
}
