import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNote, utf8 } from "@tallystick/core";
import { TestLog, requestBody, subtreeBody } from "./test-log.ts";
import { TestWitness } from "./test-witness.ts";

const runs = { numRuns: Number(process.env["TALLYSTICK_FUZZ_RUNS"] ?? 300) };

/** A body with bytes changed, cut out, doubled or put in. */
function mangled(body: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat({ max: body.length - 1 });
  const edit = fc.record({ at: place, cut: fc.nat({ max: 40 }), put: fc.uint8Array({ maxLength: 40 }) });
  return fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) => {
      let bytes = Buffer.from(body);
      for (const { at, cut, put } of edits)
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
      return new Uint8Array(bytes);
    })
    .filter((bytes) => !Buffer.from(bytes).equals(body));
}

/** Text that looks like a request, line by line. */
const lookalike = fc
  .array(
    fc.oneof(
      fc.constantFrom("old 0", "old 5", "old 8", "subtree 0 4", "", "log.example/a", "8", "0", "— log.example/a AAAA"),
      fc.base64String({ maxLength: 60 }),
      fc.string({ maxLength: 30 }),
    ),
    { maxLength: 12 },
  )
  .map((lines) => utf8(`${lines.join("\n")}\n`.toWellFormed()));

describe("hostile input", () => {
  test("C-120 to C-142 whatever comes is answered with 4xx, gets no signature and changes no state", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const before = (await witness.latest(log)).body;
    const valid = log.request(5, 13);
    const { text, signatures } = parseNote(before);
    // With one cosignature only: with two, one may be mangled beyond recognition, and the other still hold.
    const reference = `${text}\n${signatures[2]?.line}\n`;
    const subtree = subtreeBody({
      range: "subtree 0 4",
      hash: log.subtreeHash(0, 4),
      proof: log.subtreeProof({ start: 0, end: 4, size: 5 }),
      checkpoint: reference,
    });
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      lookalike,
      mangled(valid),
      mangled(subtree),
      mangled(requestBody({ old: 5, checkpoint: log.checkpoint(5) })),
    );
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom("/add-checkpoint", "/sign-subtree"), async (bytes, path) => {
        const reply = await witness.post(path, bytes);
        expect(reply.status).toBeGreaterThanOrEqual(400);
        expect(reply.status).toBeLessThan(500);
        expect(reply.body).not.toContain("— witness.example");
        expect((await witness.latest(log)).body).toBe(before);
      }),
      runs,
    );
  });

  test("C-115 paths that try to get elsewhere find nothing", async () => {
    const witness = await TestWitness.start([]);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.webPath(),
          fc.string({ maxLength: 80 }).map((text) => `/${encodeURIComponent(text.toWellFormed())}/checkpoint`),
        ),
        async (path) => {
          const reply = await witness.request(`http://witness.example${path}`);
          expect(
            reply.status === 404 ||
              ["/healthz", "/readyz", "/metrics", "/add-checkpoint", "/sign-subtree"].includes(path),
          ).toBe(true);
        },
      ),
      runs,
    );
  });
});
