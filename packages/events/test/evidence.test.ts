import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { formatEvidence, parseEvidence } from "../src/index.ts";
import { flippedBits } from "./flipped-bits.ts";

const proof = "c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/a\n1\n…\n\n— example.com/a …\n";
const opening = new Uint8Array([1, 2, 3, 4]);

describe("an evidence file", () => {
  test("is read as it was written, whatever its parts", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.uint8Array(), (text, bytes) => {
        expect(parseEvidence(formatEvidence({ proof: text, opening: bytes }))).toEqual({ proof: text, opening: bytes });
      }),
    );
  });

  test("may be laid out and escaped otherwise, and have its members in another order", () => {
    const text = '{"opening":"AQIDBA==" , "proof":"\\u0061\\"", "format":"tallystick/evidence@1"}';
    expect(parseEvidence(text)).toEqual({ proof: 'a"', opening });
  });

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["an array", "[]"],
    ["null", "null"],
    ["another format", '{"format":"tallystick/evidence@2","proof":"","opening":""}'],
    ["no proof", '{"format":"tallystick/evidence@1","opening":""}'],
    ["a proof that is no text", '{"format":"tallystick/evidence@1","proof":1,"opening":""}'],
    ["no opening", '{"format":"tallystick/evidence@1","proof":""}'],
    ["an opening that is not canonical base64", '{"format":"tallystick/evidence@1","proof":"","opening":"AB=="}'],
    ["an opening in URL-safe base64", '{"format":"tallystick/evidence@1","proof":"","opening":"__-_"}'],
    ["another member", '{"format":"tallystick/evidence@1","proof":"","opening":"","note":""}'],
    ["a member twice", '{"format":"tallystick/evidence@1","proof":"a","proof":"b","opening":""}'],
    ["a member twice, once escaped", '{"format":"tallystick/evidence@1","proof":"a","\\u0070roof":"b","opening":""}'],
  ])("is not one with %s", (_, text) => {
    expect(errorCode(() => parseEvidence(text))).toBe("evidence-malformed");
  });

  test("is refused, or has other parts, with any bit flipped", () => {
    const bytes = new TextEncoder().encode(formatEvidence({ proof, opening }));
    const texts = Array.from(flippedBits(bytes), (flipped) => new TextDecoder().decode(flipped));
    const parsed = texts.filter((text) => errorCode(() => parseEvidence(text)) === undefined);
    expect(parsed.length).toBeLessThan(texts.length);
    expect(parsed.map(parseEvidence)).not.toContainEqual({ proof, opening });
  });
});
