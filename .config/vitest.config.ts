/** One vitest run over the tests of all packages and those that cross them; `--mode slow` takes the slow ones instead. */
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig, type ViteUserConfigFnObject } from "vitest/config";
import { ClosingLine } from "./closing-line.ts";
import { ConformanceCount } from "./conformance-line.ts";

const MINUTE_MS = 60_000;
/** Changes what the platform has. */
const APART = "packages/core/test/without-kernel.test.ts";

const config: ViteUserConfigFnObject = defineConfig(({ mode }) => {
  const slow = mode === "slow";
  const suffix = `*${slow ? ".slow" : ""}.test.ts`;
  // Of the packages many files share a worker, which saves starting one for each, a quarter of their time. So a test puts back
  // what it changes of its process.
  const ofPackages = { name: "packages", include: [`packages/*/test/**/${suffix}`], isolate: slow, unstubEnvs: true };
  const exclude = ["**/node_modules/**", "**/dist/**", "**/fixtures/**", ...(slow ? [] : ["**/*.slow.test.ts"])];
  return {
    root: fileURLToPath(new URL("../", import.meta.url)),
    resolve: { conditions: ["ws-source", ...defaultClientConditions] },
    ssr: { resolve: { conditions: ["ws-source", ...defaultServerConditions] } },
    test: {
      projects: [
        { extends: true, test: { ...ofPackages, exclude: [...exclude, APART] } },
        ...(slow ? [] : [{ extends: true as const, test: { name: "apart", include: [APART], exclude } }]),
        { extends: true, test: { name: "across", include: [`test/**/${suffix}`], exclude } },
      ],
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
