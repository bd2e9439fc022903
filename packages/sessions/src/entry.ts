/** What a session reports of itself: the entries of its chain, before they are events. */
import type { Context, Outcome, Target } from "@tallystick/events";

export type SessionEntryType =
  | "session.start"
  | "session.activity"
  | "session.class"
  | "session.warning"
  | "session.extend"
  | "session.rotate"
  | "session.reauth"
  | "session.timeout"
  | "session.end"
  | "session.use_after_expiry"
  | "access.denied";

/** One entry. `context.n` is its number in the chain of its session, from 0 and without gaps. */
export interface SessionEntry {
  readonly type: SessionEntryType;
  /** When it was decided, in ms since 1970 by the store's clock. */
  readonly at: number;
  readonly outcome: Outcome;
  readonly context: Context & { readonly n: number };
  readonly reason?: string;
  readonly targets?: readonly Target[];
  readonly factors?: readonly string[];
  /** Who did it: the session's user, somebody else by id, or nobody that is known (then the user is the subject). */
  readonly actor: "user" | "nobody" | { readonly type: string; readonly id: string };
}
