/**
 * WebSockets behind the guard, whatever library speaks on them: the handshake is guarded, and when the session is over the
 * connection is closed with code 4401. Frames are no activity, and neither are handshakes, which browsers repeat by themselves.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { GUARD_OPTIONS, type GuardOptions, assertGuard, guardRequest } from "./http.ts";
import type { Refusal } from "./http-problem.ts";
import { type CloseReason, liveConnections } from "./live-connections.ts";
import { nodeFacts } from "./node-request.ts";
import { AUDIT_OPTIONS, type AuditOptions, RequestState, resolveAuditOptions } from "./request-state.ts";
import type { SessionInfo, Sessions } from "./sessions.ts";

/** Of the range for applications, RFC 6455 §7.4.2; 401 is in it. */
export const CLOSE_EXPIRED = 4401;
/** "Try again later", of the IANA registry. */
const CLOSE_UNAVAILABLE = 1013;
/** A client that does not answer the close is cut off. */
const CLOSE_MS = 1000;

/**
 * Guards the `upgrade` events of a server: gives the session, or answers the refusal itself.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 * @example
 * server.on("upgrade", async (request, socket, head) => {
 *   const session = await upgrade(request, socket);
 *   if (session !== undefined) sockets.handleUpgrade(request, socket, head, (ws) => greet(ws, session));
 * });
 */
export function guardUpgrade(
  sessions: Sessions,
  options: GuardOptions & AuditOptions = {},
): (request: IncomingMessage, socket: Duplex) => Promise<SessionInfo | undefined> {
  assertGuard(sessions, options, { ...GUARD_OPTIONS, ...AUDIT_OPTIONS });
  const settings = resolveAuditOptions(options);
  return async (request, socket) => {
    // A client that goes away meanwhile is no error of the application's.
    const ignore = (): undefined => undefined;
    socket.on("error", ignore);
    const state = new RequestState(nodeFacts(request), settings);
    // The answer to a handshake is the library's, so that no new token would get to the browser.
    const asked = guardRequest(sessions, state, { ...options, rotate: false });
    const answer = await asked.catch((): undefined => undefined);
    socket.off("error", ignore);
    if (answer?.served !== true) {
      refuse(socket, answer);
      return undefined;
    }
    // Who went away meanwhile is not looked after: nobody would say so again.
    if (socket.destroyed) return undefined;
    closeWithSession(sessions, answer.session, socket);
    return answer.session;
  };
}

function closeWithSession(sessions: Sessions, session: SessionInfo, socket: Duplex): void {
  const remove = liveConnections(sessions).add({
    session,
    isLive: () => true,
    close: (reason) => sendClose(socket, reason),
  });
  socket.once("close", remove);
}

/** A close frame may stand between any two frames: the library writes each of its own in one piece. */
function sendClose(socket: Duplex, reason: CloseReason): void {
  const code = reason === "session-expired" ? CLOSE_EXPIRED : CLOSE_UNAVAILABLE;
  socket.on("error", () => undefined);
  if (socket.writable) socket.write(closeFrame(code, reason));
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}

/** RFC 6455 §5.5.1, of a server: final, opcode 8, not masked. */
function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason, "utf8");
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt8(0x88, 0);
  frame.writeUInt8(2 + text.length, 1);
  frame.writeUInt16BE(code, 2);
  text.copy(frame, 4);
  return frame;
}

/** Nobody speaks HTTP on this socket but us. */
function refuse(socket: Duplex, refused: Refusal | undefined): void {
  const { status = 500, headers = [], problem } = refused ?? {};
  const body = problem === undefined ? "" : JSON.stringify(problem);
  const lines = [...headers, ["connection", "close"], ["content-length", String(Buffer.byteLength(body))]];
  socket.on("error", () => undefined);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
  );
}
