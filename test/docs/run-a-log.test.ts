/** docs/guides/run-a-log.md names commands, options, metrics and codes that there are, and its proxy stores what it may. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { allCommands } from "@tallystick/cli";
import { tilePath, tilesForSize } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { ServerMetrics } from "../../packages/server/src/metrics.ts";
import { LOG_ROUTES } from "../../packages/server/src/routing.ts";

const COMMANDS = await allCommands();

const ROOT = resolve(import.meta.dirname, "../..");
const page = await readFile(join(ROOT, "docs/guides/run-a-log.md"), "utf8");
const errors = await readFile(join(ROOT, "docs/reference/errors.md"), "utf8");

test("every command of the page is one, and has the options that it is given", () => {
  const lines = page.replaceAll("\\\n", " ").match(/(?<=\$ |`|bin\/)tallystick [a-z][^`\n]*/g) ?? [];
  expect(lines.length).toBeGreaterThan(5);
  const wrong = lines.filter((line) => {
    const command = COMMANDS.find(({ name }) => name === line.split(" ")[1]);
    const options = [...line.matchAll(/--([a-z-]+)/g)].map(([, option = ""]) => option);
    return command === undefined || options.some((option) => !Object.hasOwn(command.options, option));
  });
  expect(wrong).toEqual([]);
});

test("every metric of the page is one", async () => {
  const text = await new ServerMetrics([], { expiresAt: 0 }).text();
  const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const named = [...page.matchAll(/tallystick_[a-z_]+/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test("every code of the page is on the page of errors", () => {
  const table = page.split("## When it stops")[1] ?? "";
  const codes = [...table.matchAll(/^\| ((?:`[a-z-]+` ?)+)\|/gm)].flatMap(
    ([, cell = ""]) => cell.match(/[a-z-]{2,}/g) ?? [],
  );
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.filter((code) => !errors.includes(`\n## ${code}\n`))).toEqual([]);
});

describe("the sample of a proxy", () => {
  const locations = [...page.matchAll(/location ~ "(.*?)" \{(.*?)\n {2}\}/gs)].map(([, pattern = "", body = ""]) => ({
    pattern: new RegExp(pattern),
    stores: /proxy_cache tallystick;/.test(body),
    body,
  }));

  /** What nginx does: the first pattern that matches. */
  function locationOf(path: string): { stores: boolean; body: string } | undefined {
    return locations.find(({ pattern }) => pattern.test(path));
  }

  test("C-87 stores hash tiles, whatever the query, and sends no token along", () => {
    for (const tile of tilesForSize(70_000)) {
      const location = locationOf(`/app/${tilePath(tile)}`);
      expect(location?.stores).toBe(true);
      expect(location?.body).toContain("proxy_cache_key $uri;");
      expect(location?.body).toContain('proxy_set_header Authorization "";');
    }
  });

  test("C-85 C-103 C-117 stores no head, no entries and nothing of the API, and sets no lifetimes of its own", () => {
    const others = LOG_ROUTES.filter(({ path }) => path !== "tile/{tile}").map(({ path }) =>
      path.replace("{bundle}", "x001/234.p/5").replace("{index}", "7"),
    );
    for (const path of others) expect([path, locationOf(`/app/${path}`)?.stores]).toEqual([path, false]);
    expect(page).not.toMatch(/proxy_cache_valid|proxy_ignore_headers|proxy_hide_header|expires /);
  });

  test("tells the server that a request comes from elsewhere, and lets the largest body through", () => {
    expect(page).toContain("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
    expect(page).toContain("client_max_body_size 4m;");
  });
});
