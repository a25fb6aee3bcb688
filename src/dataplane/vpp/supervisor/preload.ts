import { packageFile } from "../../../base/files/package-file.ts";

const LIBRARY = "build/heddle_vpp_epoll.so";

/** Names the keeper's socket to the library: kKeeperVariable of native/vpp/protocol.h. */
const KEEPER_SOCKET = "HEDDLE_VPP_SOCKETS";

/** Most AF_PACKET queues of one of VPP's threads that may have something to read at once; with one more VPP 26.06 hangs. */
export const MOST_READABLE = 15;

/**
 * What VPP's environment must have so that it survives more than {@link MOST_READABLE} readable packet sockets, see
 * native/vpp/epoll-wait.cc, and has its packet sockets from the keeper that listens at `keeperSocket`. Empty if the library
 * was not built.
 */
export function preloadEnvironment(
  keeperSocket?: string,
  env: NodeJS.ProcessEnv = process.env,
): Readonly<Record<string, string>> {
  const library = packageFile(LIBRARY);
  if (library === undefined) return {};
  return {
    LD_PRELOAD: [library, env["LD_PRELOAD"]].filter((path) => path !== undefined && path !== "").join(":"),
    ...(keeperSocket === undefined ? {} : { [KEEPER_SOCKET]: keeperSocket }),
  };
}
