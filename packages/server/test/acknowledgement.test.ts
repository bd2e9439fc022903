import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBase64 } from "@tallystick/core";
import type { Acknowledgement } from "@tallystick/log";
import { formatAcknowledgement, formatAcknowledgements } from "../src/acknowledgement.ts";
import { acknowledgement } from "../src/schemas.ts";
import { runs } from "./runs.ts";

const answer: fc.Arbitrary<Acknowledgement> = fc.record(
  {
    id: fc.uuid(),
    index: fc.maxSafeNat(),
    loggedAt: fc.oneof(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 253_402_300_799_999 })),
    leafHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    leaf: fc.uint8Array({ maxLength: 80 }),
    state: fc.constantFrom("durable", "published", "witnessed"),
    duplicate: fc.constant(true as const),
  },
  { requiredKeys: ["id", "index", "loggedAt", "leafHash", "leaf", "state"] },
);

describe("formatAcknowledgement", () => {
  test("gives what JSON.stringify gives of the same fields, and what the schema describes", () => {
    fc.assert(
      fc.property(
        answer,
        fc.option(fc.string({ unit: "binary", maxLength: 30 }), { nil: undefined }),
        (given, receipt) => {
          const { id, index, loggedAt, leafHash, leaf, state, duplicate } = given;
          const described = {
            id,
            index,
            loggedAt: new Date(loggedAt).toISOString(),
            leafHash: encodeBase64(leafHash),
            leaf: encodeBase64(leaf),
            state,
            duplicate,
            receipt,
          };
          const text = formatAcknowledgement(given, receipt);
          expect(text).toBe(JSON.stringify(described));
          expect(acknowledgement.safeParse(JSON.parse(text)).success).toBe(true);
        },
      ),
      runs,
    );
  });
});

describe("formatAcknowledgements", () => {
  test("gives a list of what formatAcknowledgement() gives of each, in UTF-8", () => {
    const receipt = fc.option(fc.string({ unit: "grapheme", maxLength: 30 }), { nil: undefined });
    fc.assert(
      fc.property(fc.array(fc.tuple(answer, receipt), { maxLength: 20 }), (all) => {
        const receipts = new Map(all);
        const list = formatAcknowledgements(
          all.map(([given]) => given),
          (given) => receipts.get(given),
        );
        const singly = all.map(([given, proof]) => formatAcknowledgement(given, proof));
        expect(list.toString()).toBe(`[${singly.join(",")}]`);
      }),
      runs,
    );
  });
});
