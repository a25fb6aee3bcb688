import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { errnoOf } from "../../../base/errors/errors.ts";
import { type VppExit, VppStartError } from "./errors.ts";
import { formatIdentity, identify, isAlive, type ProcessIdentity, parseIdentity } from "./identity.ts";

export interface DetachedSpec {
  readonly command: readonly [string, ...string[]];
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Where its output goes: a pipe that nobody reads would end it. */
  readonly output: string;
  /** Where it is written down for a process that comes after this one. */
  readonly pid: string;
}

/** Starts a process in a session of its own, so that it outlives this one. Rejects with `VppStartError`. */
export async function startDetached(spec: DetachedSpec): Promise<{ id: ProcessIdentity; exited: Promise<VppExit> }> {
  const [file, ...args] = spec.command;
  const output = openSync(spec.output, "w", 0o600);
  const child = spawn(file, args, {
    detached: true,
    stdio: ["ignore", output, output],
    cwd: "/",
    env: { ...process.env, ...spec.env },
  });
  closeSync(output);
  const exited = new Promise<VppExit>((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
  await new Promise<void>((resolve, reject) => {
    child.on("spawn", resolve);
    child.on("error", (cause) =>
      reject(new VppStartError("VPP_NO_START", `cannot start ${file}: ${cause.message}`, { cause })),
    );
  });
  child.unref();
  const pid = child.pid ?? 0;
  // One that ended at once still has an identity: one that is not alive.
  const id = identify(pid) ?? { pid, startTime: "ended" };
  writeFileSync(spec.pid, formatIdentity(id));
  return { id, exited };
}

/** The process that is written down in that file, if it runs. */
export function findDetached(pidFile: string): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(pidFile, "utf8");
  } catch (e) {
    if (errnoOf(e) === "ENOENT") return undefined;
    throw e;
  }
  const id = parseIdentity(text);
  return id && isAlive(id) ? id : undefined;
}
