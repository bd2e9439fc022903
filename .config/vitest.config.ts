/** One vitest run over the tests of all packages and those that cross them; `--mode slow` takes the slow ones instead. */
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig, type ViteUserConfigFnObject } from "vitest/config";
import { ClosingLine } from "./closing-line.ts";
import { ConformanceCount } from "./conformance-line.ts";

const MINUTE_MS = 60_000;

const config: ViteUserConfigFnObject = defineConfig(({ mode }) => {
  const slow = mode === "slow";
  const places = ["packages/*/test/**", "test/**"];
  return {
    root: fileURLToPath(new URL("../", import.meta.url)),
    resolve: { conditions: ["ws-source", ...defaultClientConditions] },
    ssr: { resolve: { conditions: ["ws-source", ...defaultServerConditions] } },
    test: {
      include: places.map((place) => `${place}/*${slow ? ".slow" : ""}.test.ts`),
      exclude: ["**/node_modules/**", "**/dist/**", "**/fixtures/**", ...(slow ? [] : ["**/*.slow.test.ts"])],
      environment: "node",
      // Worker threads that a test starts inherit it.
      execArgv: ["--conditions=ws-source"],
      maxWorkers: 2,
      testTimeout: slow ? 30 * MINUTE_MS : MINUTE_MS / 2,
      hookTimeout: slow ? 30 * MINUTE_MS : MINUTE_MS,
      reporters: ["default", new ConformanceCount(), new ClosingLine()],
      coverage: { reportsDirectory: "node_modules/.coverage", include: ["packages/*/src/**"] },
    },
  };
});

export default config;
