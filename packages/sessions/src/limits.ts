/**
 * Session limits: how long a session may be idle, and how long it may last at all.
 *
 * Defaults, tenants and classes each have limits; the strictest of those that concern a session hold.
 */
import { type Duration, parseDuration } from "./duration.ts";

/** What holds for one session. */
export interface SessionLimits {
  /** Without activity for so long, it is over. `null`: it may be idle for ever. */
  readonly idleMs: number | null;
  /** So long after its start it is over, whatever happens. */
  readonly absoluteMs: number;
}

/** Limits as they are written down. What is left out adds nothing. */
export interface LimitsOptions {
  readonly idle?: Duration | "none" | undefined;
  readonly absolute?: Duration | undefined;
}

/** NIST SP 800-63B-4 §2.1.3, §2.2.3, §2.3.3: reauthentication at each assurance level. */
export const PRESETS: Readonly<Record<"aal1" | "aal2" | "aal3", SessionLimits>> = {
  aal1: { idleMs: null, absoluteMs: 30 * 86_400_000 },
  aal2: { idleMs: 3_600_000, absoluteMs: 86_400_000 },
  aal3: { idleMs: 900_000, absoluteMs: 43_200_000 },
};

export type Preset = keyof typeof PRESETS;

/** Limits of which some are left open. */
export interface PartialLimits {
  readonly idleMs: number | null;
  readonly absoluteMs: number | null;
}

/** The strictest of all: of each limit the smallest that anybody set. */
export function strictest(base: SessionLimits, ...others: readonly PartialLimits[]): SessionLimits {
  let { idleMs, absoluteMs } = base;
  for (const other of others) {
    if (other.idleMs !== null) idleMs = Math.min(idleMs ?? Infinity, other.idleMs);
    if (other.absoluteMs !== null) absoluteMs = Math.min(absoluteMs, other.absoluteMs);
  }
  return { idleMs, absoluteMs };
}

/** @throws {TypeError | RangeError} A duration is none. */
export function parseLimits(name: string, { idle, absolute }: LimitsOptions): PartialLimits {
  return {
    idleMs: idle === undefined || idle === "none" ? null : parseDuration(`${name}idle`, idle),
    absoluteMs: absolute === undefined ? null : parseDuration(`${name}absolute`, absolute),
  };
}

export function sameLimits(one: SessionLimits, other: SessionLimits): boolean {
  return one.idleMs === other.idleMs && one.absoluteMs === other.absoluteMs;
}
