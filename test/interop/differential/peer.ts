/** The Go process that says what other implementations make of inputs: frames go in, lines come out, in order. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { concatBytes, u32, u8 } from "@tallystick/core";
import type { Input } from "./kind.ts";

/** What each implementation says, by its name: "refused", or "ok" and what it read. */
export type Opinions = ReadonlyMap<string, string>;

export interface Question {
  /** The letter of the subject. */
  readonly code: string;
  readonly input: Input;
}

export class Peer {
  readonly #child: ChildProcess;
  readonly #waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = [];
  #ended: Error | undefined;

  constructor(binary: string) {
    this.#child = spawn(binary, { stdio: ["pipe", "pipe", "inherit"] });
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error("the peer has no pipes");
    createInterface({ input: stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    this.#child.once("close", (code) => this.#end(new Error(`the peer ended with ${code}`)));
    stdin.once("error", (error) => this.#end(error));
  }

  /** Asks about many inputs at once. */
  async ask(questions: readonly Question[]): Promise<Opinions[]> {
    if (this.#ended !== undefined) throw this.#ended;
    const answers = questions.map(
      async () => new Promise<string>((resolve, reject) => this.#waiting.push({ resolve, reject })),
    );
    this.#child.stdin?.write(concatBytes(...questions.map(frameOf)));
    return (await Promise.all(answers)).map(opinionsOf);
  }

  /** Ends the process; gives its exit code. */
  async close(): Promise<number | null> {
    const { exitCode, stdin } = this.#child;
    if (exitCode !== null) return exitCode;
    const closed = new Promise<number | null>((resolve) => this.#child.once("close", resolve));
    stdin?.end();
    return closed;
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

function frameOf({ code, input }: Question): Uint8Array {
  const fields = input.flatMap((field) => [u32(field.length), field]);
  const frame = concatBytes(u8(code.charCodeAt(0)), u8(input.length), ...fields);
  return concatBytes(u32(frame.length), frame);
}

function opinionsOf(line: string): Opinions {
  return new Map(
    line.split("\t").map((opinion) => {
      const [of = "", ...verdict] = opinion.split("=");
      return [of, verdict.join("=")];
    }),
  );
}
