/** Certificates for tests: an authority of one's own, made anew each time. X.509 in the few lines that it takes. RFC 5280 */
import { type KeyObject, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary-folder.ts";

const DAY_MS = 86_400_000;

interface Issued {
  readonly certificate: string;
  readonly key: string;
}

interface IssueOptions {
  readonly days?: number;
}

/** An authority whose word is worth something only to those who are given its certificate. */
export class TestAuthority {
  readonly #name: string;
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  /** PEM */
  readonly certificate: string;

  constructor(name = "Tests' authority") {
    this.#name = name;
    const isAuthority = sequence(oid("2.5.29.19"), BOOLEAN_TRUE, octets(sequence(BOOLEAN_TRUE)));
    this.certificate = this.#certify({ name, publicKey: this.#keys.publicKey, days: 30, extensions: [isAuthority] });
  }

  /** For a listener on this machine, as `localhost` and 127.0.0.1; negative days make one that has ended. */
  issue(name: string, { days = 30 }: IssueOptions = {}): Issued {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const names = sequence(tlv(0x82, Buffer.from("localhost")), tlv(0x87, Buffer.from([127, 0, 0, 1])));
    const extensions = [sequence(oid("2.5.29.17"), octets(names))];
    return {
      certificate: this.#certify({ name, publicKey, days, extensions }),
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  }

  #certify(input: { name: string; publicKey: KeyObject; days: number; extensions: readonly Buffer[] }): string {
    const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
    const body = sequence(
      tlv(0xa0, tlv(0x02, Buffer.from([2]))),
      tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      algorithm,
      nameOf(this.#name),
      sequence(time(Date.now() - 60 * DAY_MS), time(Date.now() + input.days * DAY_MS)),
      nameOf(input.name),
      input.publicKey.export({ type: "spki", format: "der" }),
      tlv(0xa3, sequence(...input.extensions)),
    );
    const signature = sign("sha256", body, this.#keys.privateKey);
    const whole = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
    const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
    return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
  }
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Writes a certificate and its key, as a listener or a client reads them, into `dir`. */
export function writeCertificate(
  { certificate, key }: Issued,
  { dir = temporaryFolder(), name = "tls" }: { readonly dir?: string; readonly name?: string } = {},
): CertificateFiles {
  const paths = { certificate: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) };
  writeFileSync(paths.certificate, certificate);
  writeFileSync(paths.key, key, { mode: 0o600 });
  chmodSync(paths.key, 0o600);
  return paths;
}

const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff]);

function tlv(tag: number, value: Uint8Array): Buffer {
  const { length } = value;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function octets(value: Uint8Array): Buffer {
  return tlv(0x04, value);
}

function nameOf(name: string): Buffer {
  return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, Buffer.from(name)))));
}

function time(ms: number): Buffer {
  return tlv(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "")));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = rest.flatMap((number) => {
    const groups = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return tlv(0x06, Buffer.from([40 * first + second, ...bytes]));
}
