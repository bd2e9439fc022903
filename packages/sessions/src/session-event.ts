/** Entries of a session as events. */
import type { Report } from "@tallystick/client";
import type { Actor, Subject } from "@tallystick/events";
import type { SessionEntry } from "./entry.ts";
import type { KeptSession, UnloggedEntry } from "./kept-session.ts";

/** The event of an entry: the same each time, so that a log takes it once however often it is reported. */
export function sessionEvent({ auditId, state }: KeptSession, { id, entry, source }: UnloggedEntry): Report {
  const { type, at, outcome, context, reason, targets, factors } = entry;
  return {
    id,
    time: at,
    type,
    outcome,
    session: { id: auditId },
    ...partiesOf(entry.actor, state.user),
    ...(state.tenant === null ? {} : { tenant: state.tenant }),
    ...(source === undefined ? {} : { source }),
    ...(factors === undefined ? {} : { auth: { factors } }),
    ...(reason === undefined ? {} : { reason }),
    ...(targets === undefined ? {} : { targets }),
    context,
  };
}

/** It is the user's data, whoever acted. */
function partiesOf(actor: SessionEntry["actor"], user: string): { actor?: Actor; subject?: Subject } {
  const person = { type: "user", id: user };
  if (actor === "user") return { actor: person };
  if (actor === "nobody") return { subject: person };
  return actor.type === "user" && actor.id === user ? { actor: person } : { actor, subject: person };
}
