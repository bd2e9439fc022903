/** The tokens of a running server: the file is looked at every second, so that a revoked token is soon worth nothing. */
import { fileVersion } from "@tallystick/storage";
import { type Credential, type TokenFinder, Tokens, type ValidToken } from "./tokens.ts";

const INTERVAL_MS = 1000;

export interface TokenFileOptions {
  readonly intervalMs?: number;
  /** Told when the file cannot be used; the tokens that were known go on. */
  readonly onTrouble: (error: unknown) => void;
}

export class TokenFile implements TokenFinder {
  readonly #path: string;
  readonly #onTrouble: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #tokens: Tokens;
  #seen: string;
  #reading = false;

  private constructor(path: string, { tokens, seen }: { tokens: Tokens; seen: string }, options: TokenFileOptions) {
    this.#path = path;
    this.#tokens = tokens;
    this.#seen = seen;
    this.#onTrouble = options.onTrouble;
    this.#timer = setInterval(() => void this.#look(), options.intervalMs ?? INTERVAL_MS).unref();
  }

  /** @throws {ServerError} `tokens-malformed` @throws {Error} the file cannot be read. */
  static async open(path: string, options: TokenFileOptions): Promise<TokenFile> {
    const seen = await fileVersion(path);
    return new TokenFile(path, { tokens: await Tokens.read(path), seen }, options);
  }

  find(token: string, connection?: object): Credential | undefined {
    return this.#tokens.find(token, connection);
  }

  /** Those of a log that are worth something now. */
  valid(log: string): readonly ValidToken[] {
    return this.#tokens.valid(log);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const now = await fileVersion(this.#path);
      if (now === this.#seen) return;
      // Remembered first: a file that cannot be used is complained of once.
      this.#seen = now;
      this.#tokens = await Tokens.read(this.#path);
    } catch (error) {
      this.#onTrouble(error);
    } finally {
      this.#reading = false;
    }
  }
}
