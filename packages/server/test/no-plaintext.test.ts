/** There is no plaintext mode: no setting lets contents reach the disk unsealed. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod";
import { configSchema } from "../src/config.ts";
import { initServer, serveLogs } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { login } from "./test-server.ts";

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Every setting that is a choice: a flag, or one of some words. */
function choicesOf({ type, properties, items, ...schema }: Schema, path: string): string[] {
  const below = Object.entries(properties ?? {}).flatMap(([name, child]) => choicesOf(child, `${path}.${name}`));
  const isChoice = type === "boolean" || schema.enum !== undefined || schema.const !== undefined;
  return [
    ...(isChoice ? [path.slice(1)] : []),
    ...below,
    ...(items === undefined ? [] : choicesOf(items, `${path}[]`)),
  ];
}

test("the settings that are a choice are these, and none is about sealing", () => {
  const schema = z.toJSONSchema(configSchema, { io: "input" }) as Schema;
  // Whoever adds one shows below that contents stay sealed whatever it says.
  expect(choicesOf(schema, "")).toEqual(["tls.writers", "logs[].pinFirstSenderKey", "logs[].publicEntries"]);
});

test.each([
  { pinFirstSenderKey: false, publicEntries: false },
  { pinFirstSenderKey: true, publicEntries: true },
])("with %o, contents are in no file, nor are they public", async (choices) => {
  const dir = temporaryFolder();
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  const config = JSON.parse(readFileSync(made.configPath, "utf8")) as { logs: object[] };
  const logs = config.logs.map((log) => ({ ...log, ...choices }));
  writeFileSync(made.configPath, JSON.stringify({ ...config, logs }));
  const served = await serveLogs({ dir });
  onTestFinished(async () => served.close());
  await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  const canaries = ["canary-person", "canary-reason", "canary-tenant", "canary-target"];
  const [id, reason, tenant, target] = canaries;
  const event = {
    ...login(),
    actor: { type: "user", id },
    reason,
    tenant,
    targets: [{ type: "document", id: target }],
    // The class is in the leaf, in plain: with it the search is shown to find what is there.
    retention: "visible-class",
  };
  const answer = await fetch(`${served.url}/app/v1/events?wait=published`, {
    method: "POST",
    headers: { authorization: `Bearer ${made.tokens.writer}`, "content-type": "application/json" },
    body: JSON.stringify(event),
  });
  expect(answer.status).toBe(201);
  const bundle = await fetch(`${served.url}/app/tile/entries/000.p/1`);
  const shown = Buffer.from(await bundle.arrayBuffer()).toString("latin1");
  await served.close();
  const bytes = [shown, ...filesBelow(dir)].join("\n");
  expect(bytes).toContain("visible-class");
  for (const canary of canaries) expect([canary, bytes.includes(canary)]).toEqual([canary, false]);
});

function filesBelow(dir: string): string[] {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
}
