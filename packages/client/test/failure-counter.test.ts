import { expect, test } from "vitest";
import { type TallyEvent, parseEvent } from "@tallystick/events";
import { FailureCounter } from "../src/failure-counter.ts";
import { login } from "./support/setup.ts";

const START = 1_760_000_000_000;
let made = 0;

function failure(more: object = {}, time: number = START): TallyEvent {
  made += 1;
  const id = `0198c5d2-7c3a-7f4e-9d1b-${made.toString(16).padStart(12, "0")}`;
  return parseEvent({ ...login("u_1"), outcome: "failure", source: { ip: "192.0.2.7" }, ...more, id, time });
}

function counter(countMax = 10): {
  counter: FailureCounter<string>;
  take: (event: TallyEvent, now?: number) => number;
} {
  const failures = new FailureCounter<string>({ countMax, windowMs: 60_000 });
  return {
    counter: failures,
    take: (event, now = START) => failures.take(event, now, async () => Promise.resolve(event.id)).counted,
  };
}

test("counts from the eleventh failure of a minute on, and tells them once", async () => {
  const { counter: failures, take } = counter();
  const events = Array.from({ length: 25 }, (_, at) => failure({}, START + at));
  expect(events.map((event) => take(event))).toEqual([
    ...Array<number>(10).fill(0),
    ...Array.from({ length: 15 }, (_, at) => at + 1),
  ]);
  expect(failures.over(START + 59_999)).toEqual([]);
  expect(failures.over(START + 60_000)).toEqual([{ sample: events[10], count: 15, from: START + 10, to: START + 24 }]);
  expect(failures.over(START + 120_000)).toEqual([]);
});

test("gives those that it counts the answer of the last that was recorded", async () => {
  const { counter: failures } = counter(2);
  const answers = [];
  for (const name of ["first", "second", "third", "fourth"])
    answers.push(await failures.take(failure(), START, async () => Promise.resolve(name)).answer);
  expect(answers).toEqual(["first", "second", "second", "second"]);
});

test("keeps accounts, addresses, types and outcomes apart", () => {
  const { take } = counter(1);
  const kinds = [
    {},
    { actor: { type: "user", id: "u_2" } },
    { source: { ip: "192.0.2.8" } },
    { source: undefined },
    { type: "auth.password.change" },
    { outcome: "denied" },
    { tenant: "t_1" },
  ];
  expect(kinds.map((more) => take(failure(more)))).toEqual(kinds.map(() => 0));
  expect(kinds.map((more) => take(failure(more)))).toEqual(kinds.map(() => 1));
});

test.each([
  ["a success", { outcome: "success" }],
  ["a type outside of auth", { type: "access.read", targets: [{ type: "file", id: "f" }] }],
])("never counts %s", (_, more) => {
  const { take } = counter(1);
  expect([1, 2, 3].map(() => take(failure(more)))).toEqual([0, 0, 0]);
});

test("counts nothing where it is told to record all", () => {
  const { take } = counter(0);
  expect(Array.from({ length: 30 }, () => take(failure()))).toEqual(Array<number>(30).fill(0));
});

test("begins a window anew when the clock is set back, and at the end tells what is open", () => {
  const { counter: failures, take } = counter(1);
  take(failure());
  take(failure());
  expect(failures.over(START - 1)).toHaveLength(1);
  expect(take(failure())).toBe(0);
  expect(take(failure())).toBe(1);
  expect(failures.over(START, { all: true })).toHaveLength(1);
});

test("holds ten thousand windows at most, and records what has none", () => {
  const { take } = counter(1);
  for (let at = 0; at < 10_000; at += 1) take(failure({ actor: { type: "user", id: `u_${at}` } }));
  const late = { actor: { type: "user", id: "late" } };
  expect([1, 2, 3].map(() => take(failure(late)))).toEqual([0, 0, 0]);
  expect(take(failure({ actor: { type: "user", id: "u_5" } }))).toBe(1);
});
