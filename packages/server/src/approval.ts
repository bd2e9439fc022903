/**
 * Approval by a second person: what the first one asks for is sealed into a ticket that the server gives back and does not
 * keep; another credential posts it to v1/approvals, and only then is it done. docs/reference/roles.md, "Two persons"
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { newEventId } from "@tallystick/events";
import type { Ordered, Rules } from "@tallystick/log";
import type * as z from "zod";
import { valueReply } from "./answers.ts";
import { ServerError } from "./error.ts";
import type { Reply } from "./http/request.ts";
import type { RouteCall } from "./route.ts";

/** From the first person's word to the second's. */
const TICKET_DAYS = 7;
const TICKET_MS = TICKET_DAYS * 86_400_000;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";
/** `tsa_` and base64url of nonce, ciphertext and tag. */
const TICKET_PATTERN = /^tsa_([A-Za-z0-9_-]{40,700000})$/;

/** What is to be done, and who agreed to it. */
export interface Order<Input> extends Ordered {
  readonly input: Input;
  /** UUIDv7, the same whenever one ticket is posted: as the id of what is ordered it makes replays harmless. */
  readonly id: string;
}

/** Something that rules can ask a second person for. */
export interface Action<Input> {
  /** Stands in tickets, such as `hold.lift`. */
  readonly name: string;
  /** By which the rules name it in `twoPersons`. */
  readonly rule: Rules["twoPersons"][number];
  /** What `input` has to fit, when it comes out of a ticket too. Values of JSON only. */
  readonly input: z.ZodType<Input>;
  /**
   * What must be as it was when the second person approves, for orders that carrying out twice would harm; a ticket from
   * another state is refused (`approval-outdated`).
   */
  readonly state?: (call: ActionCall) => string;
  /** Carries it out. Twice with the same `id` must do no more than once. */
  readonly perform: (call: ActionCall, order: Order<Input>) => Promise<Reply>;
}

/** What carrying out may use of a request: its body and query are another's when a second person sends it. */
export type ActionCall = Pick<
  RouteCall<unknown>,
  "hosted" | "log" | "credential" | "request" | "format" | "rules" | "approvals"
>;

/** Keeps the type of an action's input between its schema and its performance. */
export function action<Input>(definition: Action<Input>): Action<unknown> {
  return definition as unknown as Action<unknown>;
}

/**
 * Carries an action out, or, where the rules ask for two persons, answers 202 with a ticket for the second.
 *
 * For handlers: after body and query were checked, and in place of doing it.
 *
 * @example
 * handle: async (call) => withApproval(call, ERASE, await readValue(call, eraseBody)),
 */
export async function withApproval<Input>(
  call: ActionCall,
  { name, rule, state, perform }: Action<Input>,
  input: Input,
): Promise<Reply> {
  const by = idOf(call);
  const { approvals, format, log, rules } = call;
  if (!rules().twoPersons.includes(rule)) {
    const id = newEventId(approvals.now(), new Uint8Array(randomBytes(16)));
    return perform(call, { input, id, by });
  }
  const { approval, validUntil } = approvals.seal(log.origin, { action: name, by, input, state: state?.(call) ?? "" });
  const value = { state: "awaiting-approval", approval, validUntil: new Date(validUntil).toISOString() };
  return valueReply(value, { format, status: 202 });
}

/** What the second person posts. */
export interface ApprovalBody {
  readonly approval: string;
  /** Only shows what would be approved. */
  readonly preview?: boolean | undefined;
}

/**
 * Carries out what a ticket holds, in the name of both.
 *
 * @throws {ServerError} `approval-invalid`: no ticket of this log, older than 7 days, or from somebody whose token was
 *   taken back since; `approval-outdated`;
 *   `approval-by-same-person`
 */
