import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { VXLAN_LINK } from "../../../models/linux.ts";
import { type NftChainValue, type NftSetValue, nftChainKey, nftSetKey } from "../../../models/nft.ts";
import type { Client } from "../../../services/api.ts";
import { hostPortBase } from "./host-ports.ts";
import {
  CLUSTER_IPS,
  exceptions,
  FRONTENDS,
  HOST_PORTS_CHAIN,
  MASQUERADE_MARK,
  markText,
  NODE_ADDRESSES,
  NODE_PORTS,
  OTHER_CLIENTS,
  OTHERS_IPS,
  type OtherClient,
  REFUSE_CHAIN,
  REFUSE_MARK,
  REJECT_CHAIN,
  SERVICE_CIDRS,
  SERVICE_MARK,
} from "./names.ts";

const FAMILIES = [4, 6] as const;
const MASQUERADE = markText(MASQUERADE_MARK);
const REFUSE = markText(REFUSE_MARK);
/** Before the usual dstnat (-100): whoever else translates there sees what is left. */
const TRANSLATE = -111;
/** Behind all translation, which the kernel does at -100 whatever the chain's own number (NF_IP_PRI_NAT_DST). */
const TRANSLATED = -90;
/** Before the usual srcnat (100), and before that of pods (90). */
const SOURCE = 89;

/**
 * What leads packets to services and host ports, a fixed number of rules, whatever the number of those. `clients`: whose packets come by
 * here; with pods elsewhere it is the node's own only.
 *
 * A connection is looked up when it begins, in the order of src/services/api.ts, and gets its endpoint there and then. What
 * has to be refused is marked, and refused behind all translation: chains of type nat cannot. Policies, in the forward
 * hook, see the endpoint chosen and the client's own address, which is translated in the last hook only.
 */
export function* serviceBase(clients: readonly Client[]): Iterable<KeyValue> {
  yield* hostPortBase();
  for (const family of FAMILIES) {
    const addr = family === 4 ? "ipv4_addr" : "ipv6_addr";
    const verdicts = (name: string, type: string): KeyValue => set({ kind: "map", name, type, data: "verdict" });
    for (const suffix of [undefined, ...OTHER_CLIENTS]) {
      const named = (map: string): string => (suffix === undefined ? map : exceptions(map, suffix));
      yield verdicts(named(FRONTENDS[family]), `${addr} . inet_proto . inet_service`);
      yield verdicts(named(NODE_PORTS[family]), "inet_proto . inet_service");
    }
    for (const names of [NODE_ADDRESSES, CLUSTER_IPS, OTHERS_IPS]) {
      yield set({ kind: "set", name: names[family], type: addr });
    }
    yield set({ kind: "set", name: SERVICE_CIDRS[family], type: addr, flags: ["interval"] });
    if (clients.includes("pod")) yield podChain(family);
    for (const client of OTHER_CLIENTS) if (clients.includes(client)) yield otherChain(family, client);
  }
  yield chain({ name: REFUSE_CHAIN, rules: [`${on(REFUSE_MARK)} accept`], uses: [], jumps: [] });
  yield chain({ name: REJECT_CHAIN, rules: ["meta l4proto tcp reject with tcp reset", "reject"], uses: [], jumps: [] });
  yield chain({
    name: "service_leftover",
    rules: [
      "ct state { established, related } return",
      `ct mark & ${REFUSE} == ${REFUSE} goto ${REJECT_CHAIN}`,
      "ct status dnat return",
      ...FAMILIES.flatMap((f) => [
        `${ip(f)} daddr @${CLUSTER_IPS[f]} goto ${REJECT_CHAIN}`,
        `${ip(f)} daddr @${SERVICE_CIDRS[f]} ${ip(f)} daddr != @${OTHERS_IPS[f]} drop`,
      ]),
    ],
    uses: FAMILIES.flatMap((f) => [CLUSTER_IPS[f], SERVICE_CIDRS[f], OTHERS_IPS[f]]),
    jumps: [REJECT_CHAIN],
  });
  const passing = clients.filter((client) => client !== "node");
  if (passing.length > 0) {
    yield* hooked(
      "prerouting",
      passing.flatMap((client) => FAMILIES.map((f) => [f, client] as const)),
    );
  }
  if (clients.includes("node")) {
    yield* hooked(
      "output",
      FAMILIES.map((f) => [f, "node"] as const),
    );
  }
  yield chain({
    name: "service_snat",
    hook: { type: "nat", hook: "postrouting", priority: SOURCE },
    rules: [
      `ct status dnat ct mark & ${MASQUERADE} == ${MASQUERADE} masquerade`,
      // From the node's loopback: the pod would answer 127.0.0.1 to itself.
      'ct status dnat ip saddr 127.0.0.0/8 oifname "hd*" masquerade',
    ],
    uses: [],
    jumps: [],
  });
}

