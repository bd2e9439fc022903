/** The flags of `open`, as text or as a number. */
import { constants } from "node:fs";
import type { OpenMode } from "../engine/disk.ts";

export function openModeOf(flags: string | number): OpenMode {
  if (typeof flags === "number") {
    return {
      creates: (flags & constants.O_CREAT) !== 0,
      exclusive: (flags & constants.O_EXCL) !== 0,
      truncates: (flags & constants.O_TRUNC) !== 0,
      syncs: (flags & constants.O_DSYNC) !== 0,
    };
  }
  return {
    creates: flags.startsWith("w") || flags.startsWith("a"),
    exclusive: flags.includes("x"),
    truncates: flags.startsWith("w"),
    syncs: false,
  };
}
