import * as fc from "fast-check";
import { expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { nftBaseItems } from "../../../src/dataplane/linux/nodes/nft-base.ts";
import { policyBase } from "../../../src/dataplane/linux/policy/base.ts";
import { renderPolicies, renderPolicyChanges } from "../../../src/dataplane/linux/policy/renderer.ts";
import { tablePlaces } from "../../../src/dataplane/linux/policy/tables.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { NftTracer } from "../../support/policy/nft-tracer.ts";
import { oracleAllows } from "../../support/policy-oracle/oracle.ts";
import {
  ALL_ADDRESSES,
  beginning,
  edit,
  NODE_ADDRESSES,
  stateAfter,
  thisNode,
} from "../../support/policy-oracle/random-cluster.ts";
import { PORTS } from "../../support/policy-oracle/random-policies.ts";
import type { OracleState, OracleWiring } from "../../support/policy-oracle/state.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP", "ICMP"] as const;
const BASE = [
  ...nftBaseItems({ podCIDRs: [], clusterCIDRs: [], masquerade: false }),
  ...policyBase({ group: 1, perSecond: 10 }),
];

const history = fc.tuple(
  beginning,
  fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 8 }),
);

const itemsOf = (engine: PolicyEngine): Map<Key, unknown> =>
  new Map([...BASE, ...renderPolicies(engine.rows())].map(({ key, value }) => [key, value]));

it("what nftables gets lets through exactly what the API's text allows", () => {
  let traced = 0;
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const inputs = [thisNode, ...first, ...batches.flat()];
      const engine = new PolicyEngine();
      engine.apply(inputs);
      const tracer = new NftTracer(itemsOf(engine));
      const state = stateAfter(inputs);
      for (const [link, wiring] of state.wirings) traced += compare(tracer, state, link, wiring);
    }),
    { numRuns: 150 },
  );
  expect(traced).toBeGreaterThan(50_000);
});

it("changes lead to the same items as everything anew", () => {
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const engine = new PolicyEngine();
      engine.apply([thisNode, ...first]);
      const items = itemsOf(engine);
      for (const batch of batches) {
        for (const { key, value } of renderPolicyChanges(engine.apply(batch), engine)) {
          if (value === undefined) items.delete(key);
          else items.set(key, value);
        }
        expect(items).toEqual(itemsOf(engine));
      }
    }),
    { numRuns: 150 },
  );
});

it("what is denied by rules is counted for the pod and by the rule that says so, and told of", () => {
  let denied = 0;
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const engine = new PolicyEngine();
      const inputs = [thisNode, ...first, ...batches.flat()];
      engine.apply(inputs);
      const tracer = new NftTracer(itemsOf(engine));
      for (const [link, wiring] of stateAfter(inputs).wirings) denied += compareCounted(tracer, engine, link, wiring);
    }),
    { numRuns: 50 },
  );
  expect(denied).toBeGreaterThan(100);
});

/** What a packet from a peer that is neither the pod nor its node has counted, beside what the engine's judge decides. */
function compareCounted(tracer: NftTracer, engine: PolicyEngine, link: string, wiring: OracleWiring): number {
  let denied = 0;
  const table = engine.table(engine.row(link)?.ingress ?? ("" as never));
  for (const peer of ALL_ADDRESSES) {
    const own = ownAddress(wiring, peer);
    if (!table || own === undefined || wiring.ips.includes(peer) || NODE_ADDRESSES.includes(peer)) continue;
    tracer.takeCounted();
    const common = { l4proto: "tcp", dport: PORTS[0] ?? 0, isLocal: false };
    const passes = tracer.passes("policy_forward", {
      ...common,
      iifname: "uplink0",
      oifname: link,
      saddr: peer,
      daddr: own,
    });
    const counted = tracer.takeCounted();
    const judged = engine.verdict(link, "ingress", { peer, protocol: "TCP", port: common.dport }, () => false);
    const tier = table.tiers.findIndex((t) => t.name === judged?.tier);
    const rule = judged?.rule ? table.tiers[tier]?.rules.indexOf(judged.rule) : "end";
    const chain = tablePlaces(table)[tier];
    const expected = chain?.places.flatMap((place, i) => (place === rule ? [`${chain.chain}[${i}]`] : [])) ?? [];
    // One of nftables' rules of the policy's rule, and none of those behind it.
    if (tier >= 0) expect(expected.filter((place) => counted.has(place))).toHaveLength(1);
    expect(counted.has(`pod_denied_ingress ${link}`)).toBe(!passes);
    expect(counted.has("policy_denied_ingress[1]")).toBe(!passes);
    if (!passes) denied++;
  }
  return denied;
}

/** The address of a wiring that has one of the family. */
const ownAddress = (wiring: OracleWiring, peer: IpAddress): IpAddress | undefined =>
  wiring.ips.map((ip) => parseIp(ip)).find((ip) => ip.includes(":") === peer.includes(":"));

function compare(tracer: NftTracer, state: OracleState, link: string, wiring: OracleWiring): number {
  let count = 0;
  for (const peer of ALL_ADDRESSES) {
    const own = ownAddress(wiring, peer);
    // A pod's packets to itself stay in it; what the node itself sends is not forwarded.
    if (own === undefined || wiring.ips.includes(peer)) continue;
    const isLocal = NODE_ADDRESSES.includes(peer);
    for (const protocol of PROTOCOLS) {
      for (const port of protocol === "ICMP" ? [0] : PORTS) {
        const common = { l4proto: protocol.toLowerCase(), dport: port };
        const egress = { ...common, iifname: link, oifname: "uplink0", saddr: own, daddr: peer, isLocal };
        const expected = {
          egress: oracleAllows(state, wiring, { direction: "egress", peer, protocol, port }),
          ingress: isLocal || oracleAllows(state, wiring, { direction: "ingress", peer, protocol, port }),
        };
        const ingress = { ...common, iifname: "uplink0", oifname: link, saddr: peer, daddr: own, isLocal: false };
        const got = {
          egress: tracer.passes(isLocal ? "policy_input" : "policy_forward", egress),
          ingress: isLocal || tracer.passes("policy_forward", ingress),
        };
        if (got.egress !== expected.egress || got.ingress !== expected.ingress) {
          expect({ link, peer, protocol, port, ...got }).toEqual({ link, peer, protocol, port, ...expected });
        }
        count += 2;
      }
    }
  }
  return count;
}
