/** Why contents are read: the log records it, and its rules may ask for it. */
import type { Invocation, OptionSpec } from "./command.ts";

export const PURPOSE_OPTION: Readonly<Record<"purpose", OptionSpec>> = {
  purpose: { type: "string", value: "TEXT", help: "why contents are read; recorded in the log" },
};

/** A path with the purpose in its query, where one was given. */
export function withPurpose(path: string, { text }: Pick<Invocation, "text">): string {
  const purpose = text("purpose");
  if (purpose === undefined) return path;
  return `${path}${path.includes("?") ? "&" : "?"}purpose=${encodeURIComponent(purpose)}`;
}
