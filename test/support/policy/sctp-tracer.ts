import { familyOf, type IpAddress, type IpFamily, ipToBytes, parseIp } from "../../../src/base/ip/address.ts";
import {
  EXTENSIONS,
  extensions,
  maskOf,
  matchOf,
  passes,
  placeOf,
  shapeOf,
  type Way,
} from "../../../src/dataplane/vpp/sctp/layout.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { parseSctpRule, SCTP_PREFIX, type SctpRulesValue } from "../../../src/models/vpp/sctp.ts";

export interface SctpPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly from: number;
  readonly to: number;
  /** Of the first chunk; an INIT if absent. */
  readonly chunk?: number;
}

interface Entry {
  readonly place: number;
  readonly mask: Uint8Array;
  readonly match: Uint8Array;
  readonly passes: boolean;
}

/** The first bytes of a packet of SCTP. */
export function sctpBytes({ source, destination, from, to, chunk = 1 }: SctpPacket): Uint8Array {
  const family = familyOf(source);
  const bytes = new Uint8Array(80);
  const [proto, addresses, payload] = family === 4 ? [9, 12, 20] : [6, 8, 40];
  bytes[0] = family === 4 ? 0x45 : 0x60;
  if (family === 4) bytes[6] = 0x40; // don't fragment
  bytes[proto] = 132;
  bytes.set(ipToBytes(source), addresses);
  bytes.set(ipToBytes(destination), addresses + ipToBytes(source).length);
  const view = new DataView(bytes.buffer);
  view.setUint16(payload, from);
  view.setUint16(payload + 2, to);
  view.setUint32(payload + 4, chunk === 1 ? 0 : 0xdecafbad);
  bytes[payload + 12] = chunk;
  return bytes;
}

/** What VPP's classifier would make of packets of SCTP, by their bytes, from the items alone. */
export class SctpTracer {
  readonly #entries = new Map<string, Entry[]>();

  constructor(items: ReadonlyMap<Key, unknown>) {
    for (const way of ["input", "output"] as const) {
      const { mask, matches } = extensions();
      this.#of(6, way).push(...matches.map((match) => ({ place: EXTENSIONS, mask, match, passes: false })));
    }
    for (const [key, item] of items) {
      if (!key.startsWith(SCTP_PREFIX)) continue;
      const { direction, address, rules } = item as SctpRulesValue;
      const [way, ip] = [direction === "egress" ? ("input" as const) : ("output" as const), parseIp(address)];
      const family = familyOf(ip);
      for (const rule of rules.map(parseSctpRule)) {
        const shape = shapeOf(rule);
        const [mask, match] = [maskOf(family, way, shape), matchOf(family, way, ip, rule)];
        this.#of(family, way).push({ place: placeOf(family, shape), mask, match, passes: passes(rule.kind) });
      }
    }
    for (const entries of this.#entries.values()) entries.sort((a, b) => a.place - b.place);
  }

  passes(way: Way, bytes: Uint8Array): boolean {
    const family = (bytes[0] ?? 0) >> 4 === 4 ? 4 : 6;
    const first = this.#of(family, way).find(({ mask, match }) =>
      mask.every((m, i) => (m & (bytes[i] ?? 0)) === match[i]),
    );
    return first?.passes ?? true;
  }

  #of(family: IpFamily, way: Way): Entry[] {
    const known = this.#entries.get(`${way} ${family}`) ?? [];
    this.#entries.set(`${way} ${family}`, known);
    return known;
  }
}
