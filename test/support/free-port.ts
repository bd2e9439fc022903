import { type AddressInfo, createServer } from "node:net";

/** A port that nobody listens on at the moment: for servers of others that cannot be asked for one. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
