/** The log's answer to a signed batch: where each event stands, its leaf, and the keys of the tags in it. */
import { decodeBase64 } from "@tallystick/core";
import { ClientError } from "./error.ts";
import type { TagKeys } from "./expectation.ts";
import { objectOf, parseAnswer } from "./problem.ts";

export interface Acknowledgement {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly leafHash: Uint8Array;
}

export interface BatchAnswer {
  readonly entries: readonly Acknowledgement[];
  readonly tagKeys: TagKeys;
}

/** @throws {ClientError} `log-answer-malformed`: names the place. */
export function parseBatchAnswer(body: Uint8Array, count: number): BatchAnswer {
  const answer = objectOf(parseAnswer(body), "answer");
  const entries = arrayOf(answer["entries"], "entries").map((value, at) => {
    const entry = objectOf(value, `entries.${at}`);
    return {
      index: indexOf(entry["index"], `entries.${at}.index`),
      leaf: bytesOf(entry["leaf"], `entries.${at}.leaf`),
      leafHash: bytesOf(entry["leafHash"], `entries.${at}.leafHash`),
    };
  });
  if (entries.length !== count) throw malformed(`expected ${count} entries, got ${entries.length}`);
  const keys = objectOf(answer["tagKeys"], "tagKeys");
  return {
    entries,
    tagKeys: {
      personDays: arrayOf(keys["personDays"], "tagKeys.personDays").map(personDayOf),
      tenants: arrayOf(keys["tenants"], "tagKeys.tenants").map(tenantOf),
    },
  };
}

function personDayOf(value: unknown, at: number): TagKeys["personDays"][number] {
  const path = `tagKeys.personDays.${at}`;
  const row = objectOf(value, path);
  return {
    id: textOf(row["id"], `${path}.id`),
    day: indexOf(row["day"], `${path}.day`),
    key: keyOf(row["key"], `${path}.key`),
  };
}

function tenantOf(value: unknown, at: number): TagKeys["tenants"][number] {
  const path = `tagKeys.tenants.${at}`;
  const row = objectOf(value, path);
  return { id: textOf(row["id"], `${path}.id`), key: keyOf(row["key"], `${path}.key`) };
}

function arrayOf(value: unknown, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed(`${path}: expected an array`);
}

function textOf(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw malformed(`${path}: expected text`);
}

function indexOf(value: unknown, path: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`${path}: expected a whole number`);
}

function keyOf(value: unknown, path: string): Uint8Array {
  const key = bytesOf(value, path);
  if (key.length === 32) return key;
  throw malformed(`${path}: expected 32 bytes, got ${key.length}`);
}

function bytesOf(value: unknown, path: string): Uint8Array {
  try {
    return decodeBase64(textOf(value, path));
  } catch (cause) {
    throw new ClientError("log-answer-malformed", `the log's answer: ${path}: expected base64`, { cause });
  }
}

function malformed(text: string): ClientError {
  return new ClientError("log-answer-malformed", `the log's answer: ${text}`);
}
