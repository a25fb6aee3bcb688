import { type IpAddress, tryParseIp } from "../base/ip/address.ts";
import { IPAM_PREFIX } from "./api.ts";

// What IPAM has to remember besides who holds what:
//   ipam/cursor/10.1.2.0/24 = "17"               where the next search begins
//   ipam/released/10.1.2.9  = "1767225600000"    wall-clock milliseconds; there while the address is in quarantine

const CURSOR_PREFIX = `${IPAM_PREFIX}cursor/`;
const RELEASED_PREFIX = `${IPAM_PREFIX}released/`;

export const cursorKey = (pool: string): string => `${CURSOR_PREFIX}${pool}`;
export const releasedKey = (ip: IpAddress): string => `${RELEASED_PREFIX}${ip}`;

export interface IpamRecords {
  readonly cursors: readonly { readonly key: string; readonly pool: string; readonly cursor: number }[];
  /** By time. */
  readonly releases: readonly { readonly key: string; readonly ip: IpAddress; readonly at: number }[];
  /** Records that can't be read; they cost a little of the rotation, no more. */
  readonly bad: readonly { readonly key: string; readonly problem: string }[];
}

export function readRecords(state: Iterable<readonly [key: string, value: string]>): IpamRecords {
  const cursors: { key: string; pool: string; cursor: number }[] = [];
  const releases: { key: string; ip: IpAddress; at: number }[] = [];
  const bad: { key: string; problem: string }[] = [];
  for (const [key, value] of state) {
    const number = /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
    const ip = key.startsWith(RELEASED_PREFIX) ? tryParseIp(key.slice(RELEASED_PREFIX.length)) : undefined;
    if (number === undefined) {
      bad.push({ key, problem: `local database, ${key}: ${JSON.stringify(value.slice(0, 40))} is not a number` });
    } else if (key.startsWith(CURSOR_PREFIX)) {
      cursors.push({ key, pool: key.slice(CURSOR_PREFIX.length), cursor: number });
    } else if (ip !== undefined && releasedKey(ip) === key) {
      releases.push({ key, ip, at: number });
    } else {
      bad.push({ key, problem: `local database, ${key}: unknown record` });
    }
  }
  releases.sort((a, b) => a.at - b.at);
  return { cursors, releases, bad };
}
