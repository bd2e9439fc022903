/** A witness on a disk that runs full: it cosigns nothing that it could not write down, and goes on once there is room. */
import { join } from "node:path";
import { addLog, initWitness } from "@tallystick/witness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestLog } from "../../packages/witness/test/test-log.ts";
import { removeFolder, temporaryFolder } from "../support/processes.ts";
import { CAN_MOUNT, SmallDisk, commandLine } from "../support/small-disk.ts";

describe.skipIf(!CAN_MOUNT)("a witness whose disk is full (mounts of one's own are needed)", () => {
  const log = new TestLog({ size: 64 });
  let folder: string;
  let disk: SmallDisk;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const dir = join(folder, "w1");
    await initWitness({ dir, name: "witness.example/w1" });
    await addLog({ dir, vkey: log.vkey });
    disk = await SmallDisk.create(join(folder, "disk"), { mebibytes: 1 });
    await disk.run(`cp -a '${dir}' '${disk.path}/w1' && echo copied`, /^copied$/m);
  }, 60_000);

  afterAll(async () => {
    await disk?.end();
    await removeFolder(folder);
  });

  test("C-147 answers 503 with Retry-After while there is no room, and remembers all that it cosigned", async () => {
    const line = `${commandLine("witness", "serve", "--dir", join(disk.path, "w1"), "--json", "--listen", "127.0.0.1:0")} &`;
    const [, url = ""] = await disk.run(line, /"url":\s*"([^"]+)"/);
    const add = async (from: number, to: number): Promise<Response> =>
      fetch(`${url}/add-checkpoint`, { method: "POST", body: new Uint8Array(log.request(from, to)) });
    expect((await add(0, 3)).status).toBe(200);
    await disk.fill();
    for (const size of [5, 8]) {
      const refused = await add(3, size);
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, expect.stringMatching(/^\d+$/)]);
      expect(await refused.text()).not.toContain("—");
    }
    await disk.makeRoom();
    const again = await add(3, 8);
    expect([again.status, await again.text()]).toEqual([200, expect.stringContaining("—")]);
    await disk.run("kill -TERM $!; wait $!; echo ended $?", /^ended \d+$/m);
    const [, restarted = ""] = await disk.run(line, /"url":\s*"([^"]+)"/);
    const old = await fetch(`${restarted}/add-checkpoint`, { method: "POST", body: new Uint8Array(log.request(3, 9)) });
    expect([old.status, await old.text()]).toEqual([409, "8\n"]);
    await disk.run("kill -TERM $!; wait $!; echo ended $?", /^ended \d+$/m);
  }, 120_000);
});
