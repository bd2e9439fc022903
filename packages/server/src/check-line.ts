/**
 * A text file with a digest of itself in its last line, by which damage shows that would still parse.
 *
 * `# sha256 `, the SHA-256 of all lines before in lower-case hex, a line feed. A file without it is taken as it is:
 * somebody wrote it by hand.
 */
import { createHash } from "node:crypto";
import { ServerError } from "./error.ts";

const MARK = "# sha256 ";

/** The text with its check line. @param text - Ends with a line feed. */
export function withCheckLine(text: string): string {
  return `${text}${MARK}${sha256(text)}\n`;
}

/**
 * The text without its check line.
 *
 * @param path - For the message; the text, which may be secret, is never in it.
 * @throws {ServerError} `config-malformed`: the line does not fit the text.
 */
export function withoutCheckLine(text: string, path: string): string {
  const at = text.lastIndexOf(`\n${MARK}`) + 1;
  if (at === 0) return text;
  const checked = text.slice(0, at);
  if (text === withCheckLine(checked)) return checked;
  throw new ServerError(
    "config-malformed",
    `${path} does not fit the digest in its last line: restore it from its newest backup; if you changed it yourself, remove that line`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}