export async function approve(
  call: ActionCall,
  { approval, preview = false }: ApprovalBody,
  actions: readonly Action<unknown>[],
): Promise<Reply> {
  const approvedBy = idOf(call);
  const ticket = call.approvals.open(call.log.origin, approval);
  const known = actions.find(({ name }) => name === ticket.action);
  const parsed = known?.input.safeParse(ticket.input);
  if (known === undefined || parsed?.success !== true)
    throw new ServerError("approval-invalid", "this ticket is for something that this version does not know");
  const { id, by, at } = ticket;
  if (preview) {
    const validUntil = new Date(at + TICKET_MS).toISOString();
    return valueReply({ action: known.name, by, validUntil, input: parsed.data }, { format: call.format });
  }
  if (by === approvedBy)
    throw new ServerError("approval-by-same-person", "the one who asked for it cannot be the second person");
  if (!call.approvals.mayOrder(by, call.hosted.name))
    throw new ServerError("approval-invalid", "the token of the one who asked for it is worth nothing any more");
  if ((known.state?.(call) ?? "") !== ticket.state)
    throw new ServerError("approval-outdated", "what it was asked for has changed since: ask for it anew");
  return known.perform(call, { input: parsed.data, id, by, approvedBy });
}

function idOf({ credential }: ActionCall): string {
  if (credential !== undefined) return credential.id;
  throw new TypeError("access: expected roles on a route that orders something, got public");
}

interface Ticket {
  readonly v: 1;
  /** UUIDv7. */
  readonly id: string;
  /** When it was made, in ms since 1970. */
  readonly at: number;
  readonly action: string;
  readonly by: string;
  readonly state: string;
  readonly input: unknown;
}

export interface ApprovalsOptions {
  /** 32 bytes that only this server has. Tickets that another key sealed are refused. */
  readonly key: Uint8Array;
  /** Whether a credential may still order something of a log. */
  readonly mayOrder: (by: string, log: string) => boolean;
  /** In ms since 1970. */
  readonly now: () => number;
}

/** Seals tickets and opens them. Nothing is kept: a ticket holds all there is. */
export class Approvals {
  readonly now: () => number;
  readonly mayOrder: (by: string, log: string) => boolean;
  readonly #key: Uint8Array;

  constructor({ key, mayOrder, now }: ApprovalsOptions) {
    if (key.length !== KEY_BYTES) throw new RangeError(`key: expected ${KEY_BYTES} bytes, got ${key.length}`);
    this.#key = key;
    this.now = now;
    this.mayOrder = mayOrder;
  }

  /** A ticket for one log. Its text tells nothing to whoever lacks the key. */
  seal(
    origin: string,
    sealed: Pick<Ticket, "action" | "by" | "state" | "input">,
  ): { readonly approval: string; readonly validUntil: number } {
    const at = this.now();
    const ticket: Ticket = { v: 1, id: newEventId(at, new Uint8Array(randomBytes(16))), at, ...sealed };
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(associatedData(origin));
    const bytes = Buffer.concat([nonce, cipher.update(JSON.stringify(ticket), "utf8"), cipher.final()]);
    const approval = `tsa_${Buffer.concat([bytes, cipher.getAuthTag()]).toString("base64url")}`;
    return { approval, validUntil: at + TICKET_MS };
  }

  /** @throws {ServerError} `approval-invalid` */
  open(origin: string, approval: string): Ticket {
    const [, encoded] = TICKET_PATTERN.exec(approval) ?? [];
    const ticket = encoded === undefined ? undefined : this.#decrypt(origin, Buffer.from(encoded, "base64url"));
    if (ticket === undefined)
      throw new ServerError("approval-invalid", "this is no ticket of this log: it is another log's, or cut off");
    const now = this.now();
    // One from the future is of a clock that was put back: it may be as old as it likes.
    if (now <= ticket.at + TICKET_MS && now >= ticket.at - TICKET_MS) return ticket;
    throw new ServerError("approval-invalid", `this ticket is older than ${TICKET_DAYS} days: ask for it anew`);
  }

  #decrypt(origin: string, bytes: Buffer): Ticket | undefined {
    const end = bytes.length - TAG_BYTES;
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(associatedData(origin))
        .setAuthTag(bytes.subarray(end));
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]);
      // Whatever opens was sealed here.
      return JSON.parse(text.toString("utf8")) as Ticket;
    } catch {
      return undefined;
    }
  }
}

function associatedData(origin: string): Buffer {
  return Buffer.from(`tallystick/approval/v1\0${origin}`, "utf8");
}
