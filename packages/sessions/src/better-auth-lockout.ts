/**
 * Locks an account after too many failures. Each failure is a row of its own in better-auth's table of verifications, which
 * is counted: so those that come at the same time, in any instance, all count. better-auth removes rows that have expired.
 */
import { createHash } from "node:crypto";
import { assertOptionNames } from "@tallystick/events";
import type { AuthContext } from "better-auth";
import { type Duration, parseDuration } from "./duration.ts";

export interface LockoutOptions {
  /** So many failures within `within` lock an account until the first of them is that old. 5 by default. */
  readonly failures?: number | undefined;
  /** "15m" by default. */
  readonly within?: Duration | undefined;
}

export interface Lockout {
  isLocked(context: AuthContext, login: string): Promise<boolean>;
  /** Gives whether the account is locked by that. */
  failed(context: AuthContext, login: string): Promise<boolean>;
  succeeded(context: AuthContext, login: string): Promise<void>;
}

const MODEL = "verification";

/** @throws {TypeError | RangeError} An option is not what it should be. */
export function createLockout(options: LockoutOptions): Lockout {
  assertOptionNames("lockout", options, { failures: true, within: true });
  const { failures = 5, within = "15m" } = options;
  const withinMs = parseDuration("lockout.within", within);
  if (!Number.isSafeInteger(failures) || failures < 1 || failures > 1000) {
    throw new RangeError(`lockout.failures: expected a whole number from 1 to 1000, got ${failures}`);
  }
  const isLocked = async ({ adapter }: AuthContext, login: string): Promise<boolean> => {
    const alive = { field: "expiresAt", operator: "gt", value: new Date() } as const;
    return (
      (await adapter.count({ model: MODEL, where: [{ field: "identifier", value: keyOf(login) }, alive] })) >= failures
    );
  };
  return {
    isLocked,
    async failed(context, login) {
      const now = new Date();
      const expiresAt = new Date(now.getTime() + withinMs);
      const data = { identifier: keyOf(login), value: "failed", expiresAt, createdAt: now, updatedAt: now };
      await context.adapter.create({ model: MODEL, data });
      return isLocked(context, login);
    },
    async succeeded({ adapter }, login) {
      await adapter.deleteMany({ model: MODEL, where: [{ field: "identifier", value: keyOf(login) }] });
    },
  };
}

function keyOf(login: string): string {
  return `tallystick-failure:${createHash("sha256").update(login).digest("hex")}`;
}
