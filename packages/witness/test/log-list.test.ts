import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSigner, sha256, utf8 } from "@tallystick/core";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson, readVectorText } from "../../../test/support/vectors.ts";
import { parseLogList } from "../src/index.ts";
import { TestLog, logSigner } from "./test-log.ts";

describeWithVectors("vectors of log lists", () => {
  interface Case {
    readonly name: string;
    readonly text: string;
    readonly expect: "ok" | "refuse";
    readonly logs?: readonly object[];
  }

  test("lists parse, or are refused, as by another witness", () => {
    const accepted: [parsed: unknown, logs: readonly object[]][] = [];
    for (const { name, text, expect: expected, logs } of readVectorJson<Case[]>("witness/log-list-cases.json")) {
      const parse = (): unknown => parseLogList(text);
      expect({ name, refused: errorCode(parse) }).toEqual({
        name,
        refused: expected === "ok" ? undefined : "log-list-malformed",
      });
      if (logs !== undefined) accepted.push([parse(), logs]);
    }
    for (const [parsed, logs] of accepted) expect(parsed).toEqual(logs);
  });

  test("the public list of test logs parses", () => {
    const logs = parseLogList(readVectorText("witness/log-list-testing.1"));
    expect(logs).toHaveLength(9);
    expect(logs[0]).toEqual({
      vkey: "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
      origin: "arche2025h1.staging.ct.transparency.dev",
      qpd: 86_400,
      contact: "google-ct-logs@googlegroups.com",
    });
  });
});

describe("parseLogList", () => {
  const { vkey } = new TestLog();

  test.each([
    "",
    "\n",
    "logs/v1\n",
    `logs/v0\nvkey ${vkey}\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1\nqpd 2\n`,
    `logs/v0\nvkey ${vkey}\nqpd 01\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1\nbastion none\n`,
    `logs/v0\nvkey\n`,
    `logs/v0\nvkey ${vkey}\nqpd -1\n`,
    `logs/v0\nvkey ${vkey}\nqpd 0\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1e3\n`,
    `logs/v0\nvkey ${vkey}\nqpd 2147483648\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1 2\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1\norigin log.example\n`,
    `logs/v0\nvkey ${vkey}\ncontact a@log.example\nqpd 1\n`,
    `logs/v0\nvkey ${vkey}\nqpd 1\ncontact a\ncontact b\n`,
    `logs/v0\nvkey ${vkey}\norigin\nqpd 1\n`,
    `logs/v0\nvkey ${vkey} more\nqpd 1\n`,
    `logs/v0\nlogs/v0\n`,
    `vkey ${vkey}\nlogs/v0\nqpd 1\n`,
  ])("refuses %j", (text) => {
    expect(errorCode(() => parseLogList(text))).toBe("log-list-malformed");
  });

  test("takes the whole range of qpd, space around lines, and lines that end as on Windows", () => {
    const text = `\r\n# list\r\n  logs/v0\t\r\n\tvkey ${vkey}  \r\n\r\n # again\r\norigin a log, with spaces\r\nqpd 2147483647`;
    expect(parseLogList(text)).toEqual([{ vkey, origin: "a log, with spaces", qpd: 2_147_483_647 }]);
    expect(parseLogList(`logs/v0\nvkey ${vkey}\nqpd 1`)).toEqual([{ vkey, origin: "log.example/a", qpd: 1 }]);
  });

  test("takes ML-DSA-44 keys as it takes Ed25519 keys", () => {
    const { vkey: large } = createSigner({ name: "log.example/pq", type: "mldsa44", seed: sha256(utf8("pq")) });
    expect(parseLogList(`logs/v0\nvkey ${large}\nqpd 5\n`)).toEqual([
      { vkey: large, origin: "log.example/pq", qpd: 5 },
    ]);
  });

  test("gives back what a list of arbitrary logs says, and refuses or reads whatever else", () => {
    const line = fc
      .string({ minLength: 1, maxLength: 40 })
      .filter((text) => text.trim() === text && !text.includes("\n"));
    const log = fc.record(
      {
        vkey: fc.nat().map((n) => logSigner(`log.example/${n}`).vkey),
        origin: line,
        qpd: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        contact: line,
      },
      { requiredKeys: ["vkey", "origin", "qpd"] },
    );
    fc.assert(
      fc.property(fc.array(log, { maxLength: 5 }), (logs) => {
        const texts = logs.map(({ vkey: key, origin, qpd, contact }) =>
          [
            `vkey ${key}`,
            `origin ${origin}`,
            `qpd ${qpd}`,
            ...(contact === undefined ? [] : [`contact ${contact}`]),
          ].join("\n"),
        );
        expect(parseLogList(["logs/v0", ...texts].join("\n\n"))).toEqual(logs);
      }),
      { numRuns: 100 },
    );
    const words = fc.constantFrom("logs/v0", "vkey", vkey, "origin", "qpd", "1", "contact", "#", " ", "\n", "\t", "\0");
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 5 })), { maxLength: 30 }), (parts) => {
        expect([undefined, "log-list-malformed"]).toContain(errorCode(() => parseLogList(parts.join(" "))));
      }),
      { numRuns: 500 },
    );
  });

  test("says which line is wrong", () => {
    expect(() => parseLogList(`logs/v0\n\n# comment\nvkey ${vkey}\nqpd toast\n`)).toThrow(/^line 5: /);
  });
});
