/** A Tallystick log as a library, without HTTP. */
export { LogError, type LogErrorCode } from "./error.ts";
export { openLog } from "./log.ts";
export type * from "./log-api.ts";
