/** An event as an entry of its session's chain, and what it claims. */
import type { Leaf, TallyEvent } from "@tallystick/events";
import type { SessionEntryType } from "./entry.ts";
import type { SessionLimits } from "./limits.ts";

/** What a replay has to know of a leaf. */
export type ReplayedLeaf = Pick<Leaf, "loggedAt" | "session" | "sequence">;

/** The next entry of a log. */
export interface LoggedEntry {
  readonly index: number;
  readonly leaf: ReplayedLeaf;
  /** The signed stream that it is in, whatever stands for it: the same for the same stream. */
  readonly stream?: object | string | undefined;
  /** What it says; absent where nobody can read it any more, or may. */
  readonly event?: TallyEvent | undefined;
}

/** One that the manager of sessions wrote. */
export interface ChainEntry {
  readonly index: number;
  readonly loggedAt: number;
  readonly type: SessionEntryType;
  /** Its number in the chain. */
  readonly n: number;
  /** When it was decided, by the store's clock. */
  readonly at: number;
  readonly event: TallyEvent;
}

const TYPES: ReadonlySet<string> = new Set<SessionEntryType>([
  "session.start",
  "session.activity",
  "session.class",
  "session.warning",
  "session.extend",
  "session.rotate",
  "session.reauth",
  "session.timeout",
  "session.end",
  "session.use_after_expiry",
]);

/** `undefined` for an event that only bears a session. */
export function chainEntryOf(index: number, loggedAt: number, event: TallyEvent): ChainEntry | undefined {
  const n = numberIn(event, "n");
  if (n === undefined || !isEntryType(event)) return undefined;
  return { index, loggedAt, type: event.type, n, at: event.time, event };
}

function isEntryType(event: TallyEvent): event is TallyEvent & { readonly type: SessionEntryType } {
  return TYPES.has(event.type) || (event.type === "access.denied" && event.reason === "reauth-required");
}

/** A time, count or duration in an event's context. */
export function numberIn({ context }: TallyEvent, name: string): number | undefined {
  const value = context?.[name];
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

export function textIn({ context }: TallyEvent, name: string): string | undefined {
  const value = context?.[name];
  return typeof value === "string" ? value : undefined;
}

export function textsIn({ context }: TallyEvent, name: string): string[] {
  const value = context?.[name];
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

export function limitsIn(event: TallyEvent): SessionLimits | undefined {
  const absoluteMs = numberIn(event, "absoluteMs");
  const idleMs = event.context?.["idleMs"] === null ? null : numberIn(event, "idleMs");
  return absoluteMs === undefined || idleMs === undefined ? undefined : { idleMs, absoluteMs };
}

/** When the activity before this one was, as it claims. */
export function previousActivityIn(event: TallyEvent): number | undefined {
  return numberIn(event, "previousAt") ?? numberIn(event, "lastActivityAt");
}

/** Times come from whoever wrote the entry. */
export function timeOf(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`;
}
