import { describe, expect, test } from "vitest";
import { EventError, type TallyEvent, verifyOpening } from "@tallystick/events";
import { rejectionCode } from "../../../test/support/errors.ts";
import { batchCandidates, unsignedCandidates, unsignedSender } from "../src/candidate.ts";
import { LogError } from "../src/error.ts";
import type { Log } from "../src/log-api.ts";
import {
  type Preparation,
  type Prepared,
  batchOf,
  buffersOf,
  eventsOf,
  hashSession,
  prepareBatch,
  prepareEvents,
} from "../src/prepared.ts";
import { Sender } from "./sender.ts";
import { ORIGIN, createSite, event, expectWhole, login } from "./site.ts";

const SECRET = new Uint8Array(32).fill(7);
const preparation: Preparation = { origin: ORIGIN, sender: unsignedSender("app"), sessionSecret: SECRET };

function preparationOf(log: Log): Preparation {
  const found = log.preparation("app");
  if (found === undefined) throw new Error("the log stopped");
  return found;
}

/** As it arrives in another thread. */
function crossed<T extends Prepared>(prepared: T): T {
  return structuredClone(prepared, { transfer: buffersOf(prepared) });
}

/** Of every kind: with and without persons, tenants, sessions, classes of their own. */
function events(): TallyEvent[] {
  return [
    login(1),
    login(2, { subject: { type: "user", id: "bob" }, tenant: "acme" }),
    login(3, { session: { id: "a session" } }),
    login(4, { session: { id: "ab".repeat(32) }, tenant: "acme" }),
    event(5, { type: "auth.login", outcome: "failure", actor: { type: "user", id: "ζωή 🦉" } }),
    event(6, { type: "acme.started", outcome: "success" }),
  ];
}

describe("what was prepared in another thread", () => {
  test("is what would have been made here, but for its salts", () => {
    const here = unsignedCandidates(
      events().map((each) => hashSession(each, () => SECRET)),
      preparation.sender,
    );
    const there = eventsOf(crossed(prepareEvents(events(), preparation)), preparation.sender);
    expect(there.map((each) => ({ ...each, committed: undefined }))).toEqual(here);
    expect(there.map((each) => Object.keys(each))).toEqual(here.map((each) => Object.keys(each)));
    const salts = there.map(({ committed, eventBytes }) => {
      if (committed === undefined) throw new Error("expected a commitment");
      const opening = verifyOpening(committed);
      expect(opening.event).toEqual(eventBytes);
      return Buffer.from(opening.salt).toString("hex");
    });
    expect(new Set(salts).size).toBe(here.length);
  });

  test("of a batch is the same, its signature with the last", () => {
    const sender = new Sender();
    const withStart = sender.batch(1, [sender.start(), ...events().slice(3)]);
    for (const bytes of [withStart, sender.batch(1, [sender.start()]), sender.batch(9, [login(1), login(2)])]) {
      expect(batchOf(crossed(prepareBatch(bytes, preparation)))).toEqual(batchCandidates(bytes, ORIGIN));
    }
  });

  test("is logged as it would be, and known again either way", async () => {
    const site = await createSite();
    const log = await site.open({ pinFirstSenderKey: true });
    const prepare = () => crossed(prepareEvents(events(), preparationOf(log)));
    const { entries, tagKeys } = await log.appendPrepared({ writer: "app", prepared: prepare() });
    expect([entries.map(({ index }) => index), tagKeys]).toEqual([[0, 1, 2, 3, 4, 5], undefined]);
    const again = [
      (await log.appendPrepared({ writer: "app", prepared: prepare() })).entries,
      await log.appendEvents({ writer: "app", events: events() }),
    ];
    for (const answers of again)
      expect(answers.map(({ index, duplicate }) => [index, duplicate])).toEqual(
        entries.map(({ index }) => [index, true]),
      );
    const sender = new Sender();
    const batch = sender.batch(1, [sender.start(20), login(21, { tenant: "acme" })]);
    const first = await log.appendPrepared({
      writer: "app",
      prepared: crossed(prepareBatch(batch, preparationOf(log))),
    });
    expect(first.tagKeys?.tenants.map(({ id }) => id)).toEqual(["acme"]);
    const second = await log.appendBatch({ writer: "app", batch });
    expect(second.entries.map(({ leaf }) => leaf)).toEqual(first.entries.map(({ leaf }) => leaf));
    const { opening } = await log.readEvent({ index: 2, reader: "auditor" });
    expect(Buffer.from(opening).toString("latin1")).not.toContain("a session");
    await expectWhole(site);
  });

  test("is refused with the error that the other thread had, and counted", async () => {
    const site = await createSite();
    const log = await site.open();
    expect(() => prepareEvents([login(1, { retention: "hold-0123abcd" })], preparation)).toThrow(LogError);
    expect(() => prepareEvents([{ ...login(1), actor: undefined }], preparation)).toThrow(EventError);
    const { refused } = log.counters();
    const error = new LogError("event-refused", "no");
    const prepared = { kind: "refused", error } as const;
    expect(await rejectionCode(log.appendPrepared({ writer: "app", prepared }))).toBe("event-refused");
    expect(log.counters().refused).toBe(refused + 1);
    await log.close();
    expect(() => log.preparation("x".repeat(257))).toThrow(RangeError);
  });

  test("C-259 is not logged where there is no room", async () => {
    const site = await createSite();
    const log = await site.open({ unpublishedEntriesMax: 1, publishIntervalMs: 60_000 });
    await log.appendEvents({ writer: "app", events: [login(1)] });
    const prepared = crossed(prepareEvents([login(2)], preparationOf(log)));
    const { overloaded } = log.counters();
    expect(await rejectionCode(log.appendPrepared({ writer: "app", prepared }))).toBe("log-overloaded");
    expect(log.counters().overloaded).toBe(overloaded + 1);
  });
});
