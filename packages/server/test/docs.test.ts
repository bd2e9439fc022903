import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { configSchema } from "../src/config.ts";
import { initServer, openApiDocument, parseConfig } from "../src/index.ts";
import { PROBLEMS, type ProblemCode } from "../src/problem.ts";
import { LOG_ROUTES } from "../src/routing.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestServer, login } from "./test-server.ts";

function docOf(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../../docs/${path}`, import.meta.url)), "utf8");
}

/** The words in code of a text. */
function codesOf(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}

describe("docs/reference/http-api.md", () => {
  const page = docOf("reference/http-api.md");
  const sections = new Map(
    page
      .split(/^### /m)
      .slice(1)
      .map((text) => [text.slice(0, text.indexOf("\n")), text.split(/^## /m)[0] ?? ""]),
  );
  const [commonToAll = ""] = /^All routes of a log: .*?(?=^## )/ms.exec(page) ?? [];

  test("has a section for every path of the OpenAPI document, and for no other", () => {
    const { paths } = openApiDocument() as { paths: Record<string, Record<string, unknown>> };
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("/{log}/", "")}`),
    );
    expect([...sections.keys()].toSorted()).toEqual(documented.toSorted());
  });

  test.each(LOG_ROUTES.map((route) => ({ name: `${route.method} ${route.path}`, route })))(
    "$name: who may, what can be asked, and every problem of its own",
    ({ name, route }) => {
      const section = sections.get(name) ?? "";
      const [, access = ""] = /^Access: ([^.;]*)/m.exec(section) ?? [];
      expect(codesOf(access)).toEqual(route.access === "public" ? [] : route.access);
      const { properties = {} } = z.toJSONSchema(route.query, { io: "input" }) as { properties?: object };
      expect(codesOf(section)).toEqual(expect.arrayContaining(Object.keys(properties)));
      expect(codesOf(commonToAll + section)).toEqual(expect.arrayContaining([...route.problems]));
    },
  );

  test.each([...sections])("%s: each code stands beside its status, and is one that the route has", (name, section) => {
    const route = LOG_ROUTES.find(({ method, path }) => `${method} ${path}` === name);
    const statuses = /(\d{3})(?: \| |(?:, )| )((?:`[a-z-]+`(?:, | )?)+)/g;
    const claims = [...section.matchAll(statuses)].flatMap(([, status, codes = ""]) =>
      codesOf(codes).map((code) => ({ status: Number(status), code })),
    );
    for (const { status, code } of claims.filter((claim) => Object.hasOwn(PROBLEMS, claim.code))) {
      expect({ code, status }).toEqual({ code, status: PROBLEMS[code as ProblemCode].status });
      expect(route?.problems).toContain(code);
    }
  });

  test("its problem is the one that is given", async () => {
    const [, text = ""] = /```json\n([^`]*)```/.exec(page) ?? [];
    const documented = JSON.parse(text) as Record<string, unknown>;
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post([login(), { ...login(), type: "auth.logn" }]);
    const given = reply.json();
    expect({ ...given, instance: documented["instance"] }).toEqual(documented);
  });
});

describe("docs/reference/config.md", () => {
  const page = docOf("reference/config.md");
  const rows = page
    .split("\n")
    .map((line) => /^\| `([^`]+)` \|([^|]*)\|/.exec(line))
    .flatMap((match) => (match === null ? [] : [{ name: match[1] ?? "", value: (match[2] ?? "").trim() }]));

  test("has every field, and no other, with its default", () => {
    const fields = fieldsOf(z.toJSONSchema(configSchema, { io: "input" }) as Schema, "");
    const documented = rows.filter(
      ({ name }) => !name.includes("/") && !/\.json$|^(?:master|approval|identity)\.key$/.test(name),
    );
    expect(documented.map(({ name }) => name)).toEqual(fields.map(({ name }) => name));
    // These two are said in words: their defaults are no constants of the schema.
    const inWords = ["logs[].senderKeys[].from", "logs[].witnesses[].monitoringUrl"];
    const constant = documented.filter(({ name }) => !inWords.includes(name));
    expect(constant).toEqual(
      constant.map(({ name }) => {
        const standard = fields.find((field) => field.name === name)?.standard;
        return { name, value: standard === undefined ? "" : `\`${JSON.stringify(standard)}\`` };
      }),
    );
  });

  test("its example is a configuration", () => {
    const [, text = ""] = /```json\n([^`]*)```/.exec(page) ?? [];
    expect(parseConfig(text, "config.md").logs[0]?.name).toBe("app");
  });

  test("names everything that init makes, with its mode", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, name: "app", origin: "log.example/app" });
    // What LevelDB keeps in a lock's folder is its own matter.
    const names = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) => !name.startsWith("lock/"));
    const holdingNothing = names.filter((name) => !names.some((other) => other.startsWith(`${name}/`)));
    expect(holdingNothing.length).toBeGreaterThan(5);
    for (const name of holdingNothing) {
      const stats = statSync(join(dir, name));
      const pattern = `| \`${name.replace(/\bapp\b/, "<log>")}${stats.isDirectory() ? "/" : ""}\` |`;
      const row = page.split("\n").find((line) => line.startsWith(pattern));
      expect([name, row?.includes(` 0${(stats.mode & 0o777).toString(8)} |`)]).toEqual([name, true]);
    }
  });
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly default?: unknown;
}

/** The fields below a schema, in order, named as the page names them. */
function fieldsOf(schema: Schema, prefix: string): { name: string; standard: unknown }[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]) => {
    const name = `${prefix}${key}`;
    const below = field.items === undefined ? fieldsOf(field, `${name}.`) : fieldsOf(field.items, `${name}[].`);
    // What only holds others has no row of its own.
    return field.properties === undefined ? [{ name, standard: field.default }, ...below] : below;
  });
}
