/** What an endpoint of better-auth that was called means for an audit log. Pure: facts in, an event out. */
import type { Report } from "@tallystick/client";

/** How a call came out, as far as it matters. */
export interface AuthCall {
  /** As better-auth names it: "/sign-in/email". */
  readonly path: string;
  /** better-auth's code where it failed; `null` where it did not. */
  readonly failure: string | null;
  /** The id of the user whom the call was proved to be of. */
  readonly user: string | undefined;
  /** What was typed to say who one is, which nobody has proved. */
  readonly login: string | undefined;
  /** Whether a session began. */
  readonly began: boolean;
}

type Kind = "login" | "challenge" | "action";

interface Row {
  readonly type: string;
  readonly kind: Kind;
  readonly factor?: string;
}

const LOGIN = { type: "auth.login", kind: "login" } as const;
const CHALLENGE = { type: "auth.mfa.challenge", kind: "challenge" } as const;

const ROWS: Readonly<Record<string, Row>> = {
  "/sign-in/email": { ...LOGIN, factor: "password" },
  "/sign-in/username": { ...LOGIN, factor: "password" },
  "/sign-in/phone-number": { ...LOGIN, factor: "password" },
  "/sign-in/email-otp": { ...LOGIN, factor: "email-otp" },
  "/sign-in/anonymous": LOGIN,
  "/magic-link/verify": { ...LOGIN, factor: "magic-link" },
  "/passkey/verify-authentication": { ...LOGIN, factor: "passkey" },
  "/two-factor/verify-totp": { ...CHALLENGE, factor: "totp" },
  "/two-factor/verify-otp": { ...CHALLENGE, factor: "otp" },
  "/two-factor/verify-backup-code": { ...CHALLENGE, factor: "backup-code" },
  "/two-factor/enable": { type: "auth.mfa.enroll", kind: "action" },
  "/two-factor/disable": { type: "auth.mfa.remove", kind: "action" },
  "/sign-up/email": { type: "account.create", kind: "action" },
  "/delete-user": { type: "account.delete", kind: "action" },
  "/change-password": { type: "auth.password.change", kind: "action" },
  "/reset-password": { type: "auth.password.reset.complete", kind: "action" },
  "/passkey/verify-registration": { type: "auth.key.create", kind: "action" },
  "/passkey/delete-passkey": { type: "auth.key.revoke", kind: "action" },
  "/unlink-account": { type: "auth.unlink", kind: "action" },
};

/** The events of a call, in their order; none where it means nothing. */
export function eventsOfCall(call: AuthCall): Report[] {
  const { path, user, began, failure } = call;
  if (path === "/request-password-reset") {
    return [{ type: "auth.password.reset.request", outcome: "success", actor: unproved(call) }];
  }
  if (path === "/sign-out") return user === undefined ? [] : [{ type: "auth.logout", actor: proved(user) }];
  const row = rowOf(path);
  if (row === undefined) return [];
  const events = [eventOf(call, row)];
  // Who has shown the second factor too is logged in only now.
  if (row.kind === "challenge" && began && failure === null) events.push(eventOf(call, { ...row, ...LOGIN }));
  // The password was right, and a second factor is asked for.
  return row.kind === "login" && failure === null && !began ? [] : events;
}

/** By which factors the user of a session that began with this call was authenticated. */
export function factorsOfCall({ path }: Pick<AuthCall, "path">): readonly string[] {
  const row = rowOf(path);
  if (row?.factor === undefined) return path === "/sign-up/email" ? ["password"] : [];
  return row.kind === "challenge" ? ["password", row.factor] : [row.factor];
}

function rowOf(path: string): Row | undefined {
  // Of a provider elsewhere, by OAuth or OpenID: whatever factors those were.
  if (path.startsWith("/callback/") || path.startsWith("/oauth2/callback/")) return LOGIN;
  return ROWS[path];
}

function eventOf(call: AuthCall, row: Row): Report {
  const { failure, user } = call;
  const factors = row.kind === "login" ? factorsOfCall(call) : row.factor === undefined ? [] : [row.factor];
  return {
    type: row.type,
    outcome: failure === null ? "success" : "failure",
    actor: user === undefined ? unproved(call) : proved(user),
    ...(factors.length === 0 ? {} : { auth: { factors: [...factors] } }),
    ...(failure === null ? {} : { reason: failure }),
  };
}

function proved(id: string): { type: string; id: string } {
  return { type: "user", id };
}

/** The SDK hashes what was typed: it may be a password in the wrong field. */
function unproved({ login }: AuthCall): { type: string; id: string } {
  return { type: "unverified", id: login ?? "unknown" };
}
