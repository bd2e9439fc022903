/** A Tallystick log as a library, without HTTP. */
export { LogError, type LogErrorCode } from "./error.ts";
export { type FsckFinding, type FsckOptions, type FsckReport, fsckLog } from "./fsck.ts";
export { openLog } from "./log.ts";
export type * from "./log-api.ts";
