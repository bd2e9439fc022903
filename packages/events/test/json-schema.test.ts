import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { eventJsonSchema } from "../src/index.ts";

const published: string = readFileSync(
  fileURLToPath(new URL("../../../docs/reference/event.schema.json", import.meta.url)),
  "utf8",
);

/** From the workspace's folder. Formatting it afterwards is the formatter's. */
const WRITE_ANEW = `node --conditions=ws-source -e 'import("@tallystick/events").then(({ eventJsonSchema }) =>
  fs.writeFileSync("docs/reference/event.schema.json", JSON.stringify(eventJsonSchema())))'`;

describe("eventJsonSchema", () => {
  test("is what is published", () => {
    expect(JSON.parse(published), `to write it anew: ${WRITE_ANEW}`).toEqual(eventJsonSchema());
  });

  test("refers only to definitions that it has", () => {
    const schema = eventJsonSchema();
    const names = [...published.matchAll(/"#\/\$defs\/(\w+)"/g)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(schema["$defs"]).toHaveProperty(name ?? "");
  });

  test("says of every object which fields it has and allows no other", () => {
    const open: unknown[] = [];
    const walk = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      const { type, properties, additionalProperties } = value as Record<string, unknown>;
      if (type === "object" && properties !== undefined && additionalProperties !== false) open.push(value);
      Object.values(value).forEach(walk);
    };
    walk(eventJsonSchema());
    expect(open).toEqual([]);
  });
});
