/** docs/reference/storage-layout.md names every table of a log, and no other. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { TABLE } from "../../packages/log/src/rows.ts";

const PAGE = new URL("../../docs/reference/storage-layout.md", import.meta.url);

test("the page has a row for each table of a log, and for no other", async () => {
  const [, section = ""] = (await readFile(PAGE, "utf8")).split("## What a log keeps in it\n");
  const [table = ""] = section.split("\n*Sender* is");
  const named = [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
  expect(new Set(named)).toEqual(new Set(Object.values(TABLE)));
  expect(named).toHaveLength(Object.values(TABLE).length);
});
