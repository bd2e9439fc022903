/** The Tallystick SDK: records events, holds receipts, verifies proofs. */
export { type RecordState, type TallystickOptions } from "./options.ts";
export { type HttpsFetchOptions, createHttpsFetch } from "./https-fetch.ts";
export * from "./tallystick.ts";
export type { KeptReceipt } from "./receipts.ts";
export * from "./verify.ts";
