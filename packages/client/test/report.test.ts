import { expect, test } from "vitest";
import { type Report, prepareReport } from "../src/report.ts";

const OPTIONS = { keep: new Set([]), contextBytesMax: 256, hashLogin: (name: string): string => `hash of ${name}` };

test("leaves out persons first, and cuts what is still too long", () => {
  const context = { mail: "ann@example.org", text: "x".repeat(1000) };
  const { report, cut } = prepareReport({ type: "app.thing", context }, OPTIONS);
  expect(cut).toBe(true);
  expect(report.context).toMatchObject({ mail: "[e-mail]", _cut: { bytes: 1029 } });
});

test("gives the same report where there is nothing to do", () => {
  const report: Report = { type: "app.thing", context: { n: 1 } };
  expect(prepareReport(report, OPTIONS)).toEqual({ report, cut: false });
  expect(prepareReport(report, OPTIONS).report).toBe(report);
});

test("leaves a document of session limits to the letter: its hash stands beside it", () => {
  const report: Report = {
    type: "session.policy",
    context: { hash: "0".repeat(64), document: JSON.stringify({ tenants: { "a@b.example": "x".repeat(400) } }) },
  };
  expect(prepareReport(report, OPTIONS)).toEqual({ report, cut: false });
});
