/** The verifying half must run where there is no Node: in a browser, a worker, a bare realm. */
import { createContext, Script } from "node:vm";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { expect, test } from "vitest";
import { LogDouble } from "./support/log-double.ts";
import { login, startClient } from "./support/setup.ts";

async function bundle(): Promise<{ code: string; modules: readonly string[] }> {
  const output = await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["ws-source", "browser"] },
    build: {
      write: false,
      minify: true,
      lib: { entry: fileURLToPath(new URL("../src/verify.ts", import.meta.url)), formats: ["iife"], name: "verify" },
    },
  });
  const [first] = Array.isArray(output) ? output : [output];
  if (first === undefined || !("output" in first)) throw new Error("no bundle");
  const [chunk] = first.output;
  return { code: chunk.code, modules: chunk.moduleIds };
}

test("its bundle imports nothing of Node, and verifies a receipt in a bare realm", { timeout: 60_000 }, async () => {
  const { code, modules } = await bundle();
  expect(code).not.toMatch(/["'`]node:[a-z]|\brequire\(|\bprocess\.|\bBuffer\./);
  expect(modules.filter((id) => /crypto-node|outbox|journal|tallystick\.ts|__vite-browser-external/.test(id))).toEqual(
    [],
  );
  const log = new LogDouble();
  const { client } = startClient(log);
  const { receipt = "", opening } = await client.record(login(), { until: "witnessed" });
  const realm = createContext({ receipt, opening: [...opening], policy: log.policyText, TextEncoder, TextDecoder });
  const run = (expression: string): unknown => new Script(expression).runInContext(realm);
  run(`${code}\n;globalThis.verify = verify;`);
  expect(run("typeof verify.verifyReceipt")).toBe("function");
  expect(run("typeof process")).toBe("undefined");
  expect(
    run(
      `verify.verifyReceipt({ proof: receipt, opening: new Uint8Array(opening), policy: verify.parsePolicy(policy) }).event.type`,
    ),
  ).toBe("auth.login");
});
