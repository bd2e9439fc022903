/** Folders that are gone when the test is over. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** @param atEnd - Takes what is to be done at the end; that of the test by default. */
export function temporaryFolder(atEnd: (end: () => void) => void = onTestFinished): string {
  const path = mkdtempSync(join(tmpdir(), "tallystick-test-"));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
