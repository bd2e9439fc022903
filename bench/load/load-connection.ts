/** One connection with one request under way at a time, read into a buffer that all connections of a process share. */
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { AnswerScanner } from "./answer-scanner.ts";

export interface Answer {
  readonly status: number;
  /** What of the answer came last: enough to say why it was refused. Valid during the call only. */
  readonly lastPart: Buffer;
}

const READ_BYTES = 1_048_576;
const sharedBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

export class LoadConnection {
  /** When the request under way was meant to go out, on the clock of `performance.now()`. */
  intendedAt = 0;
  readonly #socket: Socket;
  readonly #scanner = new AnswerScanner();
  readonly #onAnswer: (answer: Answer, connection: LoadConnection) => void;
  readonly #onFailure: (error: Error) => void;
  #closed = false;

  private constructor(
    address: { readonly host: string; readonly port: number },
    handlers: {
      readonly onAnswer: (answer: Answer, connection: LoadConnection) => void;
      readonly onFailure: (error: Error) => void;
    },
  ) {
    this.#onAnswer = handlers.onAnswer;
    this.#onFailure = handlers.onFailure;
    const callback = (bytes: number): boolean => {
      this.#take(bytes);
      return true;
    };
    this.#socket = connect({ ...address, noDelay: true, onread: { buffer: sharedBuffer, callback } });
  }

  static async open(
    address: { readonly host: string; readonly port: number },
    handlers: {
      readonly onAnswer: (answer: Answer, connection: LoadConnection) => void;
      readonly onFailure: (error: Error) => void;
    },
  ): Promise<LoadConnection> {
    const connection = new LoadConnection(address, handlers);
    await once(connection.#socket, "connect");
    connection.#socket.on("error", (error) => connection.#fail(error));
    connection.#socket.on("close", () => connection.#fail(new Error("the server ended a connection")));
    return connection;
  }

  /** Sends a request whose bytes stay as they are until it is answered. */
  send(request: Buffer, intendedAt: number): void {
    this.intendedAt = intendedAt;
    this.#socket.write(request);
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #take(bytes: number): void {
    try {
      const end = this.#scanner.take(sharedBuffer, 0, bytes);
      if (end < 0) return;
      if (end < bytes) throw new Error("the server answered more than it was asked");
      this.#onAnswer({ status: this.#scanner.status, lastPart: sharedBuffer.subarray(0, bytes) }, this);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.close();
    this.#onFailure(error);
  }
}
