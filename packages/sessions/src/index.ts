/** Sessions that provably ended: limits, the decision, stores, and the manager that enforces and reports. */
import "./tally-sessions.ts";

export { type Credential, type SessionById, sessionById } from "./credential.ts";
export * from "./decide.ts";
export { type Duration, parseDuration } from "./duration.ts";
export type { SessionEntry, SessionEntryType } from "./entry.ts";
export { SessionError, type SessionErrorCode } from "./error.ts";
export {
  type LimitsOptions,
  PRESETS,
  type PartialLimits,
  type Preset,
  type SessionLimits,
  sameLimits,
  strictest,
} from "./limits.ts";
export type { Source } from "./kept-session.ts";
export { type MemorySessionStoreOptions, createMemorySessionStore } from "./memory-store.ts";
export * from "./policy.ts";
export * from "./sessions.ts";
export * from "./state.ts";
export type { SessionStore, StoredEntry } from "./store.ts";
