/** Logs of other products, which no importer reads yet: each line is kept whole, as an event of its own that says why. */
import { expect, test } from "vitest";
import {
  describeWithVectors,
  readVectorBytes,
  readVectorJson,
  readVectorText,
} from "../../../../test/support/vectors.ts";
import {
  type ImportedLine,
  type JsonValue,
  UNREADABLE_TYPE,
  createJsonLinesImport,
  createOpenSshImport,
  decodeEvent,
  encodeEvent,
  parseJson,
} from "../../src/index.ts";

const fallbackTimeMs = Date.UTC(2026, 0, 1);

function importLines(source: string, lines: readonly string[]): readonly ImportedLine[] {
  const next = createJsonLinesImport({ source, fallbackTimeMs });
  return lines.flatMap((line) => next(line) ?? []);
}

/** Each event is one of its own, unreadable, names its line, and is the same when it is imported again. */
function expectKept(imported: readonly ImportedLine[], again: readonly ImportedLine[], file: string): void {
  expect(new Set(imported.map(({ event }) => event.id)).size).toBe(imported.length);
  expect(again).toEqual(imported);
  for (const [at, { event, unreadable }] of imported.entries()) {
    expect([event.type, typeof unreadable]).toEqual([UNREADABLE_TYPE, "string"]);
    expect(event.context).toMatchObject({ file, line: at + 1 });
    expect(decodeEvent(encodeEvent(event))).toEqual(event);
  }
}

/** The rows of each file, in JSON. */
const JSON_LINES: readonly (readonly [string, number])[] = [
  ["events/k8s/audit-1200.jsonl", 1200],
  ["events/k8s/k8s-rule-samples.jsonl", 236],
  ["events/cloudtrail/invictus-part1.jsonl", 1448],
  ["events/okta/okta-system-log.jsonl", 88],
  ["events/auth0/auth0.jsonl", 49],
  ["events/entra/entra-signin.jsonl", 46],
  ["events/github/github-audit.jsonl", 166],
];
const CLOUDTRAIL_FILES = [
  "events/cloudtrail/raw/218007301253_CloudTrail_us-east-1_20230710T1205Z_lKy08gyrqqRJyzsn.json",
  "events/cloudtrail/raw/218007301253_CloudTrail_us-east-1_20230710T1210Z_bXGZYqBeCCsqWq1U.json",
];

describeWithVectors("logs of other products", () => {
  test.each(JSON_LINES)("%s: %i lines, each strict JSON and kept", (path, count) => {
    const lines = readVectorText(path).trimEnd().split("\n");
    const imported = importLines(path, lines);
    expect([lines.length, imported.length]).toEqual([count, count]);
    for (const line of lines) expect(parseJson(line)).toEqual(JSON.parse(line));
    expectKept(imported, importLines(path, lines), path);
  });

  test("what CloudTrail delivers, of 7 records, is strict JSON; each record as a line is kept", () => {
    const files = CLOUDTRAIL_FILES.map((path) => readVectorJson<{ readonly Records: readonly JsonValue[] }>(path));
    expect(CLOUDTRAIL_FILES.map((path) => parseJson(readVectorText(path)))).toEqual(files);
    const records = files.flatMap(({ Records }) => Records);
    const lines = records.map((record) => JSON.stringify(record));
    expect(lines).toHaveLength(7);
    expectKept(importLines("raw", lines), importLines("raw", lines), "raw");
  });

  test("10 native events and their 10 OCSF forms are kept", () => {
    const pairs =
      readVectorJson<readonly { readonly raw: JsonValue; readonly ocsf: JsonValue }[]>("events/ocsf/ocsf-pairs.json");
    expect(pairs).toHaveLength(10);
    const lines = pairs.flatMap(({ raw, ocsf }) => [JSON.stringify(raw), JSON.stringify(ocsf)]);
    expectKept(importLines("ocsf", lines), importLines("ocsf", lines), "ocsf");
  });

  test("an OTLP request and 6 CloudEvents are strict JSON, and kept", () => {
    const otlp = parseJson(readVectorText("events/otlp/logs.json"));
    const cloudEvents = Object.values(
      parseJson(readVectorText("events/cloudevents/json-format-examples.json")) as object,
    ).flat() as JsonValue[];
    expect(cloudEvents).toHaveLength(6);
    const lines = [otlp, ...cloudEvents].map((value) => JSON.stringify(value));
    expectKept(importLines("mixed", lines), importLines("mixed", lines), "mixed");
  });

  test("a syslog of 969 lines, none of them of an OpenSSH server, is kept line by line", () => {
    const lines = readVectorText("events/syslog/syslog.log").split("\n");
    const importAll = (): readonly ImportedLine[] => {
      const next = createOpenSshImport({ source: "syslog", year: 2023 });
      return lines.flatMap((line) => next(line) ?? []);
    };
    expect(importAll()).toHaveLength(969);
    expectKept(importAll(), importAll(), "syslog");
  });
});

describeWithVectors("the inputs and outputs of RFC 8785", () => {
  test.each(["arrays", "french", "structures", "unicode", "values", "weird"])(
    "%s: as JSON, input and output are one value; the octets are those listed",
    (name) => {
      const output = readVectorText(`encoding/jcs/output/${name}.json`);
      expect(parseJson(readVectorText(`encoding/jcs/input/${name}.json`))).toEqual(parseJson(output));
      const octets = readVectorText(`encoding/jcs/outhex/${name}.txt`).replaceAll(/\s/g, "");
      expect(Buffer.from(readVectorBytes(`encoding/jcs/output/${name}.json`)).toString("hex")).toBe(octets);
    },
  );
});
