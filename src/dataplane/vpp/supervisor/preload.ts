import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const LIBRARY = join("build", "heddle_vpp_epoll.so");

/** Most AF_PACKET queues of one of VPP's threads that may have something to read at once; with one more VPP 26.06 hangs. */
export const MOST_READABLE = 15;

/**
 * What VPP's environment must have so that it survives more than {@link MOST_READABLE} readable packet sockets; see
 * native/vpp/epoll-batch.cc. Empty if the library was not built.
 */
export function preloadEnvironment(env: NodeJS.ProcessEnv = process.env): Readonly<Record<string, string>> {
  const library = findLibrary();
  if (library === undefined) return {};
  return { LD_PRELOAD: [library, env["LD_PRELOAD"]].filter((path) => path !== undefined && path !== "").join(":") };
}

function findLibrary(): string | undefined {
  // The sources are four levels below the package's root, a bundle in dist/ fewer.
  for (let dir = dirname(fileURLToPath(import.meta.url)); ; dir = dirname(dir)) {
    const path = join(dir, LIBRARY);
    if (existsSync(path)) return path;
    if (dirname(dir) === dir) return undefined;
  }
}
