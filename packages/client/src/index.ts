/** The Tallystick SDK: records events, holds receipts, verifies proofs. */
export * from "./define-events.ts";
export type { Helper, Helpers, HelpersBelow, ReportOf } from "./helpers.ts";
export type { Operation, OperationNotes, OperationReport } from "./operation.ts";
export { type RecordState, type TallystickOptions } from "./options.ts";
export type { OutageRules, OutageVerdict } from "./outage.ts";
export type { KeptData } from "./personal-data.ts";
export type { Report } from "./report.ts";
export { type HttpsFetchOptions, createHttpsFetch } from "#platform";
export * from "./tallystick.ts";
export type { KeptReceipt } from "./receipts.ts";
export * from "./verify.ts";
