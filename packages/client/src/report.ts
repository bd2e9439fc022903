/** What the application reports, and what is done to it before it becomes an event: less about people, bounded context. */
import type { EventInput } from "@tallystick/events";
import { cutContext } from "./cut-context.ts";
import { type KeptData, leaveOutPersons } from "./personal-data.ts";

/** An event to record: the SDK makes the id and takes the time where they are left out. A session id that is not a keyed
 *  hash yet is hashed here, under a secret that never leaves. */
export type Report = Omit<EventInput, "id" | "time"> & Partial<Pick<EventInput, "id" | "time">>;

export interface PrepareOptions {
  readonly keep: ReadonlySet<KeptData>;
  readonly contextBytesMax: number;
  readonly hashLogin: (name: string) => string;
}

export interface Prepared {
  readonly report: Report;
  /** Whether context was too long, and was cut. */
  readonly cut: boolean;
}

/** Its context is a document with its hash, by which session limits are replayed: it stays to the letter, or is refused whole. */
const VERBATIM = "session.policy";

/** Checks nothing: what is not as it should be is left as it is, for whoever reads the event strictly. */
export function prepareReport(report: Report, { keep, contextBytesMax, hashLogin }: PrepareOptions): Prepared {
  if (report.type === VERBATIM) return { report, cut: false };
  const left = leaveOutPersons(report, { keep, hashLogin });
  const context = cutContext(left.context, contextBytesMax);
  return context === left.context ? { report: left, cut: false } : { report: { ...left, context }, cut: true };
}
