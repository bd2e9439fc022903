/** Node's own file calls, of which one goes wrong: for code that has no port for its files. One plan at a time. */
import { promises as files } from "node:fs";
import { open } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { devNull } from "node:os";
import type { FaultPlan } from "./faulty-writes.ts";

type Call = (this: unknown, ...parameters: unknown[]) => Promise<unknown>;

/** Runs `work` while the writes of this process go through the plan. */
export async function withFaultyFiles<T>(plan: FaultPlan, work: () => Promise<T>): Promise<T> {
  const handle = await open(devNull, "r");
  const handles: object = Object.getPrototypeOf(handle);
  await handle.close();
  const restore = [
    replaceCall(handles, "write", (write) => faultyWrite(plan, write)),
    replaceCall(handles, "writeFile", (write) => faultyWriteFile(plan, write)),
    ...["truncate", "sync", "datasync"].map((name) => replaceCall(handles, name, (call) => faulty(plan, call))),
    ...["link", "rename"].map((name) => replaceCall(files, name, (call) => faulty(plan, call))),
  ];
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    for (const step of restore) step();
    syncBuiltinESMExports();
  }
}

function replaceCall(owner: object, name: string, wrap: (call: Call) => Call): () => void {
  const call = Reflect.get(owner, name) as Call;
  Reflect.set(owner, name, wrap(call));
  return () => void Reflect.set(owner, name, call);
}

/** What is not a write has no half. */
function faulty(plan: FaultPlan, call: Call): Call {
  return async function (this: unknown, ...parameters) {
    return plan.run(async () => call.apply(this, parameters));
  };
}

/** `write(bytes, offset, length, position)` */
function faultyWrite(plan: FaultPlan, write: Call): Call {
  return async function (this: unknown, bytes, offset, length, position) {
    return plan.run(
      async () => write.call(this, bytes, offset, length, position),
      async () => write.call(this, bytes, offset, Math.floor(Number(length) / 2), position),
    );
  };
}

/** `writeFile(text)` */
function faultyWriteFile(plan: FaultPlan, writeFile: Call): Call {
  return async function (this: unknown, text) {
    return plan.run(
      async () => writeFile.call(this, text),
      async () => writeFile.call(this, String(text).slice(0, String(text).length / 2)),
    );
  };
}