function* hooked(
  hook: "output" | "prerouting",
  looked: readonly (readonly [family: 4 | 6, client: Client])[],
): Iterable<KeyValue> {
  // Of links that are neither the overlay's nor somebody else's: pods.
  const fromPods = `iifname "hd*" iifname != "${VXLAN_LINK}" `;
  yield chain({
    name: `service_${hook}`,
    hook: { type: "nat", hook, priority: TRANSLATE },
    rules: looked.map(([f, client]) => {
      // Pods' come first, and none of them goes on behind that.
      const verb = client === "pod" ? "goto" : "jump";
      return `${client === "pod" ? fromPods : ""}meta nfproto ipv${f} ${verb} ${clientChain(f, client)}`;
    }),
    uses: [],
    jumps: looked.map(([f, client]) => clientChain(f, client)),
  });
  yield chain({
    name: `service_${hook}_filter`,
    hook: { type: "filter", hook, priority: TRANSLATED },
    rules: ["jump service_leftover"],
    uses: [],
    jumps: ["service_leftover"],
  });
}

function podChain(family: 4 | 6): KeyValue {
  const [ips, ports, nodes] = [FRONTENDS[family], NODE_PORTS[family], NODE_ADDRESSES[family]];
  return chain({
    name: clientChain(family, "pod"),
    rules: [on(SERVICE_MARK), byAddress(family, ips), byPort(family, ports), TO_HOST_PORTS, off(SERVICE_MARK)],
    uses: [ips, ports, nodes],
    jumps: [HOST_PORTS_CHAIN],
  });
}

/** Exceptions come first. All else is as for pods, but that the endpoint is not to see the client's address. */
function otherChain(family: 4 | 6, client: OtherClient): KeyValue {
  const [ips, ports, nodes] = [FRONTENDS[family], NODE_PORTS[family], NODE_ADDRESSES[family]];
  return chain({
    name: clientChain(family, client),
    rules: [
      on(SERVICE_MARK),
      byAddress(family, exceptions(ips, client)),
      on(MASQUERADE_MARK),
      byAddress(family, ips),
      off(MASQUERADE_MARK),
      byPort(family, exceptions(ports, client)),
      on(MASQUERADE_MARK),
      byPort(family, ports),
      off(MASQUERADE_MARK),
      TO_HOST_PORTS,
      off(SERVICE_MARK),
    ],
    uses: [ips, ports, exceptions(ips, client), exceptions(ports, client), nodes],
    jumps: [HOST_PORTS_CHAIN],
  });
}

const TO_HOST_PORTS = `meta l4proto { tcp, udp, sctp } fib daddr type local jump ${HOST_PORTS_CHAIN}`;

const byAddress = (family: 4 | 6, map: string): string => `${ip(family)} daddr . meta l4proto . th dport vmap @${map}`;
const byPort = (family: 4 | 6, map: string): string =>
  `${ip(family)} daddr @${NODE_ADDRESSES[family]} meta l4proto . th dport vmap @${map}`;
const on = (mark: number): string => `ct mark set ct mark | ${markText(mark)}`;
const off = (mark: number): string => `ct mark set ct mark & ${markText(~mark >>> 0)}`;

const clientChain = (family: 4 | 6, client: Client): string => `service_from_${client}${family}`;
const ip = (family: 4 | 6): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
