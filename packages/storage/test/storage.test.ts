/** The storage contract over every driver. */
import { join } from "node:path";
import { describe, test } from "vitest";
import { storageContract } from "../src/contract.ts";
import { createMemoryStorage, openLevelStorage } from "../src/index.ts";
import type { LogStorage } from "../src/storage.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const drivers: Readonly<Record<string, () => Promise<LogStorage>>> = {
  memory: async () => createMemoryStorage(),
  level: () => openLevelStorage({ path: join(temporaryFolder(), "log") }),
  "level, with reads by other threads,": () =>
    openLevelStorage({ path: join(temporaryFolder(), "log"), quickReadMs: 0 }),
};

describe.each(Object.entries(drivers))("%s storage", (_, openEmpty) => {
  test.each(storageContract.map(({ statement, check }) => [statement, check] as const))("%s", (_statement, check) =>
    check(openEmpty),
  );
});
