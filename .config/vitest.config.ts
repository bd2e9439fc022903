/** One vitest run over the tests of all packages and those that cross them; `--mode slow` takes the slow ones instead. */
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig, type ViteUserConfigFnObject } from "vitest/config";
import { ClosingLine } from "./closing-line.ts";
import { ConformanceCount } from "./conformance-line.ts";

const MINUTE_MS = 60_000;
/** Packages without any state of their own: their test files share a worker, which saves starting one for each. */
const PURE = ["packages/core/test", "packages/events/test"];
/** Changes what the platform has. */
const APART = "packages/core/test/without-kernel.test.ts";

const config: ViteUserConfigFnObject = defineConfig(({ mode }) => {
  const slow = mode === "slow";
  const suffix = `*${slow ? ".slow" : ""}.test.ts`;
  const pure = PURE.map((place) => `${place}/**/${suffix}`);
  const all = ["packages/*/test/**", "test/**"].map((place) => `${place}/${suffix}`);
  const exclude = ["**/node_modules/**", "**/dist/**", "**/fixtures/**", ...(slow ? [] : ["**/*.slow.test.ts"])];
  return {
    root: fileURLToPath(new URL("../", import.meta.url)),
    resolve: { conditions: ["ws-source", ...defaultClientConditions] },
    ssr: { resolve: { conditions: ["ws-source", ...defaultServerConditions] } },
    test: {
      projects: [
        { extends: true, test: { name: "pure", include: pure, exclude: [...exclude, APART], isolate: false } },
        ...(slow ? [] : [{ extends: true as const, test: { name: "apart", include: [APART], exclude } }]),
        { extends: true, test: { name: "whole", include: all, exclude: [...exclude, ...pure] } },
      ],
      environment: "node",
      // Worker threads that a test starts inherit it.
      execArgv: ["--conditions=ws-source"],
      // One more than the cores of the smallest machine: many tests wait, for a disk, a timer or a process.
      maxWorkers: 3,
      testTimeout: slow ? 30 * MINUTE_MS : MINUTE_MS / 2,
      hookTimeout: slow ? 30 * MINUTE_MS : MINUTE_MS,
      reporters: ["default", new ConformanceCount(), new ClosingLine()],
      coverage: { reportsDirectory: "node_modules/.coverage", include: ["packages/*/src/**"] },
    },
  };
});

export default config;
