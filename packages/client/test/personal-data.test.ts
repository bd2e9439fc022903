import { expect, test } from "vitest";
import { type KeptData, leaveOutPersons } from "../src/personal-data.ts";
import type { Report } from "../src/report.ts";
import { hashLogin, hashPerson } from "../src/persons.ts";

const SECRET = new Uint8Array(32).fill(7);

function leaveOut(report: Report, keep: readonly KeptData[] = []): Report {
  return leaveOutPersons(report, { keep: new Set(keep), hashLogin: (name) => hashLogin(SECRET, name) });
}

const REPORT: Report = {
  type: "access.grant",
  outcome: "success",
  actor: { type: "user", id: "u_1", name: "Ann Example" },
  subject: { id: "u_2", name: "Bob" },
  targets: [
    { type: "role", id: "admin", name: "Administrators" },
    { type: "role", id: "auditor" },
  ],
  reason: "asked for by ann@example.org, twice (<bob@example.org>)",
  context: { to: "bob@example.org", nested: { list: ["x", "carl.d+y@sub.example.org!"] }, untouched: { n: 1 } },
};

test("leaves out names and e-mail addresses, and nothing else", () => {
  const left = leaveOut(REPORT);
  expect(JSON.parse(JSON.stringify(left))).toEqual({
    type: "access.grant",
    outcome: "success",
    actor: { type: "user", id: "u_1" },
    subject: { id: "u_2" },
    targets: [
      { type: "role", id: "admin" },
      { type: "role", id: "auditor" },
    ],
    reason: "asked for by [e-mail], twice (<[e-mail]>)",
    context: { to: "[e-mail]", nested: { list: ["x", "[e-mail]"] }, untouched: { n: 1 } },
  });
  expect(left.context?.["untouched"]).toBe(REPORT.context?.["untouched"]);
});

test("keeps what was asked for", () => {
  expect(leaveOut(REPORT, ["names", "emails"])).toBe(REPORT);
  expect(leaveOut(REPORT, ["names"]).actor?.name).toBe("Ann Example");
  expect(leaveOut(REPORT, ["emails"]).reason).toContain("ann@example.org");
});

test("makes an unproved login name a keyed hash, the same for the spellings of one account", () => {
  const of = (id: string, type: string = "unverified"): string | undefined =>
    leaveOut({ type: "auth.login", outcome: "failure", actor: { type, id } }).actor?.id;
  expect(of("ann@example.org")).toMatch(/^[0-9a-f]{64}$/);
  expect(of(" Ann@Example.org ")).toBe(of("ann@example.org"));
  expect(of("bob")).not.toBe(of("ann@example.org"));
  expect(of(of("bob") ?? "")).toBe(of("bob"));
  expect(of("ann@example.org", "user")).toBe("ann@example.org");
  expect(hashLogin(SECRET, "bob")).not.toBe(hashLogin(new Uint8Array(32), "bob"));
  expect(hashLogin(SECRET, "bob").slice(0, 32)).not.toBe(hashPerson(SECRET, "bob"));
  const typed = { type: "auth.login", outcome: "failure", actor: { type: "unverified", id: "ann" } } as const;
  expect(leaveOut(typed, ["logins"])).toBe(typed);
});

test.each([
  ["no object", null],
  ["a party that is none", { type: "auth.login", actor: "ann", subject: 7, targets: "x", reason: 5, context: [] }],
  ["context of a class", { type: "auth.login", context: new Map([["a", "b@c.de"]]) }],
])("leaves %s to the strict reading", (_, report) => {
  expect(leaveOut((report ?? {}) as Report)).toEqual(report ?? {});
});

test("takes linear time over text full of signs", () => {
  const reason = "@".repeat(16_000);
  const before = process.cpuUsage().user;
  leaveOut({ type: "a.b", context: { reason, more: `${"a".repeat(16_000)} ${"a@".repeat(8000)}` } });
  expect(process.cpuUsage().user - before).toBeLessThan(500_000);
});
