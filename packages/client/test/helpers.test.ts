import { expect, test } from "vitest";
import { CATALOGUE } from "@tallystick/events";
import { extendTallystick } from "../src/index.ts";
import { createHelpers } from "../src/helpers.ts";
import type { Report } from "../src/report.ts";
import { LogDouble } from "./support/log-double.ts";
import { startClient } from "./support/setup.ts";

test("there is one helper for each type that applications report, and no other", async () => {
  const seen: string[] = [];
  const helpers = createHelpers<undefined, string>(async ({ type }: Report) => {
    seen.push(type);
    return Promise.resolve(type);
  });
  const walk = async (branch: object): Promise<void> => {
    for (const below of Object.values(branch) as (object | (() => Promise<string>))[])
      await (typeof below === "function" ? below() : walk(below));
  };
  await walk(helpers);
  const types = CATALOGUE.filter(({ reporter }) => reporter === "application").map(({ type }) => type);
  expect(seen.toSorted()).toEqual(types.toSorted());
});

test("a helper records, and takes what record takes", async () => {
  const { client } = startClient(new LogDouble());
  const actor = { type: "user", id: "u_1" };
  expect((await client.auth.login({ outcome: "success", actor })).state).toBe("queued");
  const reset = await client.auth.password.reset.complete({ outcome: "success", actor }, { until: "witnessed" });
  expect(reset.state).toBe("witnessed");
  await client.session.use_after_expiry({ session: { id: "raw" } });
  await client.account.create({ outcome: "success", actor, subject: { id: "u_2" } });
});

test("another package adds to every client, those that are open too", () => {
  const { client } = startClient(new LogDouble());
  let made = 0;
  extendTallystick("counter" as never, (tally) => ({ of: tally, made: (made += 1) }) as never);
  const counter = (client as unknown as Record<string, { of: unknown; made: number }>)["counter"];
  expect(counter?.of).toBe(client);
  expect((client as unknown as Record<string, unknown>)["counter"]).toBe(counter);
  expect(made).toBe(1);
});

test("what a type needs is asked for by its helper's type, and by the helper", async () => {
  const { client } = startClient(new LogDouble());
  // @ts-expect-error -- access.read needs targets
  const untargeted = client.access.read({ outcome: "success", actor: { type: "user", id: "u_1" } });
  await expect(untargeted).rejects.toThrow("targets: is missing: access.read needs it");
  // @ts-expect-error -- auth.login needs an outcome
  await expect(client.auth.login({ actor: { type: "user", id: "u_1" } })).rejects.toThrow("outcome");
  // @ts-expect-error -- there is no such type
  expect(client.auth.logn).toBeUndefined();
});
