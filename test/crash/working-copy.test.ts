import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { WorkingCopy, filesIn } from "./working-copy.ts";

test("a working copy is what it was, whatever was done to it", () => {
  const folder = temporaryFolder();
  const from = join(folder, "from");
  mkdirSync(join(from, "a/b"), { recursive: true });
  const files = ["one", "a/two", "a/b/three"];
  for (const path of files) writeFileSync(join(from, path), `contents of ${path}`);
  const copy = new WorkingCopy(from, join(folder, "copy"));
  const file = (path: string): string => join(copy.dir, path);
  const changes: readonly (() => void)[] = [
    () => undefined,
    () => writeFileSync(file("one"), "contents of two"),
    () => truncateSync(file("a/two"), 3),
    () => appendFileSync(file("a/two"), "!"),
    () => rmSync(file("a"), { recursive: true }),
    () => renameSync(file("a/b/three"), file("one")),
    () => cpSync(file("a"), file("c"), { recursive: true }),
  ];
  for (const change of changes) {
    copy.restore();
    change();
    copy.restore();
    expect(filesIn(copy.dir)).toEqual(files.toSorted());
    for (const path of files) expect(readFileSync(file(path), "utf8")).toBe(`contents of ${path}`);
  }
});
