/** Which person a command is about: an id that need not stand in the history of a shell. */
import { decodeUtf8 } from "@tallystick/core";
import { naming, readBounded, readStream } from "./bounded-file.ts";
import { type Invocation, type OptionSpec, UsageError } from "./command.ts";

export const SUBJECT_OPTIONS: Readonly<Record<"subject" | "subject-file", OptionSpec>> = {
  subject: { type: "string", value: "ID", help: "the person, by the id that events have" },
  "subject-file": { type: "string", value: "FILE", help: "the same from a file, or - for standard input" },
};

/** 256 characters and a line end, in whatever script. */
const FILE_BYTES_MAX = 4096;

/** @throws {UsageError} None, or more than one. */
export async function subjectOf(invocation: Invocation): Promise<string> {
  const subject = await optionalSubjectOf(invocation);
  if (subject !== undefined) return subject;
  throw new UsageError("--subject: expected the person's id; --subject-file - takes it from standard input");
}

/** The same where there need be none. */
export async function optionalSubjectOf({ text }: Invocation): Promise<string | undefined> {
  const [subject, path] = [text("subject"), text("subject-file")];
  if (subject !== undefined && path !== undefined)
    throw new UsageError("expected --subject or --subject-file, not both");
  const found = path === undefined ? subject : await subjectIn(path);
  if (found === "") throw new UsageError("--subject: expected an id, got nothing");
  return found;
}

/** Without the end of its only line. */
async function subjectIn(path: string): Promise<string> {
  const name = path === "-" ? "standard input" : path;
  const bytes =
    path === "-"
      ? await readStream(process.stdin, { path: name, bytesMax: FILE_BYTES_MAX })
      : await readBounded(path, FILE_BYTES_MAX);
  const subject = naming(name, () => decodeUtf8(bytes)).replace(/\r?\n$/, "");
  if (subject.includes("\n")) throw new UsageError(`${name}: expected one line with the person's id`);
  return subject;
}
