/** What rules promised, for an audit, asked of a log. */
import type { PromisedBy } from "@tallystick/client";
import { TallystickError } from "@tallystick/core";
import { ruleOf } from "@tallystick/log";
import type { Invocation } from "./command.ts";
import { rulesApproved } from "./rules-in-force.ts";
import type { Target } from "./target.ts";

/** What rules promised that were approved once. A log that does not have them any more says so itself. */
export function promiseReader(target: Target, { signal }: Pick<Invocation, "signal">): PromisedBy {
  return async (digest) => {
    try {
      const { rules } = await rulesApproved(target, digest, signal);
      return (retentionClass) => ruleOf(rules, retentionClass).atLeastDays;
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      const { status, problem } = error.details;
      if (status === 404 || problem === "log-corrupt") return undefined;
      throw error;
    }
  };
}
