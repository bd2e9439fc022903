/** An instance of an application, as a process: does to its sessions what its parent asks, over a SQLite file. */
import { appendFileSync } from "node:fs";
import { type SessionStore, type Sessions, createSessions } from "@tallystick/sessions";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";
import type { Answer, Call, Place } from "./instance.ts";

/** What the store's clock shows, as the parent says; 0: the machine's. */
let storeNow = 0;
const machineNow = Date.now.bind(Date);

let opened: { readonly sessions: Sessions; readonly store: SessionStore } | undefined;

async function open({ database, log, limits, clockOffsetMs }: Place): Promise<void> {
  await close();
  // The application's own clock may be wrong by as much as it likes.
  Date.now = () => machineNow() + clockOffsetMs;
  storeNow = 0;
  const store = await openSqliteSessionStore(database, { now: () => (storeNow === 0 ? machineNow() : storeNow) });
  const recorder = {
    // One line each, and appended at once: whatever was recorded before a kill is there after it.
    record: async (event: object): Promise<void> => appendFileSync(log, `${JSON.stringify(event)}\n`),
  };
  opened = { store, sessions: createSessions(recorder, { ...limits, sweepIntervalMs: 0, store }) };
}

async function close(): Promise<void> {
  await opened?.sessions.close();
  await opened?.store.close();
  opened = undefined;
}

async function perform(call: Call): Promise<unknown> {
  if (call.method === "open") return open(...call.args);
  if (call.method === "close") return close();
  if (opened === undefined) throw new Error("expected open first");
  const { sessions } = opened;
  switch (call.method) {
    case "start":
      return sessions.start(...call.args);
    case "check":
      return sessions.check(...call.args);
    case "extend":
      return sessions.extend(...call.args);
    case "end":
      return sessions.end(...call.args);
    case "list":
      return sessions.list(...call.args);
    case "sweep":
      return sessions.sweep();
    case "flush":
      break;
  }
  return sessions.flush();
}

process.on("message", (call: Call) => {
  storeNow = call.now ?? storeNow;
  const send = (answer: Answer): void => {
    process.send?.(answer);
  };
  perform(call).then(
    (value) => send({ id: call.id, value }),
    (error: unknown) => send({ id: call.id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
