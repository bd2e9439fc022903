/** All vectors are used: every file by a test that names it, with as many rows as the manifest counts. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import {
  decodeEntryBundle,
  decodeTile,
  entriesPath,
  equalBytes,
  hashLeaf,
  openNote,
  parseCheckpoint,
  parseTilePath,
  parseVkey,
  tilePath,
  treeHash,
} from "@tallystick/core";
import { expect, test } from "vitest";
import {
  describeWithVectors,
  readVectorBytes,
  readVectorJson,
  readVectorText,
  vectorPath,
} from "../support/vectors.ts";
import { vectorFiles } from "./vectors.ts";

const root = new URL("../../", import.meta.url);

describeWithVectors("the manifest", () => {
  const manifest = [...readVectorText("MANIFEST.md").matchAll(/^### `([^`]+)`\n[^#]*?^- Records: (\d+);/gm)].map(
    ([, path = "", records]) => ({ path, records: Number(records) }),
  );

  test("has every file that is listed here, and every row is counted", () => {
    expect(vectorFiles.map(({ path, rows }) => ({ path, records: rows() }))).toEqual(manifest);
  });

  test("has every file that is there, each as it was listed", () => {
    const sums = readVectorText("SHA256SUMS")
      .trimEnd()
      .split("\n")
      .map((line) => line.split("  "));
    const data = sums.filter(([, path = ""]) => !/^(hooks|licences)\/|^[^/]+$/.test(path));
    const unlisted = data.filter(
      ([, path = ""]) =>
        !vectorFiles.some((each) => (each.path.endsWith("/") ? path.startsWith(each.path) : path === each.path)),
    );
    expect(unlisted).toEqual([]);
    for (const [sum, path = ""] of data) {
      const digest = createHash("sha256").update(readVectorBytes(path)).digest("hex");
      expect([path, digest]).toEqual([path, sum]);
    }
    expect(data.length).toBeGreaterThan(vectorFiles.length);
  });

  test.each(vectorFiles)("$path is read by the tests named for it", ({ path, tests, named }) => {
    expect(tests.length).toBeGreaterThan(0);
    for (const each of tests) {
      const url = new URL(each, root);
      expect([each, existsSync(url)]).toEqual([each, true]);
      expect([each, readFileSync(url, "utf8").includes(named ?? path.replace(/\/$/, ""))]).toEqual([each, true]);
    }
  });
});

describeWithVectors("a log of 15 entries by another implementation", () => {
  const folder = "tiles/tessera-log";
  const verifier = parseVkey(readVectorText(`${folder}/vkey.txt`).trim());

  test("signs its checkpoints of all sizes from 0 to 15, each of which its tiles and bundles make true", () => {
    for (let size = 0; size <= 15; size += 1) {
      const { rootHash, size: signed } = parseCheckpoint(
        openNote(readVectorBytes(`${folder}/checkpoint.${size}`), [verifier]).text,
      );
      const tile =
        size === 0 ? new Uint8Array() : readVectorBytes(`${folder}/${tilePath({ level: 0, index: 0, width: size })}`);
      const bundle =
        size === 0 ? new Uint8Array() : readVectorBytes(`${folder}/${entriesPath({ index: 0, width: size })}`);
      const entries = size === 0 ? [] : decodeEntryBundle(bundle, size);
      expect([signed, rootHash]).toEqual([BigInt(size), treeHash(entries.map(hashLeaf))]);
      expect(size === 0 ? [] : decodeTile(tile, size)).toEqual(entries.map(hashLeaf));
    }
  });
});

describeWithVectors("the Go checksum database at size 51319770", () => {
  const folder = "tiles/sumdb-51319770";
  const verifier = parseVkey(readVectorText(`${folder}/vkey.txt`).trim());

  test("signs its tree, and the 41 before it", () => {
    const older = readVectorJson<readonly { readonly old_note: string; readonly old_size: string }[]>(
      `${folder}/consistency.json`,
    );
    expect(parseCheckpoint(openNote(readVectorBytes(`${folder}/checkpoint`), [verifier]).text).size).toBe(51_319_770n);
    const sizes = older.map(({ old_note }) => parseCheckpoint(openNote(old_note, [verifier]).text).size);
    expect(sizes).toEqual(older.map(({ old_size }) => BigInt(old_size)));
    expect(sizes).toHaveLength(41);
  });

  test("has 55 tiles, each of the width that its path says; a full one hashes to its place in the one above, where that is there", () => {
    const paths = readdirSync(vectorPath(`${folder}/tile`), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`.replace(`${vectorPath(folder)}/`, ""));
    expect(paths).toHaveLength(55);
    let compared = 0;
    for (const path of paths) {
      const { level, index, width } = parseTilePath(path);
      const hashes = decodeTile(readVectorBytes(`${folder}/${path}`), width);
      const above = paths
        .map((other) => ({ other, tile: parseTilePath(other) }))
        .find(
          ({ tile }) =>
            tile.level === level + 1 &&
            BigInt(tile.index) === BigInt(index) / 256n &&
            BigInt(tile.width) > BigInt(index) % 256n,
        );
      if (above === undefined || width < 256) continue;
      const parent = decodeTile(readVectorBytes(`${folder}/${above.other}`), above.tile.width)[
        Number(BigInt(index) % 256n)
      ];
      expect([path, equalBytes(parent ?? new Uint8Array(), treeHash(hashes))]).toEqual([path, true]);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(40);
  });
});
