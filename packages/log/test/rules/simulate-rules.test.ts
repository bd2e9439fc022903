import { type ClassDay, parseRules, simulateRules } from "@tallystick/log";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const DAY_MS = 86_400_000;
const parse = (text: string) => parseRules(text, { where: "rules" });
const RULES = parse("version: 1\nclasses: { a: { keep: 10d }, b: { keep: for-ever } }\nother: { keep: 1y }");

const classDay = (given: Partial<ClassDay>): ClassDay => ({
  class: "a",
  day: 100,
  first: 0,
  last: 4,
  count: 5,
  atLeastDays: 0,
  dueAt: undefined,
  held: false,
  ...given,
});

describe("simulateRules", () => {
  test("lets a day go when its last moment is as old as the rule says, and no moment earlier", () => {
    const fateAt = (now: number) => simulateRules({ rules: RULES, classDays: [classDay({})], now }).classDays[0]?.fate;
    expect(fateAt(111 * DAY_MS - 1)).toBe("later");
    expect(fateAt(111 * DAY_MS)).toBe("due");
  });

  test("keeps what was promised when it was logged, whatever these rules say, and says that the promise binds", () => {
    const [simulated] = simulateRules({ rules: RULES, classDays: [classDay({ atLeastDays: 30 })], now: 0 }).classDays;
    expect(simulated).toMatchObject({ dueAt: 131 * DAY_MS, promiseBinds: true });
  });

  test("holds what a hold covers, and keeps for ever what is for ever", () => {
    const classDays = [classDay({ held: true }), classDay({ class: "b" }), classDay({ class: "log" })];
    const { classDays: simulated } = simulateRules({ rules: RULES, classDays, now: 1000 * DAY_MS });
    expect(simulated.map(({ class: name, fate, dueAt }) => [name, fate, dueAt])).toEqual([
      ["a", "held", 111 * DAY_MS],
      ["b", "for-ever", undefined],
      ["log", "for-ever", undefined],
    ]);
  });

  test("counts by class, and what these rules alone destroy apart", () => {
    const now = 200 * DAY_MS;
    const classDays = [
      classDay({ day: 100, first: 0, count: 1, dueAt: now - 1 }),
      classDay({ day: 101, first: 10, count: 2, dueAt: now + 1 }),
      classDay({ day: 102, first: 20, count: 4, dueAt: undefined }),
      classDay({ day: 103, first: 30, count: 8, held: true }),
      classDay({ day: 195, first: 40, count: 16 }),
      classDay({ day: 195, first: 50, count: 32, atLeastDays: 90 }),
      classDay({ class: "x", day: 100, first: 60, count: 64 }),
    ];
    const { classes } = simulateRules({ rules: RULES, classDays, now });
    expect(classes).toEqual([
      {
        class: "a",
        all: { classDays: 6, entries: 63 },
        due: { classDays: 3, entries: 7 },
        dueOnlyByThese: { classDays: 2, entries: 6 },
        held: { classDays: 1, entries: 8 },
        within30Days: { classDays: 1, entries: 16 },
        promiseBinds: { classDays: 1, entries: 32 },
        nextAt: 206 * DAY_MS,
      },
      {
        class: "x",
        all: { classDays: 1, entries: 64 },
        due: { classDays: 0, entries: 0 },
        dueOnlyByThese: { classDays: 0, entries: 0 },
        held: { classDays: 0, entries: 0 },
        within30Days: { classDays: 0, entries: 0 },
        promiseBinds: { classDays: 0, entries: 0 },
        nextAt: 466 * DAY_MS,
      },
    ]);
  });

  test("gives every class-day once, those that go first before those that go later", () => {
    const any = fc.record({
      class: fc.constantFrom("a", "b", "x", "log"),
      day: fc.nat({ max: 2000 }),
      first: fc.nat({ max: 1000 }),
      count: fc.nat({ max: 10 }),
      atLeastDays: fc.nat({ max: 800 }),
      held: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(any), fc.nat({ max: 3000 }), (given, today) => {
        const now = today * DAY_MS;
        const classDays = given.map((each) => classDay(each));
        const { classDays: simulated, classes } = simulateRules({ rules: RULES, classDays, now });
        expect(simulated.map(({ dueAt }) => dueAt ?? Infinity)).toEqual(
          simulated.map(({ dueAt }) => dueAt ?? Infinity).toSorted((a, b) => a - b),
        );
        expect(simulated).toHaveLength(classDays.length);
        // Each fate by its definition, day by day.
        for (const { class: name, day, atLeastDays, held, fate } of simulated) {
          const keep = { a: 10, x: 365 }[name];
          const isOver = keep !== undefined && today - day > Math.max(keep, atLeastDays);
          expect(fate).toBe(keep === undefined ? "for-ever" : isOver ? (held ? "held" : "due") : "later");
        }
        const entries = classes.reduce((sum, { all }) => sum + all.entries, 0);
        expect(entries).toBe(classDays.reduce((sum, { count }) => sum + count, 0));
      }),
      { numRuns: 200 },
    );
  });
});
