import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  CATALOGUE,
  type CatalogueEntry,
  type RequirableField,
  catalogueEntry,
  eventJsonSchema,
  parseEvent,
  parseJson,
} from "../src/index.ts";
import { defectsOf, login } from "./sample-event.ts";

/** The core types as DESIGN lists them. */
const CORE = `
  auth.login auth.logout auth.lockout auth.unlock auth.password.change auth.password.reset.request
  auth.password.reset.complete auth.mfa.challenge auth.mfa.enroll auth.mfa.remove auth.token.issue auth.token.refresh
  auth.token.revoke auth.token.reuse auth.key.create auth.key.revoke auth.link auth.unlink auth.impersonate.start
  auth.impersonate.stop account.create account.enable account.disable account.delete session.start session.activity
  session.class session.warning session.extend session.rotate session.reauth session.timeout session.end
  session.use_after_expiry session.policy access.read access.write access.export access.denied access.grant
  access.revoke stream.start stream.end stream.beat stream.refused log.head log.read log.export log.key log.rules
  log.retention log.erasure log.hold log.check log.alert log.silence
`;

const SAMPLE: Readonly<Record<RequirableField, unknown>> = {
  outcome: "success",
  actor: login.actor,
  subject: login.subject,
  session: login.session,
  targets: login.targets,
  reason: login.reason,
  context: {},
};

function minimal({ type, required }: CatalogueEntry): Record<string, unknown> {
  const needed = required.map((field) => [field, SAMPLE[field]]);
  return { id: login.id, time: login.time, type, ...Object.fromEntries(needed) };
}

const byType: readonly (readonly [string, CatalogueEntry])[] = CATALOGUE.map((entry) => [entry.type, entry]);

describe("CATALOGUE", () => {
  test("holds the core types in their order, each once", () => {
    expect(CATALOGUE.map(({ type }) => type)).toEqual(CORE.trim().split(/\s+/));
  });

  test.each(byType)("%s is valid with what it needs and nothing else", (type, entry) => {
    expect(parseEvent(minimal(entry)).type).toBe(type);
  });

  test.each(byType)("%s is refused without any one field that it needs", (type, entry) => {
    for (const field of [...entry.required, "id", "time"]) {
      const { [field]: _, ...json } = minimal(entry);
      const defects = defectsOf(() => parseEvent(json));
      expect(Object.keys(defects)).toEqual([field]);
      expect(defects[field]?.message).toContain("is missing");
      expect(defects[field]?.message).toContain(entry.required.includes(field as RequirableField) ? type : "expected");
    }
  });

  test("tells who reports a type", () => {
    expect(catalogueEntry("auth.login")?.reporter).toBe("application");
    expect(catalogueEntry("stream.start")?.reporter).toBe("sender");
    expect(catalogueEntry("log.head")?.reporter).toBe("log");
    expect(catalogueEntry("app.thing")).toBeUndefined();
  });
});

describe("types outside of the core", () => {
  test.each([
    ["auth.logn", "auth.login"],
    ["auth.loign", "auth.login"],
    ["auth.log_in", "auth.login"],
    ["auth.password.rest.request", "auth.password.reset.request"],
    ["auth.impersonate.strat", "auth.impersonate.start"],
    ["session.timout", "session.timeout"],
    ["session.expired_use", undefined],
    ["sesion.start", "session.start"],
    ["sessions.timout", "session.timeout"],
    ["acount.create", "account.create"],
    ["acess.read", "access.read"],
    ["atuh.login", "auth.login"],
    ["access.reed", "access.read"],
    ["steram.start", "stream.start"],
    ["log.haed", "log.head"],
    ["log.anything", undefined],
    ["auth.totally.different", undefined],
  ])("%s is refused for %s", (type, suggestion) => {
    const defect = defectsOf(() => parseEvent({ ...login, type }))["type"];
    expect(defect?.suggestion).toBe(suggestion);
    expect(defect?.message).toContain(
      suggestion === undefined ? "a type of the catalogue" : `did you mean ${suggestion}?`,
    );
  });

  test.each([
    ["Auth.Login", "auth.login"],
    ["auth_login", "auth.login"],
    ["AUTH:LOGIN", "auth.login"],
    ["login", "auth.login"],
    ["timeout", "session.timeout"],
  ])("%s, not dotted in lower case, is refused for %s", (type, suggestion) => {
    expect(defectsOf(() => parseEvent({ ...login, type }))["type"]?.suggestion).toBe(suggestion);
  });

  test.each([
    "app.thing",
    "invoice.line-item.add",
    "blog.read",
    "doc.read",
    "logs.export",
    "season.start",
    "auto.stop",
    "import.unreadable",
    "ssh.disconnect",
    "k8s.pod.exec",
    "a.b",
    "a.b.c.d.e.f.g.h",
  ])("%s is the application's own", (type) => {
    expect(parseEvent({ ...login, type }).type).toBe(type);
  });

  test.each([
    "",
    "app",
    "app.",
    ".app",
    "app..thing",
    "App.thing",
    "app.thing.",
    "app.th ing",
    "1app.thing",
    "app.-x",
    `app.${"x".repeat(97)}`,
    `${"a".repeat(33)}.b`,
    "a.b.c.d.e.f.g.h.i",
  ])("%j is no type", (type) => {
    expect(Object.keys(defectsOf(() => parseEvent({ ...login, type })))).toEqual(["type"]);
  });
});

describe("docs/reference/events.md", () => {
  const page = readFileSync(fileURLToPath(new URL("../../../docs/reference/events.md", import.meta.url)), "utf8");

  test("has every core type with what it needs and means, in the catalogue's order", () => {
    const printed = [...page.matchAll(/^\| `([a-z]+\.[a-z._]+)` \| (.*) \| (.*) \| (.*) \|$/gm)].map((match) =>
      match.slice(1),
    );
    const expected = CATALOGUE.map(({ type, required, ocsf, description }) => [
      type,
      required.length === 0 ? "-" : required.map((field) => `\`${field}\``).join(", "),
      `${ocsf.classUid}.${ocsf.activityId}`,
      description,
    ]);
    expect(printed).toEqual(expected);
  });

  test("names every OCSF class that a type has", () => {
    const named = [...page.matchAll(/^\| (\d{4}) \| ([A-Z][A-Za-z ]+) \|$/gm)].map(([, uid]) => Number(uid));
    expect(named).toEqual([...new Set(CATALOGUE.map(({ ocsf }) => ocsf.classUid))].toSorted((a, b) => a - b));
  });

  test("has every field, and an example that is valid", () => {
    const fields = [...page.matchAll(/^\| `(\w+)` \| .* \| .* \|$/gm)].map(([, field]) => field);
    expect(fields).toEqual(Object.keys(eventJsonSchema()["properties"] as object));
    const [, example = ""] = /```json\n(.*?)```/s.exec(page) ?? [];
    expect(parseEvent(parseJson(example)).type).toBe("auth.login");
  });
});
