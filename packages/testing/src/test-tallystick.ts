/** The SDK over a log in memory: what an application reports can be looked at, and waited for. */
import { isDeepStrictEqual } from "node:util";
import { type Tallystick, type TallystickOptions, createTallystick } from "@tallystick/client";
import type { EventJson } from "@tallystick/events";
import { TestLog } from "./test-log.ts";

/** The SDK's options, but for those that say where its log is. Nothing is on disk, and `record` waits until the log has it. */
export type TestTallystickOptions = Omit<TallystickOptions, "url" | "token" | "policy" | "origin" | "outbox" | "fetch">;

/** What an event must have: fields that are objects or lists, what they must have within. */
export type ExpectedEvent = Partial<{ readonly [Field in keyof EventJson]: unknown }>;

export interface TestTallystick extends Tallystick {
  /** Reported so far and durable in the log, in its order; a copy. */
  readonly events: readonly EventJson[];
  readonly log: TestLog;
  /**
   * Waits until all that was recorded has a verified receipt, and gives the first event that has what is expected.
   *
   * @throws {Error} There is none: the message lists what there is.
   */
  expect(expected: ExpectedEvent): Promise<EventJson>;
  /** As {@link expect}, that there is none. */
  expectNone(expected: ExpectedEvent): Promise<void>;
}

/**
 * Opens a real log in memory and the SDK upon it: real commitments, sealing, tree, signed heads and receipts, no witnesses
 * (a proved event is `published`). Close it, or declare it with `await using`.
 *
 * @example
 * await using tally = createTestTallystick();
 * await tally.auth.login({ outcome: "failure", actor: { type: "user", id: "u_1" }, reason: "wrong password" });
 * await tally.expect({ type: "auth.login", outcome: "failure" });
 */
export function createTestTallystick(options: TestTallystickOptions = {}): TestTallystick {
  const log = new TestLog(options.now ?? Date.now);
  const { url, token, policy, fetch } = log;
  const tally = createTallystick({ until: "durable", ...options, url, token, policy, fetch, outbox: "none" });
  const events = (): EventJson[] => log.entries.map(({ event }) => event);
  const matching = async (expected: ExpectedEvent): Promise<EventJson | undefined> => {
    await tally.flush({ until: "published" });
    return events().find((event) => hasAll(event, expected));
  };
  const closeClient = tally.close.bind(tally);
  const more: Omit<TestTallystick, keyof Tallystick | "events"> & Pick<Tallystick, "close"> = {
    log,
    close: async (how) => {
      await closeClient(how);
      await log.close();
    },
    expect: async (expected) => {
      const found = await matching(expected);
      if (found !== undefined) return found;
      throw new Error(`no event has ${JSON.stringify(expected)}; there are:\n${lines(events())}`);
    },
    expectNone: async (expected) => {
      const found = await matching(expected);
      if (found !== undefined) throw new Error(`an event has ${JSON.stringify(expected)}: ${JSON.stringify(found)}`);
    },
  };
  return Object.defineProperty(Object.assign(tally, more), "events", { get: events }) as TestTallystick;
}

function lines(events: readonly EventJson[]): string {
  return events.length === 0 ? "none" : events.map((event) => JSON.stringify(event)).join("\n");
}

/** Whether `actual` has all of `expected`: of an object its members, of a list each entry in its place. */
function hasAll(actual: unknown, expected: unknown): boolean {
  if (typeof expected !== "object" || expected === null) return isDeepStrictEqual(actual, expected);
  if (typeof actual !== "object" || actual === null || Array.isArray(actual) !== Array.isArray(expected)) return false;
  if (Array.isArray(expected) && expected.length !== (actual as readonly unknown[]).length) return false;
  return Object.entries(expected).every(([key, value]) => hasAll((actual as Record<string, unknown>)[key], value));
}
