/**
 * Keeps a server's connections in bounds: where no more are allowed, idle ones give way; answers that nobody takes fill
 * no memory.
 */
import type { RequestListener, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Server as TlsServer } from "node:tls";

export interface ConnectionLimits {
  /** Of all answers that clients have not taken yet. */
  readonly answersBytesMax: number;
  /** Told when clients are turned away or cut off; once a minute at most. */
  readonly onTrouble: (message: string, details: Readonly<Record<string, unknown>>) => void;
  /** Between two looks; 100 by default. */
  readonly lookMs?: number;
}

const LOOK_MS = 100;
/** Idle connections are looked for at most this often. */
const MAKE_ROOM_MS = 250;
const TELL_MS = 60_000;
/**
 * Requests that one connection may have sent ahead. Each is answered at once, and what is behind the first waits in memory:
 * a few kilobytes of requests would become hundreds of megabytes of answers.
 */
const PIPELINED_MAX = 16;

interface Connection {
  /** The newest request's. */
  response: ServerResponse | undefined;
  /** Those before it that are not out yet. */
  ahead: ServerResponse[];
}

/** Watches a server that has its application and does not listen yet; gives what ends it. */
export function boundConnections(server: Server, { answersBytesMax, onTrouble, lookMs }: ConnectionLimits): () => void {
  const connections = new Map<Socket, Connection>();
  const tell = rarely(onTrouble);
  // Requests come over the sockets that these events give.
  server.on(server instanceof TlsServer ? "secureConnection" : "connection", (socket: Socket) => {
    connections.set(socket, { response: undefined, ahead: [] });
    socket.once("close", () => connections.delete(socket));
  });
  // In front of the application: it is not to work for what nobody will get.
  const listeners = server.listeners("request") as RequestListener[];
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (connection === undefined || socket.destroyed) return;
    if (noteRequest(connection, response)) {
      for (const listener of listeners) listener.call(server, request, response);
      return;
    }
    tell("a client sent too many requests ahead, and was cut off", { pipelinedMax: PIPELINED_MAX });
    socket.destroy();
  });
  let madeRoomAt = -Infinity;
  server.on("drop", () => {
    tell("clients are turned away: as many connections as are allowed are open", { open: connections.size });
    if (performance.now() - madeRoomAt < MAKE_ROOM_MS) return;
    madeRoomAt = performance.now();
    server.closeIdleConnections();
  });
  const timer = setInterval(() => {
    const cut = cutUnread(connections, answersBytesMax);
    if (cut > 0) tell("clients do not take their answers, and were cut off", { cut, answersBytesMax });
  }, lookMs ?? LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** Gives whether the connection may have one request more. */
function noteRequest(connection: Connection, response: ServerResponse): boolean {
  const { response: before } = connection;
  connection.response = response;
  if (before === undefined || before.writableFinished) {
    if (connection.ahead.length > 0) connection.ahead = [];
    return true;
  }
  connection.ahead = [...connection.ahead.filter(({ writableFinished }) => !writableFinished), before];
  return connection.ahead.length < PIPELINED_MAX;
}

/** Ends connections until no more than so much is unread: those with most of it first. Who reads has next to nothing. */
function cutUnread(connections: ReadonlyMap<Socket, Connection>, bytesMax: number): number {
  const unread: { readonly socket: Socket; readonly bytes: number }[] = [];
  let total = 0;
  for (const [socket, connection] of connections) {
    const bytes = unreadBytes(socket, connection);
    if (bytes === 0) continue;
    unread.push({ socket, bytes });
    total += bytes;
  }
  if (total <= bytesMax) return 0;
  unread.sort((a, b) => b.bytes - a.bytes);
  let cut = 0;
  for (const { socket, bytes } of unread) {
    if (total <= bytesMax) break;
    socket.destroy();
    total -= bytes;
    cut += 1;
  }
  return cut;
}

/** What waits in this process: behind the socket, and in answers whose turn has not come. */
function unreadBytes(socket: Socket, { response, ahead }: Connection): number {
  let bytes = socket.writableLength;
  if (ahead.length === 0) return bytes;
  for (const each of [...ahead, response]) if (each?.socket === null) bytes += each.writableLength;
  return bytes;
}

/** The same, at most once a minute for each message: whoever causes it may do so a thousand times a second. */
function rarely(tell: ConnectionLimits["onTrouble"]): ConnectionLimits["onTrouble"] {
  const toldAt = new Map<string, number>();
  return (message, details) => {
    const now = performance.now();
    if (now - (toldAt.get(message) ?? -Infinity) < TELL_MS) return;
    toldAt.set(message, now);
    tell(message, details);
  };
}
