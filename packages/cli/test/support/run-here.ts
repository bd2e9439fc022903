/** The command without a process of its own: its words are kept, its exit code is returned. */
import { Writable } from "node:stream";
import { type ExitCode, run } from "@tallystick/cli";

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export async function runHere(
  args: readonly string[],
  { signal = new AbortController().signal, onOut, onErr }: RunOptions = {},
): Promise<Ran> {
  const [out, err] = [new Kept(onOut), new Kept(onErr)];
  const code = await run(args, { out, err }, signal);
  return { code, out: out.text, err: err.text };
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Called with all that was printed so far. */
  readonly onOut?: (text: string) => void;
  readonly onErr?: (text: string) => void;
}

class Kept extends Writable {
  text = "";
  readonly #onText: ((text: string) => void) | undefined;

  constructor(onText: ((text: string) => void) | undefined) {
    super();
    this.#onText = onText;
  }

  override _write(part: Buffer, _encoding: string, done: () => void): void {
    this.text += part.toString();
    this.#onText?.(this.text);
    done();
  }
}
