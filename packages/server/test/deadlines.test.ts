import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Deadlines } from "../src/deadlines.ts";

function deadlines(timeoutMs: number): { readonly waiting: Deadlines<string>; readonly due: string[] } {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const due: string[] = [];
  return { waiting: new Deadlines<string>(timeoutMs, (name) => due.push(name)), due };
}

describe("Deadlines", () => {
  test("each is due after its own time, on one timer", () => {
    const { waiting, due } = deadlines(1000);
    waiting.add("a");
    vi.advanceTimersByTime(300);
    waiting.add("b");
    waiting.add("c");
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(699);
    expect(due).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(due).toEqual(["a"]);
    vi.advanceTimersByTime(299);
    expect(due).toEqual(["a"]);
    vi.advanceTimersByTime(1);
    expect(due).toEqual(["a", "b", "c"]);
  });

  test("what was taken away is never due, and where nothing waits there is no timer", () => {
    const { waiting, due } = deadlines(1000);
    const [a, b] = [waiting.add("a"), waiting.add("b")];
    waiting.delete(a);
    expect(waiting.all()).toEqual(["b"]);
    waiting.delete(b);
    vi.advanceTimersByTime(1000);
    expect([due, vi.getTimerCount()]).toEqual([[], 0]);
    waiting.add("c");
    vi.advanceTimersByTime(1000);
    expect([due, vi.getTimerCount()]).toEqual([["c"], 0]);
  });

  test("what is over is deleted without touching what took its place", () => {
    const { waiting, due } = deadlines(1000);
    const a = waiting.add("a");
    waiting.delete(a);
    waiting.add("b");
    waiting.delete(a);
    expect(waiting.all()).toEqual(["b"]);
    vi.advanceTimersByTime(1000);
    expect(due).toEqual(["b"]);
  });

  test("what is added while others are due waits its own time", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const due: string[] = [];
    const waiting = new Deadlines<string>(100, (name) => {
      due.push(name);
      if (due.length < 3) waiting.add(`${name}+`);
    });
    waiting.add("a");
    vi.advanceTimersByTime(100);
    expect(due).toEqual(["a"]);
    vi.advanceTimersByTime(100);
    expect(due).toEqual(["a", "a+"]);
    vi.advanceTimersByTime(1000);
    expect([due, vi.getTimerCount()]).toEqual([["a", "a+", "a++"], 0]);
  });
});
