/** Arbitrary certificates. */
import * as fc from "fast-check";
import { CERTIFICATE_LIMITS, type Certificate, type CertificateScope } from "../src/index.ts";

const SIZE_MAX = 2 ** 40;

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((all) => Buffer.from(all).toString("hex"));
const retentionClass = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
const words = fc.constantFrom("retention", "GDPR Art. 17", "Löschung", "水".repeat(1024), "😀".repeat(1024));
const request = hex(16).map((digits) =>
  [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `7${digits.slice(13, 16)}`,
    `8${digits.slice(17, 20)}`,
    digits.slice(20),
  ].join("-"),
);
const finalOn = fc.integer({ min: 0, max: 60_000 }).map((day) => new Date(day * 86_400_000).toISOString().slice(0, 10));

function classDay(before: number): fc.Arbitrary<CertificateScope> {
  return fc
    .tuple(
      retentionClass,
      fc.nat({ max: 2 ** 31 - 1 }),
      fc.nat({ max: before - 1 }),
      fc.nat({ max: before - 1 }),
      fc.nat(),
    )
    .map(([name, day, one, other, many]) => {
      const [first, last] = [Math.min(one, other), Math.max(one, other)];
      const most = last - first + 1;
      const count = Math.min(most, 2 + (many % most));
      return { classDay: { class: name, day, first, last, count } };
    });
}

function tags(before: number, min: number): fc.Arbitrary<CertificateScope> {
  const tag = fc
    .tuple(hex(16), fc.nat({ max: before - 1 }), fc.nat())
    .map(([digits, last, many]) => [digits, 1 + (many % (last + 1)), last] as const);
  return fc
    .uniqueArray(tag, { minLength: min, maxLength: CERTIFICATE_LIMITS.tagsMax, selector: ([digits]) => digits })
    .map((all) => ({ tags: all }));
}

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

export const anyCertificate: fc.Arbitrary<Certificate> = fc.integer({ min: 1, max: SIZE_MAX }).chain((before) =>
  fc
    .record({
      request,
      ground: words,
      state: fc.constantFrom("ordered" as const, "done" as const),
      scope: fc.oneof(classDay(before), tags(before, 0)),
      keys: fc.uniqueArray(hex(32), { minLength: 1, maxLength: CERTIFICATE_LIMITS.keysMax }),
      finalOn,
      later: fc.nat({ max: 1000 }),
      parts: optional(fc.tuple(fc.nat({ max: 99 }), fc.nat({ max: 99 }))),
      kept: optional(
        fc.uniqueArray(fc.tuple(retentionClass, fc.integer({ min: 1, max: SIZE_MAX })), {
          maxLength: CERTIFICATE_LIMITS.keptMax,
          selector: ([name]) => name,
        }),
      ),
      by: optional(fc.constantFrom("officer-1", "ü".repeat(256))),
      approvedBy: optional(fc.constantFrom("officer-2", "😀".repeat(256))),
    })
    .map(({ later, parts, kept, by, approvedBy, ...rest }) => ({
      ...rest,
      before,
      ...(rest.state === "done" ? { ordered: before + later } : {}),
      ...(parts === undefined || rest.state === "done"
        ? {}
        : { part: 1 + Math.min(...parts), parts: 1 + Math.max(...parts) }),
      ...(kept === undefined ? {} : { kept }),
      ...(by === undefined ? {} : { by }),
      ...(approvedBy === undefined ? {} : { approvedBy }),
    })),
);
