/** The Tallystick SDK: records events, holds receipts, verifies proofs. */
export { formatEvidence, parseEvidence } from "@tallystick/events";
export * from "./tallystick.ts";
export type { KeptReceipt } from "./receipts.ts";
export * from "./verify.ts";
