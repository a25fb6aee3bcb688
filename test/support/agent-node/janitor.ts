import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { listNetns } from "../../../src/lab/net/ip.ts";

/**
 * What tests have made on this machine and not yet removed: a test run that ends without its `afterAll` (a failed hook, an
 * interrupt) still takes it down. Processes are known by the handles of those that we started ourselves.
 */
const processes = new Set<{ kill(signal: "SIGKILL"): unknown }>();
const netnses = new Set<string>();
const dirs = new Set<string>();

export const janitor = {
  process: (child: { kill(signal: "SIGKILL"): unknown }) => processes.add(child),
  processEnded: (child: { kill(signal: "SIGKILL"): unknown }) => processes.delete(child),
  netns: (name: string) => netnses.add(name),
  netnsGone: (name: string) => netnses.delete(name),
  dir: (path: string) => dirs.add(path),
  dirGone: (path: string) => dirs.delete(path),
};

process.once("exit", () => {
  for (const child of processes) child.kill("SIGKILL");
  const there = new Set(netnses.size > 0 ? listNetns() : []);
  for (const name of netnses) if (there.has(name)) spawnSync("ip", ["netns", "del", name]);
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});
