/**
 * Connections that stay open: event streams and WebSockets. When their session is over, so are they.
 *
 * All of a manager's are looked after together, every two seconds while there are any, so that each is closed within five
 * of the deadline, or of whatever else ended the session. To look is no use of the session: of that nothing is reported.
 */
import { sessionById } from "./credential.ts";
import type { SessionInfo, Sessions } from "./sessions.ts";

const LOOK_INTERVAL_MS = 2000;
/** A store that does not answer in this time is one that does not answer: then they close. */
const ANSWER_MS = 2000;

/** Why a connection is closed. */
export type CloseReason = "session-expired" | "session-state-unavailable";

interface Connection {
  readonly session: SessionInfo;
  readonly close: (reason: CloseReason) => void;
  /** Whether it is one that stays open; what is not is left alone. */
  readonly isLive: () => boolean;
}

export class LiveConnections {
  readonly #sessions: Pick<Sessions, "look">;
  readonly #connections = new Set<Connection>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(sessions: Pick<Sessions, "look">) {
    this.#sessions = sessions;
  }

  /** @returns To be called when the connection is closed otherwise. */
  add(connection: Connection): () => void {
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => void this.#look(), LOOK_INTERVAL_MS).unref();
    return () => void this.#connections.delete(connection);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    // Here and not when the last one goes: most are of requests, which come and go by the thousand.
    if (this.#connections.size === 0) this.#rest();
    this.#looking = true;
    const bySession = Map.groupBy(
      [...this.#connections].filter(({ isLive }) => isLive()),
      ({ session }) => session.id,
    );
    try {
      await Promise.all([...bySession].map(async ([id, connections]) => this.#lookAt(id, connections)));
    } finally {
      this.#looking = false;
    }
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #lookAt(id: string, connections: readonly Connection[]): Promise<void> {
    const reason = await this.#reasonToClose(id);
    if (reason === undefined) return;
    for (const connection of connections) {
      this.#connections.delete(connection);
      this.#close(connection, reason);
    }
  }

  /** One that cannot be closed must not keep the others open, nor bring the process down. */
  #close({ close }: Connection, reason: CloseReason): void {
    try {
      close(reason);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error), "TallystickWarning");
    }
  }

  async #reasonToClose(id: string): Promise<CloseReason | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<CloseReason>((resolve) => {
      timer = setTimeout(resolve, ANSWER_MS, "session-state-unavailable");
    });
    const asked = this.#sessions.look(sessionById(id)).then(
      ({ kind }): CloseReason | undefined => (kind === "ok" ? undefined : "session-expired"),
      (): CloseReason => "session-state-unavailable",
    );
    const answer = await Promise.race([asked, late]);
    clearTimeout(timer);
    return answer;
  }
}

const byManager = new WeakMap<object, LiveConnections>();

/** The connections of a manager's sessions. */
export function liveConnections(sessions: Pick<Sessions, "look">): LiveConnections {
  const known = byManager.get(sessions) ?? new LiveConnections(sessions);
  byManager.set(sessions, known);
  return known;
}
