import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson, readVectorText } from "../../../test/support/vectors.ts";
import { parseLogList } from "../src/index.ts";
import { TestLog } from "./test-log.ts";

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
  ])("refuses %j", (text) => {
    expect(errorCode(() => parseLogList(text))).toBe("log-list-malformed");
  });

  test("says which line is wrong", () => {
    expect(() => parseLogList(`logs/v0\n\n# comment\nvkey ${vkey}\nqpd toast\n`)).toThrow(/^line 5: /);
  });
});
