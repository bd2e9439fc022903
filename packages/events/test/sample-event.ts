import { EventError, type EventDefect, type EventInput } from "../src/index.ts";

/** A login with a value in every field but `amends` and `retention`. */
export const login: EventInput = {
  id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
  time: "2026-01-31T09:14:09.131Z",
  type: "auth.login",
  outcome: "success",
  actor: { type: "user", id: "u_81" },
  session: { id: "ab".repeat(32) },
  targets: [{ type: "app", id: "console", name: "Console" }],
  subject: { type: "user", id: "u_82" },
  tenant: "acme",
  source: { ip: "192.0.2.7", userAgent: "Mozilla/5.0 (X11; Linux x86_64)", device: "d-7" },
  auth: { method: "password", factors: ["totp"], provider: "local" },
  reason: "first login",
  operation: "op-1",
  context: { attempt: 2, tags: ["a", null, true], nested: { deep: "yes" } },
};

/** The defects that `action` ends in, by path. */
export function defectsOf(action: () => unknown): Record<string, EventDefect> {
  try {
    action();
  } catch (error) {
    if (!(error instanceof EventError) || error.code !== "event-invalid") throw error;
    const defects = error.details["defects"] as readonly EventDefect[];
    return Object.fromEntries(defects.map((defect) => [defect.path, defect]));
  }
  return {};
}
