/** Contents for an audit, asked of a log: those of many entries at once, or of one. */
import type { OpeningOf, OpeningsOf, ShownContents } from "@tallystick/client";
import { TallystickError } from "@tallystick/core";
import type { Invocation } from "./command.ts";
import { type ToldOpening, openingIn, openingsIn } from "./log-answer.ts";
import { requestLog } from "./log-request.ts";
import { withPurpose } from "./purpose.ts";
import type { Target } from "./target.ts";

type Asking = Pick<Invocation, "signal" | "text">;

/** One by one: the log records each. */
export function openingReader(target: Target, invocation: Asking): OpeningOf {
  const { signal } = invocation;
  return async (index) => {
    try {
      return openingIn(await requestLog(target, { path: withPurpose(`v1/events/${index}`, invocation), signal }));
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      const { status, problem, certificate } = error.details;
      if (status === 410) return isIndex(certificate) ? { certificate } : {};
      // It says itself that it has no contents there.
      if (status === 404 || problem === "log-corrupt") return undefined;
      throw error;
    }
  };
}

/** Of a range: the log records it as one. A log that has no such answer is asked one by one. */
export function openingsReader(target: Target, invocation: Asking): OpeningsOf {
  const { signal } = invocation;
  const readOne = openingReader(target, invocation);
  const shownOf = async ({ index, opening, code, certificate }: ToldOpening): Promise<ShownContents> => {
    if (opening !== undefined) return opening;
    if (code === "erased" || code === "key-lost") return isIndex(certificate) ? { certificate } : {};
    if (code === "log-corrupt") return undefined;
    // What else it may say of one entry, it says in its own words.
    return readOne(index);
  };
  return async (range) => {
    try {
      const path = withPurpose(`v1/openings?from=${range.from}&limit=${range.limit}`, invocation);
      const told = openingsIn(await requestLog(target, { path, signal }), range);
      const shown: ShownContents[] = [];
      for (const entry of told) shown.push(await shownOf(entry));
      return shown;
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      const { status, problem } = error.details;
      if (status === 404 || problem === "log-corrupt") return undefined;
      throw error;
    }
  };
}

function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
