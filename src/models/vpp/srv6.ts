import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp, checkNetwork } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/* Segment routing over IPv6 (RFC 8402, RFC 8754, RFC 8986). Micro SIDs and path tracing are not among it. */

/** What is done with a packet that is sent to a local SID; names as in RFC 8986, section 4. */
export type Srv6Behavior =
  /** To the next segment; `psp`: the header is taken off when that is the last one. */
  | { readonly type: "end"; readonly psp: boolean }
  /** To the next segment, through a next hop. */
  | { readonly type: "end.x"; readonly psp: boolean; readonly interface: string; readonly nextHop: string }
  /** To the next segment, looked up in another table. */
  | { readonly type: "end.t"; readonly psp: boolean; readonly vrf: number }
  /** The Ethernet frame within leaves by an interface. */
  | { readonly type: "end.dx2"; readonly interface: string }
  /** The packet within goes to a next hop, of IPv4 and IPv6. */
  | { readonly type: "end.dx4" | "end.dx6"; readonly interface: string; readonly nextHop: string }
  /** The packet within is looked up in a table, of IPv4 and IPv6. */
  | { readonly type: "end.dt4" | "end.dt6"; readonly vrf: number };

/** An address of this node that stands for something to be done. */
export interface Srv6LocalSidValue {
  readonly sid: string;
  /** VRF in which the SID is an address. */
  readonly vrf: number;
  readonly behavior: Srv6Behavior;
}

/** One of the ways of a policy. */
export interface Srv6SegmentList {
  /** 1 to 16, the next one first. */
  readonly segments: readonly string[];
  /** Share of the packets among the lists: 1 to 255. */
  readonly weight: number;
}

/** What is sent along lists of segments, known by an address of this node (the binding SID). */
export interface Srv6PolicyValue {
  readonly bsid: string;
  /** VRF in which the first segment and the binding SID are looked up. */
  readonly vrf: number;
  /** Source of a new outer header; absent: the header is put into the IPv6 packet itself. */
  readonly encapSource?: string;
  /** Every packet takes all lists, instead of one. */
  readonly spray: boolean;
  /** At least one; their order means nothing. */
  readonly lists: readonly Srv6SegmentList[];
}

/** What is sent along a policy: packets to a prefix, or all frames of an interface. Frames and IPv4 need a policy with an outer header. */
export interface Srv6SteeringValue {
  readonly traffic: { readonly prefix: string; readonly vrf: number } | { readonly interface: string };
  /** Its binding SID. */
  readonly policy: string;
}

export const SRV6_LOCALSID_PREFIX = "vpp/srv6-localsid/";
export const SRV6_POLICY_PREFIX = "vpp/srv6-policy/";
export const SRV6_STEERING_PREFIX = "vpp/srv6-steering/";

export const srv6LocalSidKey = (sid: string): Key => `${SRV6_LOCALSID_PREFIX}${sid}`;
export const srv6PolicyKey = (bsid: string): Key => `${SRV6_POLICY_PREFIX}${bsid}`;
export const srv6SteeringKey = ({ traffic }: Pick<Srv6SteeringValue, "traffic">): Key =>
  "interface" in traffic
    ? `${SRV6_STEERING_PREFIX}l2/${traffic.interface}`
    : `${SRV6_STEERING_PREFIX}l3/${traffic.vrf}/${traffic.prefix}`;

const MAX_TABLE = 0xffff_fffe;
/** What a message has room for. */
const MAX_SEGMENTS = 16;

/** Throws `InvalidValueError`. */
export function validateSrv6LocalSid({ sid, vrf, behavior }: Srv6LocalSidValue): void {
  checkSid(sid, "sid");
  checkInteger(vrf, "vrf", 0, MAX_TABLE);
  if ("vrf" in behavior) checkInteger(behavior.vrf, "behavior.vrf", 0, MAX_TABLE);
  if ("interface" in behavior) checkInterfaceName(behavior.interface, "behavior.interface");
  if (!("nextHop" in behavior)) return;
  checkIp(behavior.nextHop, "behavior.nextHop", behavior.type === "end.dx4" ? 4 : 6);
  const isAny = behavior.nextHop === "0.0.0.0" || behavior.nextHop === "::";
  check(!isAny, "behavior.nextHop", `${behavior.nextHop} is nobody's address`);
}

/** VPP dies of a list without segments. Throws `InvalidValueError`. */
export function validateSrv6Policy({ bsid, vrf, encapSource, lists }: Srv6PolicyValue): void {
  checkSid(bsid, "bsid");
  checkInteger(vrf, "vrf", 0, MAX_TABLE);
  if (encapSource !== undefined) checkSid(encapSource, "encapSource");
  check(lists.length > 0 && lists.length <= 255, "lists", `1 to 255, not ${lists.length}`);
  for (const [i, { segments, weight }] of lists.entries()) {
    const { length } = segments;
    check(length > 0 && length <= MAX_SEGMENTS, `lists[${i}].segments`, `1 to ${MAX_SEGMENTS}, not ${length}`);
    for (const segment of segments) checkSid(segment, `lists[${i}].segments`);
    checkInteger(weight, `lists[${i}].weight`, 1, 255);
  }
  const texts = lists.map(({ segments }) => segments.join());
  check(new Set(texts).size === texts.length, "lists", "has the same segments twice: add their weights");
}

/** Throws `InvalidValueError`. */
export function validateSrv6Steering({ traffic, policy }: Srv6SteeringValue): void {
  checkSid(policy, "policy");
  if ("interface" in traffic) return checkInterfaceName(traffic.interface, "traffic.interface");
  checkNetwork(traffic.prefix, "traffic.prefix");
  checkInteger(traffic.vrf, "traffic.vrf", 0, MAX_TABLE);
}

function checkSid(text: string, field: string): void {
  checkIp(text, field, 6);
  check(!/^(ff|fe[89ab]|::$)/.test(text), field, `${text} is no global unicast address`);
}
