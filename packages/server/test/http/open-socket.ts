import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { onTestFinished } from "vitest";

/** A connection to this machine, which ends with the test; what goes wrong with it shows in what it closes with. */
export async function openSocket(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}
