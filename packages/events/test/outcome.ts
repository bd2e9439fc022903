import { TallystickError } from "@tallystick/core";

/** What `work` ends in, its value or its error, in a form in which two ways of doing the same can be compared. */
export function outcomeOf(work: () => unknown): unknown {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof TallystickError) return { error: error.code, message: error.message, details: error.details };
    // The platform words its own errors, by what it was doing.
    return { error: error instanceof Error ? error.name : error };
  }
}
