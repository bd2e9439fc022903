/** The Tallystick SDK: records events, holds receipts, verifies proofs. */
export {};
