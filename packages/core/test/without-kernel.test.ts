/** The tests of all that the kernel speeds up, once more on a platform without WebAssembly. */
import { describe, expect, test, vi } from "vitest";

vi.stubGlobal("WebAssembly", undefined);

describe("without WebAssembly", async () => {
  const { sharedKernel } = await import("../src/kernel.ts");

  test("there is no kernel", () => {
    expect(sharedKernel()).toBeUndefined();
  });

  await import("./base64-reader.test.ts");
  await import("./compact-range.test.ts");
  await import("./entry-bundle.test.ts");
  await import("./hashes.test.ts");
  await import("./tlog-proof-verifier.test.ts");
  await import("./verified-tree.test.ts");
  await import("./aead.test.ts");
});
