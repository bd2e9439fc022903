/** Sessions over a store whose clock a test sets, and what they report. */
import type { Report } from "@tallystick/client";
import { type TallyEvent, parseEvent } from "@tallystick/events";
import {
  type Recorder,
  type SessionStore,
  type Sessions,
  type SessionsOptions,
  createMemorySessionStore,
  createSessions,
} from "@tallystick/sessions";
import { T0, USUAL } from "./policies.ts";

/** Takes events as the SDK does, which refuses what is none; while `down`, none at all. */
export class EventList implements Recorder {
  readonly events: TallyEvent[] = [];
  down = false;
  #ids = 0;

  async record(report: Report): Promise<void> {
    if (this.down) throw new Error("the log is down");
    this.#ids += 1;
    const id = `0198c5d2-7c3a-7f4e-9d1b-${this.#ids.toString(16).padStart(12, "0")}`;
    this.events.push(parseEvent({ ...report, id: report.id ?? id, time: report.time ?? T0 }));
  }

  /** The events of one type, or all but the announcements of limits. */
  of(type?: string): TallyEvent[] {
    return this.events.filter((event) => (type === undefined ? event.type !== "session.policy" : event.type === type));
  }

  types(): string[] {
    return this.of().map(({ type }) => type);
  }
}

export interface Scene {
  readonly sessions: Sessions;
  readonly log: EventList;
  readonly store: SessionStore;
  /** Lets time pass, or sets it back. */
  readonly pass: (ms: number) => void;
  /** Another instance over the same store and log. */
  readonly another: (options?: Partial<SessionsOptions>) => Sessions;
}

export function scene(options: Partial<SessionsOptions> = USUAL): Scene {
  let now = T0;
  const log = new EventList();
  const store = createMemorySessionStore({ now: () => now });
  const another = (more: Partial<SessionsOptions> = options): Sessions =>
    createSessions(log, { store, sweepIntervalMs: 0, onError: () => undefined, ...more });
  return {
    sessions: another(),
    log,
    store,
    another,
    pass(ms) {
      now += ms;
    },
  };
}
