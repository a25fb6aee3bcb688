import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { VXLAN_LINK } from "../../../models/linux.ts";
import { type NftChainValue, type NftSetValue, nftChainKey, nftSetKey } from "../../../models/nft.ts";
import type { Direction } from "../../../policy/api.ts";
import { SETS } from "../nodes/nft-base.ts";
import {
  DENIED_BY_RULES,
  DENIED_CHAIN,
  DENIED_MARK,
  DENIED_PODS,
  POD_LINKS,
  POD_MAPS,
  POD_SOURCES,
  SOURCE_CHAIN,
} from "./names.ts";

const MARK = `0x${DENIED_MARK.toString(16).padStart(8, "0")}`;
const JUDGED_AGAIN = `ct mark & ${MARK} == ${MARK} goto ${DENIED_CHAIN}`;
/** Of links that are neither the overlay's nor somebody else's. */
const POD_IN = `iifname "hd*" iifname != "${VXLAN_LINK}"`;
const POD_OUT = `oifname "hd*" oifname != "${VXLAN_LINK}"`;
/** Priority of the kernel's own packet filters (NF_IP_PRI_FILTER). */
const FILTER = 0;
/** Of each packet that is told of: headers of IPv6 with some extensions, and the ports behind them. */
export const LOGGED_BYTES = 128;

/** Which denied packets user space is told of. */
export interface DeniedPackets {
  /** Of nfnetlink_log. */
  readonly group: number;
  /** At most so many, in each direction; a few more at once. */
  readonly perSecond: number;
}

/**
 * What judges packets of pods, a fixed number of rules, whatever the number of pods and policies. The order of each chain is
 * that of src/policy/api.ts: connections judged again, then what belongs to a connection, the pod itself, the pod that sends,
 * the pod that gets. Traffic of the node itself comes by neither forward nor prerouting, so nobody else can pass for it.
 */
export function* policyBase(told?: DeniedPackets): Iterable<KeyValue> {
  for (const name of Object.values(POD_MAPS)) yield set({ kind: "map", name, type: "ifname", data: "verdict" });
  yield set({ kind: "set", name: POD_LINKS, type: "ifname" });
  yield set({ kind: "set", name: POD_SOURCES[4], type: "ifname . ipv4_addr" });
  yield set({ kind: "set", name: POD_SOURCES[6], type: "ifname . ipv6_addr" });
  yield chain({ name: DENIED_CHAIN, rules: ["counter drop"], uses: [], jumps: [] });
  for (const direction of ["egress", "ingress"] as const) yield* deniedByRules(direction, told);
  // Before connections are tracked, as raw (-300): a pod sends from its own addresses, or nothing.
  yield chain({
    name: SOURCE_CHAIN,
    hook: { type: "filter", hook: "prerouting", priority: -300 },
    rules: [
      `${POD_IN} meta nfproto ipv4 iifname . ip saddr != @${POD_SOURCES[4]} counter drop`,
      // What IPv6 needs to find its neighbours; the kernel forwards nothing of it.
      `${POD_IN} ip6 saddr { ::, fe80::/10 } return`,
      `${POD_IN} meta nfproto ipv6 iifname . ip6 saddr != @${POD_SOURCES[6]} counter drop`,
    ],
    uses: Object.values(POD_SOURCES),
    jumps: [],
  });
  yield chain({
    name: "policy_forward",
    hook: { type: "filter", hook: "forward", priority: FILTER },
    rules: [
      JUDGED_AGAIN,
      "ct state { established, related } accept",
      ...([4, 6] as const).map((f) => `${ip(f)} saddr . ${ip(f)} daddr @${SETS.hairpin[f]} accept`),
      `iifname vmap @${POD_MAPS.egress}`,
      // A link that is not known (yet) gets nothing; from it nothing comes this far.
      `${POD_OUT} oifname != @${POD_LINKS} goto ${DENIED_CHAIN}`,
      `oifname vmap @${POD_MAPS.ingress}`,
    ],
    uses: [...Object.values(SETS.hairpin), ...Object.values(POD_MAPS), POD_LINKS],
    jumps: [DENIED_CHAIN],
  });
  // To the node itself: the pod that sends is judged.
  yield chain({
    name: "policy_input",
    hook: { type: "filter", hook: "input", priority: FILTER },
    rules: [
      JUDGED_AGAIN,
      "ct state { established, related } accept",
      `${POD_IN} icmpv6 type ${NEIGHBOUR_MESSAGES} accept`,
      `iifname vmap @${POD_MAPS.egress}`,
    ],
    uses: [POD_MAPS.egress],
    jumps: [DENIED_CHAIN],
  });
  // From the node: never judged, but a connection of a pod to it may be over.
  yield chain({
    name: "policy_output",
    hook: { type: "filter", hook: "output", priority: FILTER },
    rules: [`${POD_OUT} ${JUDGED_AGAIN}`],
    uses: [],
    jumps: [DENIED_CHAIN],
  });
}

/** Counts what was denied to each pod, tells user space of some of it, and drops it. */
function* deniedByRules(direction: Direction, told: DeniedPackets | undefined): Iterable<KeyValue> {
  const pods = DENIED_PODS[direction];
  const log =
    told &&
    `limit rate ${told.perSecond}/second burst ${2 * told.perSecond} packets ` +
      `log prefix "${direction}" group ${told.group} snaplen ${LOGGED_BYTES}`;
  yield set({ kind: "set", name: pods, type: "ifname", counters: true });
  yield chain({
    name: DENIED_BY_RULES[direction],
    rules: [`${direction === "egress" ? "iifname" : "oifname"} @${pods}`, ...(log ? [log] : []), "drop"],
    uses: [pods],
    jumps: [],
  });
}

/** Neighbour discovery (RFC 4861) and multicast listener reports (RFC 3810), which no policy is about. */
const NEIGHBOUR_MESSAGES =
  "{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report }";

const ip = (family: 4 | 6): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
