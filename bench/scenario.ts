/** What a benchmark is: a name to run it by, and figures that it gives one after the other. */

export interface Settings {
  /** For each figure of a load. */
  readonly seconds: number;
  /** Before each of them. */
  readonly warmupSeconds: number;
  /** Each figure is taken so often; what is printed is the median. */
  readonly rounds: number;
  /** Entries of the large log. */
  readonly events: number;
  /** Entries of the log that is audited. */
  readonly auditEvents: number;
  /** By so much each sync of the server's disk is made slower. */
  readonly syncDelayMs: number;
}

export const DEFAULT_SETTINGS: Settings = {
  seconds: 5,
  warmupSeconds: 2,
  rounds: 1,
  events: 1_000_000,
  auditEvents: 200_000,
  syncDelayMs: 0,
};

export type Details = Readonly<Record<string, number | string>>;

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What belongs to it, in the order in which it is printed. */
  readonly details?: Details;
}

export interface Scenario {
  readonly name: string;
  /** One line for those who choose. */
  readonly about: string;
  run(settings: Settings): AsyncIterable<Figure>;
}

/** One line: name, value, unit, and what belongs to it. */
export function formatFigure({ name, value, unit, details = {} }: Figure): string {
  const more = Object.entries(details).map(([key, detail]) => `${key} ${formatValue(detail)}`);
  return `${name.padEnd(52)} ${formatValue(value).padStart(11)} ${unit}${more.map((text) => `, ${text}`).join("")}`;
}

/** Numbers with three digits or more that count; large ones in groups of three. */
export function formatValue(value: number | string): string {
  if (typeof value === "string") return value;
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
