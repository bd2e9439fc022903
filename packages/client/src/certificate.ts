/**
 * That an entry's contents were erased, offline: its receipt, and the evidence of a certificate that covers it.
 *
 * The certificate is an entry like any other, so it is proved like one; docs/reference/formats.md, "Certificate".
 */
import type { Policy, TlogProof } from "@tallystick/core";
import {
  CERTIFICATE_TYPE,
  type Certificate,
  EventError,
  type Evidence,
  HOLD_CLASS,
  coversLeaf,
  dayOf,
  isOwnLeaf,
  mayKeep,
  parseCertificate,
} from "@tallystick/events";
import { ClientError } from "./error.ts";
import type { VerifiedReceipt } from "./receipt.ts";
import { type ReceiptToVerify, ReceiptVerifier } from "./receipt-verifier.ts";

export interface ErasureInput {
  /** The receipt of the entry whose contents are gone. */
  readonly proof: string | Uint8Array | TlogProof;
  /**
   * Evidence of the certificate's entries: of `done`, and of `ordered` where that one alone has the entry's tag; of what a
   * hold kept longer also that of the hold's own.
   */
  readonly certificates: readonly Evidence[];
  readonly policy: Policy;
  /** Ms since 1970: cosignatures from the future do not count. */
  readonly now?: number;
  /** Refuse heads without the policy's quorum (the default), or accept them as the log's word alone. */
  readonly requireQuorum?: boolean;
}

/** A certificate whose entry was proved. */
export interface VerifiedCertificate {
  readonly receipt: VerifiedReceipt;
  readonly certificate: Certificate;
}

export interface VerifiedErasure {
  readonly receipt: VerifiedReceipt;
  /** The one that covers the entry. */
  readonly covering: VerifiedCertificate;
  /** The one that says that the keys are destroyed; `undefined` where no such was given. */
  readonly done: VerifiedCertificate | undefined;
  /** Of a hold that certainly kept this entry, and was lifted: what it kept is destroyed too. */
  readonly lifted: VerifiedCertificate | undefined;
  /** Some entries of this class were kept, for a hold or a duty: whether this one is, none of these certificates tells. */
  readonly mayBeKept: boolean;
}

/**
 * Verifies that the contents of an entry were erased.
 *
 * Establishes: the entry is in the log; a certificate in the same log covers it; and, with `done`, that the log says that the
 * keys are destroyed. Does not establish that nobody kept a copy.
 *
 * @throws {ClientError} `receipt-refuted`: `details.step` names the check; `certificate` where a receipt is proved, and
 *   what it proves is no certificate that covers the entry.
 */
export function verifyErasure({ proof, certificates, now, ...under }: ErasureInput): VerifiedErasure {
  const verifier = new ReceiptVerifier(under);
  const at = now === undefined ? {} : { now };
  const receipt = verifier.verify({ proof, ...at });
  const verified = certificates.map((evidence) => verifyEvidence(verifier, { ...evidence, ...at }));
  const foreign = verified.find(({ receipt: { origin } }) => origin !== receipt.origin);
  if (foreign !== undefined) {
    refuse(`it is of log ${foreign.receipt.origin}, the entry of ${receipt.origin}`);
  }
  const coverings = verified.filter(({ certificate }) => coversLeaf(certificate, receipt.index, receipt.leaf));
  const lifted = verified.find(({ certificate }) => endsHoldOn(certificate, receipt));
  const erasures = coverings.map((covering) => ({
    receipt,
    covering,
    done: verified.find(({ certificate }) => isEndOf(certificate, covering)),
    lifted,
    mayBeKept: lifted === undefined && mayKeep(covering.certificate, receipt.leaf.class),
  }));
  const whole = erasures.find(({ done, mayBeKept }) => done !== undefined && !mayBeKept);
  const erasure = whole ?? erasures.find(({ done }) => done !== undefined) ?? erasures[0];
  if (erasure !== undefined) return erasure;
  const indexes = verified.map(({ receipt: { index } }) => index).join(", ");
  return refuse(`that of index ${indexes} does not cover index ${receipt.index}: another class, day or person`);
}

/**
 * Verifies the evidence of a certificate by itself. Not whether what it says of other entries is so: `auditLog` does.
 *
 * @throws {ClientError} `receipt-refuted`
 */
export function verifyCertificate({
  evidence,
  now,
  ...under
}: Omit<ErasureInput, "proof" | "certificates"> & { readonly evidence: Evidence }): VerifiedCertificate {
  return verifyEvidence(new ReceiptVerifier(under), { ...evidence, ...(now === undefined ? {} : { now }) });
}

function verifyEvidence(verifier: ReceiptVerifier, evidence: ReceiptToVerify): VerifiedCertificate {
  const receipt = verifier.verify(evidence);
  const certificate = certificateOf(receipt);
  if (certificate !== undefined) return { receipt, certificate };
  return refuse(
    `index ${receipt.index} is an entry of type ${receipt.event?.type ?? "unknown"}, not ${CERTIFICATE_TYPE}`,
  );
}

/**
 * The certificate that a verified receipt proves; `undefined` where its event is another, or not shown.
 *
 * @throws {ClientError} `receipt-refuted` at `certificate`: it is malformed, or not the log's own word.
 */
export function certificateOf({ event, leaf, index }: VerifiedReceipt): Certificate | undefined {
  if (event?.type !== CERTIFICATE_TYPE) return undefined;
  if (!isOwnLeaf(leaf))
    refuse(`index ${index} is not of class log in a signed stream, as what the log says of itself is`);
  try {
    return parseCertificate(event);
  } catch (cause) {
    if (cause instanceof EventError) return refuse(cause.message, cause);
    throw cause;
  }
}

/** Whether a certificate says that what another one orders is done; each says so of itself. */
function isEndOf(end: Certificate, { certificate, receipt }: VerifiedCertificate): boolean {
  if (end.state !== "done" || end.request !== certificate.request || end.before !== certificate.before) return false;
  if (end.keys.join() !== certificate.keys.join()) return false;
  // The parts of an order are entries next to each other.
  return certificate.state === "done" || end.ordered === receipt.index - (certificate.part ?? 1) + 1;
}

/**
 * Whether it says that what a hold kept is destroyed, and this entry was among it. It tells the first and the last of them, and
 * how many: of those between them it is certain only where there is no gap.
 */
function endsHoldOn(end: Certificate, { index, leaf }: VerifiedReceipt): boolean {
  if (end.state !== "done" || !("classDay" in end.scope) || (end.kept ?? []).length > 0) return false;
  const { class: name, day, first, last, count } = end.scope.classDay;
  if (!HOLD_CLASS.test(name) || day !== dayOf(leaf.loggedAt)) return false;
  return index === first || index === last || (first < index && index < last && count === last - first + 1);
}

function refuse(message: string, cause?: EventError): never {
  const details = { step: "certificate", code: cause?.code ?? "evidence-malformed" };
  throw new ClientError("receipt-refuted", `certificate: ${message}`, {
    details,
    ...(cause === undefined ? {} : { cause }),
  });
}
