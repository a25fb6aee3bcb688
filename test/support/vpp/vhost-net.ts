import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

const SOURCES = join(import.meta.dirname, "vhost-net");
const OUT = join(import.meta.dirname, "../../../build/test");
const LIBRARY = join(OUT, "vhost-net.so");
const FLAGS = [
  ..."-std=c++17 -O2 -Wall -Wextra -Werror -fno-exceptions -fno-rtti -nodefaultlibs -fvisibility=hidden".split(" "),
  ..."-Wl,--exclude-libs,ALL -shared -fPIC -pthread -s".split(" "),
];

/** For the title of a suite with taps. */
export const vhostNetNote = existsSync("/dev/vhost-net") ? "" : ", /dev/vhost-net in user space";

/**
 * What a VPP must have in its environment so that it finds a /dev/vhost-net: one that is a thread of VPP's own process, where
 * the kernel has none. Built when it is older than its sources.
 */
export function vhostNetEnvironment(): Readonly<Record<string, string>> {
  if (existsSync("/dev/vhost-net")) return {};
  const files = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if ((statSync(LIBRARY, { throwIfNoEntry: false })?.mtimeMs ?? 0) <= newest) {
    mkdirSync(OUT, { recursive: true });
    const temporary = `${LIBRARY}.${process.pid}`;
    const units = files.filter((file) => file.endsWith(".cc"));
    execFileSync(process.env["CXX"] ?? "g++", [...FLAGS, "-o", temporary, ...units, "-lc"]);
    renameSync(temporary, LIBRARY);
  }
  return { LD_PRELOAD: LIBRARY };
}

/** Has a lab's agents start such a VPP, and give pods taps. */
export function withTaps(agent: readonly string[], podInterface = "tap"): readonly string[] {
  const env = Object.entries(vhostNetEnvironment()).map(([name, value]) => `${name}=${value}`);
  return ["env", ...env, ...agent, "--set", `vpp.podInterface=${podInterface}`];
}
