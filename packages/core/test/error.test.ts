import { describe, expect, test } from "vitest";
import { TallystickError, TlogError, invariant, quote } from "../src/index.ts";

describe("TallystickError", () => {
  test("carries code, details and cause", () => {
    const cause = new Error("below");
    const error = new TlogError("proof-invalid", "no", { details: { got: 1 }, cause });
    expect(error).toBeInstanceOf(TallystickError);
    expect(error).toMatchObject({
      name: "TlogError",
      code: "proof-invalid",
      message: "no",
      details: { got: 1 },
      cause,
    });
  });

  test("has empty details and no cause unless told", () => {
    const error = new TallystickError("some-code", "no");
    expect(error).toMatchObject({ name: "TallystickError", details: {} });
    expect("cause" in error).toBe(false);
  });
});

test("invariant throws a plain error that says whose fault it is", () => {
  invariant(true, "fine");
  expect(() => invariant(undefined, "no root")).toThrow(new Error("internal error: no root"));
});

test("quote keeps a hostile value on one short line", () => {
  expect(quote('a"\n')).toBe('"a\\"\\n"');
  expect(quote("x".repeat(81))).toBe(`"${"x".repeat(80)}"… (81 characters)`);
});
