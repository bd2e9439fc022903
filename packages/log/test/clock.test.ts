import { describe, expect, test } from "vitest";
import { LogClock } from "../src/clock.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;
const NOW = 1_760_000_000_000;

/** A clock with hands. */
function clockAt({ nowMs = NOW, lastLoggedAt = NOW, confirmed = false, witnesses = 1 } = {}) {
  const hands = { now: nowMs, monotonic: 1000 };
  const clock = new LogClock({
    now: () => hands.now,
    monotonic: () => hands.monotonic,
    lastLoggedAt,
    confirmed,
    witnesses,
  });
  const pass = (ms: number): void => {
    hands.now += ms;
    hands.monotonic += ms;
  };
  return { clock, hands, pass, seconds: (ms = 0) => BigInt(Math.floor((hands.now + ms) / 1000)) };
}

describe("LogClock", () => {
  test("believes a clock at the last entry, and in the hour after it", () => {
    expect(clockAt().clock.read()).toEqual({ ok: true, now: NOW });
    expect(clockAt({ nowMs: NOW + HOUR }).clock.read().ok).toBe(true);
  });

  test("C-262 does not believe a clock more than an hour past the last entry, until a witness says the same", () => {
    const { clock, seconds } = clockAt({ nowMs: NOW + HOUR + 1 });
    expect(clock.read()).toMatchObject({ ok: false, message: expect.stringContaining("--confirm-clock") });
    clock.observe("w1", seconds());
    expect(clock.read().ok).toBe(true);
  });

  test("C-262 after a long silence a witness that says another time does not confirm", () => {
    const { clock, seconds } = clockAt({ nowMs: NOW + 365 * 24 * HOUR });
    clock.observe("w1", seconds(-364 * 24 * HOUR));
    expect(clock.read().ok).toBe(false);
  });

  test("a new log needs no word", () => {
    expect(clockAt({ lastLoggedAt: 0 }).clock.read().ok).toBe(true);
  });

  test("somebody's word is enough, and counts more than the witnesses'", () => {
    const { clock, seconds } = clockAt({ nowMs: NOW + 5 * HOUR, confirmed: true });
    expect(clock.read().ok).toBe(true);
    clock.observe("w1", seconds(-5 * HOUR));
    expect(clock.read().ok).toBe(true);
  });

  test("C-262 a jump by a year stops it, and the way back starts it again", () => {
    const { clock, hands } = clockAt();
    hands.now += 365 * 24 * HOUR;
    expect(clock.read()).toMatchObject({ ok: false, message: expect.stringContaining("ahead") });
    hands.now -= 365 * 24 * HOUR;
    expect(clock.read().ok).toBe(true);
  });

  test("a clock that went back is believed: it does no harm", () => {
    const { clock, hands } = clockAt();
    hands.now -= 24 * HOUR;
    expect(clock.read()).toEqual({ ok: true, now: NOW - 24 * HOUR });
  });

  test("five minutes ahead of witness time are allowed, and no second more", () => {
    const { clock, hands, seconds } = clockAt();
    clock.observe("w1", seconds());
    hands.now += 5 * MINUTE;
    expect(clock.read().ok).toBe(true);
    hands.now += 2000;
    expect(clock.read().ok).toBe(false);
  });

  test("a clock that is ahead from the start is noticed by the first witness", () => {
    const { clock, seconds } = clockAt({ nowMs: NOW + HOUR / 2 });
    expect(clock.read().ok).toBe(true);
    clock.observe("w1", seconds(-HOUR / 2));
    expect(clock.read().ok).toBe(false);
  });

  test("of three witnesses one that lies moves nothing, either way", () => {
    const { clock, hands, seconds } = clockAt({ witnesses: 3 });
    clock.observe("w1", seconds());
    clock.observe("w2", seconds(1000));
    clock.observe("w3", seconds(-24 * HOUR));
    expect(clock.read().ok).toBe(true);
    clock.observe("w3", seconds(24 * HOUR));
    expect(clock.read().ok).toBe(true);
    hands.now += HOUR;
    expect(clock.read().ok).toBe(false);
  });

  test.each([-24 * HOUR, 24 * HOUR])("of two witnesses one that is %d ms off stops nothing, and is told", (off) => {
    for (const names of [
      ["w1", "w2"],
      ["w2", "w1"],
    ]) {
      const { clock, seconds } = clockAt({ witnesses: 2 });
      for (const name of names) {
        clock.observe(name, seconds(name === "w1" ? off : 0));
        expect(clock.read()).toEqual({ ok: true, now: NOW });
      }
      expect(clock.trouble()).toMatchObject({
        code: "clock-disputed",
        message: expect.stringMatching(/w1 is 86\d{3} s/),
      });
      expect(clock.refusalOf(seconds(off))).toContain(off < 0 ? "s behind" : "s ahead");
      expect(clock.refusalOf(seconds())).toBeUndefined();
    }
  });

  test("of two witnesses that agree, and differ from the log's clock, the word counts", () => {
    const { clock, seconds } = clockAt({ lastLoggedAt: NOW - HOUR, witnesses: 2 });
    clock.observe("w1", seconds(-HOUR));
    expect(clock.read().ok).toBe(true);
    clock.observe("w2", seconds(-HOUR - 1000));
    expect(clock.read().ok).toBe(false);
    expect(clock.refusalOf(seconds(-HOUR))).toBeUndefined();
    expect(clock.refusalOf(seconds())).toContain("s ahead");
  });

  test("one witness of three that answers alone moves nothing", () => {
    for (const off of [-HOUR, HOUR]) {
      const { clock, seconds } = clockAt({ witnesses: 3 });
      clock.observe("w1", seconds(off));
      expect(clock.read().ok).toBe(true);
      expect(clock.trouble()).toBeUndefined();
    }
  });

  test("after a long silence one witness that has the same time is enough, and one that has another is not", () => {
    const { clock, seconds } = clockAt({ nowMs: NOW + 2 * HOUR, witnesses: 3 });
    clock.observe("w1", seconds(HOUR));
    expect(clock.read().ok).toBe(false);
    clock.observe("w2", seconds());
    expect(clock.read().ok).toBe(true);
  });

  test("a clock more than five minutes behind witness time is told, and stops nothing", () => {
    const { clock, hands, seconds } = clockAt({ witnesses: 3 });
    clock.observe("w1", seconds());
    clock.observe("w2", seconds());
    hands.now -= 5 * MINUTE - 1000;
    expect(clock.trouble()).toBeUndefined();
    hands.now -= 2000;
    expect(clock.trouble()).toMatchObject({ code: "clock-behind", message: expect.stringContaining("30") });
    expect(clock.read().ok).toBe(true);
    // What the witnesses sign is on time: it is our clock that is not.
    expect(clock.refusalOf(BigInt(NOW / 1000))).toBeUndefined();
  });

  test("cosignatures up to five minutes off count, and further ones do not", () => {
    const { clock, seconds } = clockAt({ witnesses: 3 });
    for (const off of [-5 * MINUTE - 1000, 5 * MINUTE - 1000]) expect(clock.refusalOf(seconds(off))).toBeUndefined();
    expect(clock.refusalOf(seconds(-5 * MINUTE - 2000))).toContain("301 s behind");
    expect(clock.refusalOf(seconds(5 * MINUTE))).toContain("301 s ahead");
    for (const absurd of [0n, 2n ** 63n - 1n, 2n ** 64n - 1n]) expect(clock.refusalOf(absurd)).toContain("its clock");
  });

  test("a confirmed clock is what cosignatures are held against", () => {
    const { clock, hands, seconds } = clockAt({ confirmed: true });
    clock.observe("w1", seconds(-HOUR));
    expect(clock.trouble()).toBeUndefined();
    expect(clock.refusalOf(seconds(-HOUR))).toContain("s behind");
    hands.now -= HOUR;
    expect(clock.refusalOf(seconds())).toBeUndefined();
  });

  test("time that passes on both clocks is no jump", () => {
    const { clock, pass } = clockAt();
    pass(48 * HOUR);
    expect(clock.read().ok).toBe(true);
  });

  test("a machine that slept is believed once a witness has answered anew", () => {
    const { clock, hands, seconds } = clockAt();
    clock.observe("w1", seconds());
    hands.now += 8 * HOUR;
    expect(clock.read().ok).toBe(false);
    clock.observe("w1", seconds());
    expect(clock.read().ok).toBe(true);
  });
});
