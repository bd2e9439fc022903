import { describe, expect, test } from "vitest";
import { LogClock } from "../src/clock.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;
const NOW = 1_760_000_000_000;

/** A clock with hands. */
function clockAt({ nowMs = NOW, lastLoggedAt = NOW, confirmed = false } = {}) {
  const hands = { now: nowMs, monotonic: 1000 };
  const clock = new LogClock({ now: () => hands.now, monotonic: () => hands.monotonic, lastLoggedAt, confirmed });
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
    const { clock, hands, seconds } = clockAt();
    clock.observe("w1", seconds());
    clock.observe("w2", seconds(1000));
    clock.observe("w3", seconds(-24 * HOUR));
    expect(clock.read().ok).toBe(true);
    clock.observe("w3", seconds(24 * HOUR));
    expect(clock.read().ok).toBe(true);
    hands.now += HOUR;
    expect(clock.read().ok).toBe(false);
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
