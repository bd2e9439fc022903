/** What `npm run bench` and `npm run bench:compare` are told. */
import { parseArgs } from "node:util";
import { DEFAULT_SETTINGS, type Settings } from "./scenario.ts";

export interface BenchArguments {
  /** Scenarios by name; none for all of them. */
  readonly names: readonly string[];
  readonly record: boolean;
  readonly list: boolean;
  readonly settings: Settings;
}

/** Option, setting, what it says. */
const NUMBERS = {
  seconds: "seconds",
  warmup: "warmupSeconds",
  rounds: "rounds",
  events: "events",
  "audit-events": "auditEvents",
  "sync-delay": "syncDelayMs",
} as const satisfies Record<string, keyof Settings>;

/** @throws {TypeError} An option that there is not, or that is no number. */
export function parseBenchArguments(args: readonly string[], defaults: Partial<Settings> = {}): BenchArguments {
  const numbers: Record<string, { type: "string" }> = Object.fromEntries(
    Object.keys(NUMBERS).map((name) => [name, { type: "string" }]),
  );
  const flags = { record: { type: "boolean" }, list: { type: "boolean" } } as const;
  const parsed = parseArgs({ args: [...args], options: { ...numbers, ...flags }, allowPositionals: true });
  const values: Readonly<Record<string, string | boolean | undefined>> = parsed.values;
  const given: Partial<Record<keyof Settings, number>> = {};
  for (const [option, setting] of Object.entries(NUMBERS)) {
    const text = values[option];
    if (typeof text === "string") given[setting] = parseNumber(text, option);
  }
  return {
    names: parsed.positionals,
    record: values["record"] === true,
    list: values["list"] === true,
    settings: { ...DEFAULT_SETTINGS, ...defaults, ...given },
  };
}

function parseNumber(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) {
    throw new TypeError(`--${option}: expected a number from 0, got ${JSON.stringify(text)}`);
  }
  return value;
}
