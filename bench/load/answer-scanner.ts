/**
 * Finds the end of an HTTP/1.1 answer as its bytes come, whatever the parts that they come in, and keeps none of them.
 *
 * It knows what the servers under test send: a head with Content-Length, and that many bytes. RFC 9112 §6.3.
 */

const [LF, CR, COLON, ZERO, NINE, SPACE] = [10, 13, 58, 48, 57, 32];
/** The status follows "HTTP/1.1 ". */
const STATUS_AT = 9;
const LENGTH_NAME = Buffer.from("content-length", "latin1");
const TO_LOWER_CASE = 32;

export class AnswerScanner {
  /** Of the answer that is being read, or was read last. */
  status = 0;
  #line = 0;
  /** Bytes of this line, so far. */
  #column = 0;
  /** Of them those that spell the name; -1 where the line begins otherwise. */
  #matched = 0;
  #inLength = false;
  #length = -1;
  /** What is still to come; -1 within the head. */
  #bodyLeft = -1;

  /**
   * Takes `bytes` from `from` to `to`. Gives where the answer ends, or -1 where it goes on; after an end the next call
   * begins the next answer.
   *
   * @throws {Error} The head is not one of HTTP/1.1, or does not say how long the body is.
   */
  take(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to && this.#bodyLeft < 0) {
      this.#takeHeadByte(bytes[at] ?? 0);
      at += 1;
    }
    if (this.#bodyLeft < 0) return -1;
    const taken = Math.min(this.#bodyLeft, to - at);
    this.#bodyLeft -= taken;
    if (this.#bodyLeft > 0) return -1;
    this.#begin();
    return at + taken;
  }

  #begin(): void {
    this.#line = 0;
    this.#beginLine();
    this.#length = -1;
    this.#bodyLeft = -1;
  }

  #beginLine(): void {
    this.#column = 0;
    this.#matched = 0;
    this.#inLength = false;
  }

  #takeHeadByte(byte: number): void {
    if (byte === CR) return;
    if (byte === LF) this.#endLine();
    else if (this.#line === 0) this.#takeStatusByte(byte);
    else if (this.#inLength) this.#takeLengthByte(byte);
    else if (this.#matched >= 0) this.#takeNameByte(byte);
    else this.#column += 1;
  }

  #endLine(): void {
    if (this.#column > 0) {
      this.#line += 1;
      this.#beginLine();
      return;
    }
    if (this.#length < 0) throw new Error(`the answer ${this.status} does not say how long it is`);
    this.#bodyLeft = this.#length;
  }

  #takeStatusByte(byte: number): void {
    if (this.#column === 0) this.status = 0;
    if (this.#column >= STATUS_AT && this.#column < STATUS_AT + 3) {
      if (byte < ZERO || byte > NINE) throw new Error("the answer is none of HTTP/1.1");
      this.status = this.status * 10 + byte - ZERO;
    }
    this.#column += 1;
  }

  #takeNameByte(byte: number): void {
    this.#column += 1;
    if (byte === COLON && this.#matched === LENGTH_NAME.length) {
      this.#inLength = true;
      this.#length = 0;
      return;
    }
    const expected = LENGTH_NAME[this.#matched];
    this.#matched = byte === expected || byte + TO_LOWER_CASE === expected ? this.#matched + 1 : -1;
  }

  #takeLengthByte(byte: number): void {
    if (byte >= ZERO && byte <= NINE) this.#length = this.#length * 10 + byte - ZERO;
    else if (byte !== SPACE) throw new Error("the answer's Content-Length is no number");
  }
}
