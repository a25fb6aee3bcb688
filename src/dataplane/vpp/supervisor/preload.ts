import { packageFile } from "../../../base/files/package-file.ts";

const LIBRARY = "build/heddle_vpp_epoll.so";

/** Most AF_PACKET queues of one of VPP's threads that may have something to read at once; with one more VPP 26.06 hangs. */
export const MOST_READABLE = 15;

/**
 * What VPP's environment must have so that it survives more than {@link MOST_READABLE} readable packet sockets; see
 * native/vpp/epoll-batch.cc. Empty if the library was not built.
 */
export function preloadEnvironment(env: NodeJS.ProcessEnv = process.env): Readonly<Record<string, string>> {
  const library = packageFile(LIBRARY);
  if (library === undefined) return {};
  return { LD_PRELOAD: [library, env["LD_PRELOAD"]].filter((path) => path !== undefined && path !== "").join(":") };
}
