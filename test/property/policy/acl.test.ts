import * as fc from "fast-check";
import { expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { PolicyRenderer } from "../../../src/dataplane/vpp/policy/renderer.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { ACL_INTERFACE_PREFIX, type AclInterfaceValue, aclKey } from "../../../src/models/vpp/acl.ts";
import type { PolicyChanges } from "../../../src/policy/api.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { AclTracer } from "../../support/policy/acl-tracer.ts";
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

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1 } as const;
const ICMPV6 = 58;
const ECHO = { 4: 8, 6: 128 } as const;
const NODE = {
  addresses: NODE_ADDRESSES,
  linkAddresses: ["169.254.1.1"],
  uplinks: ["uplink-eth0"],
  overlay: "bvi",
  inner: ["host"],
};

const history = fc.tuple(
  beginning,
  fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 8 }),
);

const renderer = (): PolicyRenderer => new PolicyRenderer(() => NODE);

const itemsOf = (engine: PolicyEngine, by = renderer()): Map<Key, unknown> =>
  new Map([...by.policyBase(), ...by.renderPolicies(engine.rows())].map(({ key, value }) => [key, value]));

const sorted = (items: ReadonlyMap<Key, unknown>) => [...items].toSorted(([a], [b]) => (a < b ? -1 : 1));

it("what the ACL plugin gets lets through exactly what the API's text allows, and of SCTP no more than that", () => {
  const total = { traced: 0, narrowed: 0, sctp: 0 };
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const inputs = [thisNode, ...first, ...batches.flat()];
      const engine = new PolicyEngine();
      engine.apply(inputs);
      const by = renderer();
      const tracer = new AclTracer(itemsOf(engine, by));
      const state = stateAfter(inputs);
      for (const [link, wiring] of state.wirings) {
        const counts = compare(tracer, state, link, wiring, by.narrowed === 0);
        for (const key of ["traced", "narrowed", "sctp"] as const) total[key] += counts[key];
      }
    }),
    { numRuns: 150 },
  );
  expect(total.traced).toBeGreaterThan(50_000);
  // Fails closed, but not all the time.
  expect(total.narrowed).toBeGreaterThan(0);
  expect(total.narrowed).toBeLessThan(total.sctp / 4);
});

it("changes lead to the same items as everything anew", () => {
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const engine = new PolicyEngine();
      engine.apply([thisNode, ...first]);
      const by = renderer();
      const items = itemsOf(engine, by);
      const apply = (changes: PolicyChanges): void => {
        const before = new Map(items);
        for (const { key, value } of by.renderPolicyChanges(changes, engine)) {
          if (value === undefined) items.delete(key);
          else items.set(key, value);
        }
        for (const [key, value] of before) {
          if (!key.startsWith(ACL_INTERFACE_PREFIX) || !items.has(key)) continue;
          // The scheduler would take the interface down, and all of its connections with it.
          const { input, output } = value as AclInterfaceValue;
          for (const list of [...input, ...output]) expect(items.has(aclKey(list)), `${list} goes`).toBe(true);
        }
      };
      for (const batch of batches) {
        apply(engine.apply(batch));
        // Lists that nobody has any more go with the next change.
        apply({ pods: [], tables: [], sets: [], problems: [] });
        expect(sorted(items)).toEqual(sorted(itemsOf(engine)));
      }
    }),
    { numRuns: 150 },
  );
});

/** The address of a wiring that has one of the family. */
const ownAddress = (wiring: OracleWiring, peer: IpAddress): IpAddress | undefined =>
  wiring.ips.map((ip) => parseIp(ip)).find((ip) => ip.includes(":") === peer.includes(":"));

function compare(tracer: AclTracer, state: OracleState, link: string, wiring: OracleWiring, isExact: boolean) {
  const counts = { traced: 0, narrowed: 0, sctp: 0 };
  for (const peer of ALL_ADDRESSES) {
    const own = ownAddress(wiring, peer);
    if (own === undefined) continue;
    const isSelf = wiring.ips.includes(peer);
    const isLocal = NODE_ADDRESSES.includes(peer);
    const family = peer.includes(":") ? 6 : 4;
    for (const protocol of ["TCP", "UDP", "SCTP", "ICMP"] as const) {
      for (const port of protocol === "ICMP" ? [0] : PORTS) {
        const proto = protocol === "ICMP" && family === 6 ? ICMPV6 : PROTOCOLS[protocol];
        const common = { proto, number: protocol === "ICMP" ? ECHO[family] : port };
        const asked = { peer, protocol, port };
        const expected = {
          egress: isSelf || oracleAllows(state, wiring, { direction: "egress", ...asked }),
          ingress: isSelf || isLocal || oracleAllows(state, wiring, { direction: "ingress", ...asked }),
        };
        const got = {
          egress: tracer.passes(link, "input", { ...common, source: own, destination: peer }),
          // What a pod sends to itself comes back from the node.
          ingress: isSelf || tracer.passes(link, "output", { ...common, source: peer, destination: own }),
        };
        for (const direction of ["egress", "ingress"] as const) {
          const isNarrowed = expected[direction] && !got[direction] && protocol === "SCTP" && !isExact;
          if (got[direction] !== expected[direction] && !isNarrowed) {
            const what = { link, direction, ...asked };
            expect({ ...what, allowed: got[direction] }).toEqual({ ...what, allowed: expected[direction] });
          }
          counts.traced++;
          if (protocol === "SCTP") counts.sctp++;
          if (isNarrowed) counts.narrowed++;
        }
      }
    }
  }
  return counts;
}
