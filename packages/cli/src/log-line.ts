/** What a server or witness says while it runs: a line of JSON on stderr for each. */

export type Details = Readonly<Record<string, unknown>>;

export type Level = "info" | "warn" | "error";

/** The words of an error come among the details as its `message`, and must not give way to those that the line has itself. */
export function logLine(level: Level, message: string, details: Details = {}): Details {
  const { message: error, ...rest } = details;
  return { ...rest, ...(error === undefined ? {} : { error }), time: new Date().toISOString(), level, message };
}
