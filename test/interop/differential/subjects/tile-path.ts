/** Paths of tiles and entry bundles: parsed by us, by x/mod's tlog package and by Tessera's layout package. */
import { entriesPath, parseEntriesPath, parseTilePath, tilePath } from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, isAbove63Bits, octetsOf, textOf } from "../octets.ts";
import { assertWrittenBack, verdictOf } from "./verdict.ts";

function ours([octets = new Uint8Array()]: Input): string {
  const path = textOf(octetsOf(octets));
  return verdictOf(() => {
    if (path.startsWith("tile/entries/")) {
      const bundle = parseEntriesPath(path);
      const { index, width } = bundle;
      assertWrittenBack(path, entriesPath(bundle));
      return `entries ${index} ${width}`;
    }
    const tile = parseTilePath(path);
    const { level, index, width } = tile;
    assertWrittenBack(path, tilePath(tile));
    return `${level} ${index} ${width}`;
  });
}

function mendPath([octets = new Uint8Array()]: Input, pattern: RegExp, replacement: string): Input {
  return [bytesOf(octetsOf(octets).replace(pattern, replacement))];
}

function holdsFor(holds: (path: string) => boolean): (input: Input) => boolean {
  return ([octets = new Uint8Array()]) => holds(octetsOf(octets));
}

/** The index of a path, or "". */
function indexOf(path: string): string {
  const [, groups = ""] = /^tile\/[^/]*\/((?:x\d{3}\/)*\d{3})(?:\.p\/\d*)?$/.exec(path) ?? [];
  return groups.replaceAll(/[x/]/g, "");
}

const example = (path: string): Input => [bytesOf(path)];

const KINDS: readonly Kind[] = [
  {
    name: "tile-level-above-63",
    covers: "C-89",
    of: ["x/mod"],
    form: "we-refuse",
    holds: holdsFor((path) => Number(/^tile\/(\d+)\//.exec(path)?.[1] ?? 0) > 63),
    example: example("tile/64/000"),
  },
  {
    name: "tile-level-data",
    covers: "C-104",
    of: ["x/mod"],
    form: "we-refuse",
    holds: holdsFor((path) => path.startsWith("tile/data/")),
    example: example("tile/data/000"),
  },
  {
    name: "leading-zeros",
    covers: "C-89 C-93",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendPath(mendPath(input, /^tile\/0+(?=\d+\/)/, "tile/"), /\.p\/0+(?=\d+$)/, ".p/"),
    example: example("tile/00/000.p/007"),
  },
  {
    name: "tile-needless-group",
    covers: "C-91",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendPath(input, /^(tile\/[^/]*\/)(?:x000\/)+/, "$1"),
    example: example("tile/0/x000/x000/001"),
  },
  {
    name: "number-above-63-bits",
    covers: "C-92",
    of: ["tessera"],
    form: "we-refuse",
    holds: holdsFor((path) => isAbove63Bits(indexOf(path))),
    example: example("tile/0/x009/x223/x372/x036/x854/x775/808"),
  },
];

export const TILE_PATH: Subject = { name: "tile path", code: "l", share: 10, ours, kinds: KINDS };
