/** The verifying half of the SDK: needs no disk and no Node, so it runs in browsers too. */
export { type Policy, parsePolicy } from "@tallystick/core";
export {
  type Finding,
  type FindingCode,
  LeafAudit,
  type StreamState,
  formatEvidence,
  parseEvidence,
} from "@tallystick/events";
export * from "./audit.ts";
export {
  type ErasedContents,
  type OpeningOf,
  type OpeningsOf,
  type PromisedBy,
  type ShownContents,
} from "./audit-contents.ts";
export * from "./certificate.ts";
export * from "./error.ts";
export * from "./fork.ts";
export * from "./http.ts";
export * from "./log-reader.ts";
export {
  CLOCK_TOLERANCE_MS,
  type CosignatureTimes,
  type Expectation,
  RECEIPT_STEPS,
  type ReceiptInput,
  type ReceiptStep,
  type VerifiedCosignature,
  type VerifiedHead,
  type VerifiedReceipt,
  compareTimes,
  compareWithContents,
  describePostdated,
  openLeaf,
  verifyHead,
  verifyReceipt,
} from "./receipt.ts";
export * from "./receipt-verifier.ts";
export * from "./tile-prover.ts";
