import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkIp } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/* What VPP does with packets to its own addresses that it has no use for: it punts them. */

export interface PuntPath {
  readonly interface: string;
  /** Of the item's family. */
  readonly nextHop: string;
}

/** Punted packets are sent on, not dropped. */
export interface PuntRedirectValue {
  readonly family: 4 | 6;
  /** By which the packets came; absent: by any that has no item of its own. */
  readonly rx?: string;
  /** At least one; several share the packets. Their order means nothing. */
  readonly paths: readonly PuntPath[];
}

/** UDP to ports that nobody in VPP listens at is punted, not answered with "port unreachable". */
export interface PuntUnknownUdpValue {
  readonly family: 4 | 6;
}

export const PUNT_REDIRECT_PREFIX = "vpp/punt-redirect/";
export const PUNT_UNKNOWN_UDP_PREFIX = "vpp/punt-unknown-udp/";

/** No interface has the name `*`. */
export const puntRedirectKey = (v: Pick<PuntRedirectValue, "family" | "rx">): Key =>
  `${PUNT_REDIRECT_PREFIX}${v.family}/${v.rx ?? "*"}`;
export const puntUnknownUdpKey = (family: 4 | 6): Key => `${PUNT_UNKNOWN_UDP_PREFIX}${family}`;

/** VPP makes at most so many buckets of a redirection. */
const MAX_PATHS = 255;

/**
 * VPP takes a redirection without paths, and paths of another family, without a word.
 *
 * @throws InvalidValueError
 */
export function validatePuntRedirect({ family, rx, paths }: PuntRedirectValue): void {
  if (rx !== undefined) checkInterfaceName(rx, "rx");
  check(paths.length > 0 && paths.length <= MAX_PATHS, "paths", `1 to ${MAX_PATHS}, not ${paths.length}`);
  const seen = new Set<string>();
  for (const path of paths) {
    checkInterfaceName(path.interface, "paths.interface");
    checkIp(path.nextHop, "paths.nextHop", family);
    check(path.nextHop !== "0.0.0.0" && path.nextHop !== "::", "paths.nextHop", `${path.nextHop} is nobody's address`);
    const text = puntPathText(path);
    check(!seen.has(text), "paths", `${text} is there twice`);
    seen.add(text);
  }
}

/** For people, and for comparison. */
export const puntPathText = (path: PuntPath): string => `${path.nextHop} on ${path.interface}`;
