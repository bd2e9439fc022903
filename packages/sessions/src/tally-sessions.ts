/** `tally.sessions({ … })`: where this package is imported, every client of the SDK has it. */
import { extendTallystick } from "@tallystick/client";
import { type Sessions, type SessionsOptions, createSessions } from "./sessions.ts";

declare module "@tallystick/client" {
  interface TallystickExtensions {
    /** Sessions that report to this log; `import "@tallystick/sessions"` brings it. See {@link createSessions}. */
    sessions(options?: SessionsOptions): Sessions;
  }
}

extendTallystick(
  "sessions",
  (tally) =>
    (options = {}) =>
      createSessions(tally, options),
);
