/** Documents in force, and the shortest ways to decide under them. */
import {
  type Decision,
  type PolicyInForce,
  type SessionInput,
  type SessionPolicyOptions,
  type SessionState,
  decide,
  formatPolicy,
  hashPolicy,
  parsePolicyOptions,
} from "@tallystick/sessions";

export const MINUTE = 60_000;
export const HOUR: number = 60 * MINUTE;
/** 2026-01-31, some time. */
export const T0 = 1_769_850_000_000;

export function inForce(options: SessionPolicyOptions, since: number = T0): PolicyInForce {
  const policy = parsePolicyOptions(options);
  return { policy, hash: hashPolicy(formatPolicy(policy)), since };
}

export const USUAL: SessionPolicyOptions = {
  idle: "30m",
  absolute: "8h",
  classes: { high: { idle: "5m", absolute: "1h" }, long: { idle: "2h", absolute: "30d" } },
  tenants: { acme: { idle: "10m", classes: { high: { idle: "2m" } } } },
};

export function started(
  options: SessionPolicyOptions = USUAL,
  more: { tenant?: string; factors?: string[] } = {},
): SessionState {
  const { state } = decide(
    null,
    { type: "start", id: "s1", user: "u1", token: "t1", policy: inForce(options), ...more },
    T0,
  );
  if (state === null) throw new Error("expected a session");
  return state;
}

/** Gives inputs one after the other, each at its time after the start. */
export function play(
  state: SessionState,
  ...steps: readonly (readonly [afterMs: number, input: SessionInput])[]
): Decision {
  let decision: Decision = { state, verdict: { kind: "unknown" }, entries: [] };
  for (const [afterMs, input] of steps) decision = decide(decision.state, input, T0 + afterMs);
  return decision;
}

export const REQUEST: SessionInput = { type: "request", activity: true };
export const BACKGROUND: SessionInput = { type: "request", activity: false };
