/**
 * The shared test vectors: known answers of other implementations, too many to lie in the repository.
 *
 * They are found by TALLYSTICK_VECTORS, or in a folder `shared` beside the checkout. Tests that need them are skipped
 * where they are not, and say so.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test } from "vitest";

const beside = fileURLToPath(new URL("../../../shared", import.meta.url));

/** The folder of the vectors, or undefined where there is none. */
export function vectorsDir(): string | undefined {
  const folder = process.env["TALLYSTICK_VECTORS"] ?? beside;
  return existsSync(join(folder, "MANIFEST.md")) ? folder : undefined;
}

/** The full path of a file of the vectors: `vectorPath("merkle/subtree-shapes.json")`. */
export function vectorPath(path: string): string {
  const folder = vectorsDir();
  if (folder === undefined) throw new Error(`no vectors: ${path} is not there`);
  return join(folder, path);
}

/** Reads a file of the vectors. */
export function readVectorBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(vectorPath(path)));
}

/** Reads a text file of the vectors. */
export function readVectorText(path: string): string {
  return readFileSync(vectorPath(path), "utf8");
}

/** Reads a JSON file of the vectors, whose shape the caller knows. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- shorter to call than a cast
export function readVectorJson<T>(path: string): T {
  return JSON.parse(readVectorText(path)) as T;
}

/** A `describe` whose tests may read vectors. Without vectors `define` is not run. */
export function describeWithVectors(name: string, define: () => void): void {
  const found = vectorsDir() !== undefined;
  describe(name, () => {
    test.runIf(found)("finds the vectors (or set TALLYSTICK_VECTORS, or put them into ../shared)", () => {});
    if (found) define();
  });
}
