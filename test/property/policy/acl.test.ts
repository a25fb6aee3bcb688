import * as fc from "fast-check";
import { expect, it } from "vitest";
import { clusterInputs, podNumber } from "../../../bench/cases/policy/data.ts";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { cidrContains, parseNetwork } from "../../../src/base/ip/cidr.ts";
import { Tendency, tendency } from "../../../src/dataplane/vpp/acl/tendency.ts";
import { PolicyRenderer } from "../../../src/dataplane/vpp/policy/renderer.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import {
  ACL_INTERFACE_PREFIX,
  ACL_PREFIX,
  type AclInterfaceValue,
  type AclRule,
  type AclValue,
  aclKey,
} from "../../../src/models/vpp/acl.ts";
import type { PolicyChanges, PolicyInput } from "../../../src/policy/api.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { AclTracer } from "../../support/policy/acl-tracer.ts";
import { SctpTracer, sctpBytes } from "../../support/policy/sctp-tracer.ts";
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

type Direction = "egress" | "ingress";
type Protocol = "ICMP" | "SCTP" | "TCP" | "UDP";
const WAYS = { egress: "input", ingress: "output" } as const;
/** No rule has it alone. */
const EPHEMERAL = 40_000;
/** Types of chunks (RFC 9260, section 3.2). */
const [DATA, INIT] = [0, 1];
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1 } as const;
const ICMPV6 = 58;
const ECHO = { 4: 8, 6: 128 } as const;
const NODE = {
  addresses: NODE_ADDRESSES,
  podCIDRs: ["10.244.1.0/24", "fd10:244:0:1::/64"],
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

it("what VPP gets lets through exactly what the API's text allows", () => {
  let traced = 0;
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const inputs = [thisNode, ...first, ...batches.flat()];
      const engine = new PolicyEngine();
      engine.apply(inputs);
      const items = itemsOf(engine);
      const tracers = { acl: new AclTracer(items), sctp: new SctpTracer(items) };
      const state = stateAfter(inputs);
      for (const [link, wiring] of state.wirings) traced += compare(tracers, state, link, wiring);
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

it("lists that are told to let through less, or more, do", () => {
  const seen = { tighter: 0, looser: 0 };
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const engine = new PolicyEngine();
      engine.apply([thisNode, ...first]);
      let before = listsOf(itemsOf(engine));
      for (const batch of batches) {
        engine.apply(batch);
        const after = listsOf(itemsOf(engine));
        for (const [key, rules] of after) {
          const old = before.get(key);
          if (!old || JSON.stringify(old) === JSON.stringify(rules)) continue;
          const change = tendency([old, rules]);
          if (change === Tendency.MIXED) continue;
          const [less, more] = change === Tendency.TIGHTER ? [rules, old] : [old, rules];
          seen[change === Tendency.TIGHTER ? "tighter" : "looser"]++;
          for (const packet of PACKETS) {
            if (!isDenied(more, packet)) continue;
            expect(isDenied(less, packet), `${key} ${JSON.stringify(packet)}`).toBe(true);
          }
        }
        before = after;
      }
    }),
    { numRuns: 150 },
  );
  expect(seen.tighter).toBeGreaterThan(20);
  expect(seen.looser).toBeGreaterThan(20);
});

it("so do changes of sets that most lists have, of many addresses", () => {
  const LARGE = { pods: 700, namespaces: 50, policies: 50, locals: 15 };
  const { namespaces, pods, locals } = LARGE;
  const others = fc.integer({ min: locals, max: pods + 100 });
  // Now and then so many that sets are made anew.
  const some = fc.oneof(
    { arbitrary: fc.uniqueArray(others, { minLength: 1, maxLength: 6 }), weight: 4 },
    { arbitrary: fc.uniqueArray(others, { minLength: 270, maxLength: 330 }), weight: 1 },
  );
  const batches = fc.array(fc.record({ those: some, are: fc.constantFrom("gone", "other", "there") }), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(batches, fc.boolean(), (changes, passes) => {
      const engine = new PolicyEngine();
      engine.apply([...clusterInputs(LARGE), ...aboutAllPods(namespaces, passes)]);
      const by = renderer();
      const items = itemsOf(engine, by);
      for (const { those, are } of changes) {
        const inputs = those.map((i): PolicyInput => {
          const at = podNumber(i, namespaces, are === "other" ? { app: "other", tier: "front" } : {});
          return { kind: "pod", at, object: are === "gone" ? undefined : at };
        });
        const empty = { pods: [], tables: [], sets: [], problems: [] };
        for (const changed of [engine.apply(inputs), empty]) {
          for (const { key, value } of by.renderPolicyChanges(changed, engine)) {
            if (value === undefined) items.delete(key);
            else items.set(key, value);
          }
        }
        expect(sorted(items)).toEqual(sorted(itemsOf(engine)));
      }
    }),
    { numRuns: 15 },
  );
});

/** Rules about all pods beside those about some of them: with the same ports, for all protocols, and behind a tier that passes. */
function aboutAllPods(namespaces: number, passes: boolean): PolicyInput[] {
  const every: PolicyInput[] = Array.from({ length: Math.min(namespaces, 8) }, (_, i) => {
    const at = { namespace: `ns-${i}`, name: "all-pods" };
    const some = { namespaceSelector: {}, podSelector: { matchLabels: { tier: "front" } } };
    const ports =
      [[], [{ protocol: "UDP", port: 53 }], [{ port: "http" }], [{ protocol: "SCTP", port: 7 }]][i % 4] ?? [];
    const peers = i % 3 === 0 ? [{ namespaceSelector: {} }, some] : [some, { namespaceSelector: {} }];
    const rule = { peers, ...(ports.length > 0 ? { ports } : {}) };
    const object = { ...at, uid: "", podSelector: {}, ingress: [rule], egress: [rule] };
    return { kind: "networkpolicy", at, object };
  });
  if (!passes) return every;
  const at = { namespace: "" as const, name: "pass" };
  const front = { pods: { namespaceSelector: {}, podSelector: { matchLabels: { tier: "front" } } } };
  const object = {
    ...at,
    uid: "",
    tier: "Admin" as const,
    priority: 5,
    subject: { namespaces: {} },
    egress: [
      { action: "Pass" as const, peers: [front] },
      { action: "Deny" as const, peers: [{ namespaces: { matchLabels: { team: "team-2" } } }] },
    ],
  };
  return [...every, { kind: "clusternetworkpolicy", at, object }];
}

interface Packet {
  readonly peer: IpAddress;
  readonly proto: number;
  readonly port: number;
}

const PACKETS: readonly Packet[] = ALL_ADDRESSES.flatMap((peer) =>
  [6, 17].flatMap((proto) => PORTS.map((port) => ({ peer, proto, port }))),
);

const listsOf = (items: ReadonlyMap<Key, unknown>): Map<Key, readonly AclRule[]> =>
  new Map([...items].flatMap(([key, value]) => (key.startsWith(ACL_PREFIX) ? [[key, (value as AclValue).rules]] : [])));

/** By the first rule that matches. The peer may be at either end: lists of pods name one end only. */
function isDenied(rules: readonly AclRule[], { peer, proto, port }: Packet): boolean {
  const isAt = (cidr: string): boolean =>
    cidr.includes(":") === peer.includes(":") && cidrContains(parseNetwork(cidr), peer);
  const rule = rules.find(
    ({ src, dst, proto: p, dstPorts: [from, to] = [0, 65_535] }) =>
      isAt(src) && isAt(dst) && (p === undefined || p === proto) && from <= port && port <= to,
  );
  return rule === undefined || rule.action === "deny";
}

/** The address of a wiring that has one of the family. */
const ownAddress = (wiring: OracleWiring, peer: IpAddress): IpAddress | undefined =>
  wiring.ips.map((ip) => parseIp(ip)).find((ip) => ip.includes(":") === peer.includes(":"));

interface Tracers {
  readonly acl: AclTracer;
  readonly sctp: SctpTracer;
}

/** Resolves to the number of packets. */
function compare(tracers: Tracers, state: OracleState, link: string, wiring: OracleWiring): number {
  let traced = 0;
  for (const peer of ALL_ADDRESSES) {
    const own = ownAddress(wiring, peer);
    if (own === undefined) continue;
    const isSelf = wiring.ips.includes(peer);
    // Two wirings of one address have rules of SCTP in common: none that one of them hasn't.
    const isShared = [...state.wirings.values()].filter(({ ips }) => ips.includes(own)).length > 1;
    const isLocal = NODE_ADDRESSES.includes(peer);
    const family = peer.includes(":") ? 6 : 4;
    const allows = (direction: Direction, protocol: Protocol, port: number): boolean =>
      isSelf ||
      (direction === "ingress" && isLocal) ||
      oracleAllows(state, wiring, { direction, peer, protocol, port });
    const packet = (direction: Direction) =>
      direction === "egress" ? { source: own, destination: peer } : { source: peer, destination: own };
    const acl = (direction: Direction, proto: number, number: number): boolean =>
      tracers.acl.passes(link, WAYS[direction], { ...packet(direction), proto, number });
    const sctp = (direction: Direction, from: number, to: number, chunk: number): boolean =>
      acl(direction, PROTOCOLS.SCTP, to) &&
      tracers.sctp.passes(WAYS[direction], sctpBytes({ ...packet(direction), from, to, chunk }));
    const expectSctp = (what: object, got: boolean, expected: boolean): void => {
      if (!isShared || got) expectSame(what, got, expected);
    };
    const expectSame = (what: object, got: boolean, expected: boolean): void => {
      traced++;
      const about = { link, peer, ...what };
      if (got !== expected) expect({ ...about, allowed: got }).toEqual({ ...about, allowed: expected });
    };
    for (const direction of ["egress", "ingress"] as const) {
      // What a pod sends to itself comes back from the node.
      if (isSelf && direction === "ingress") continue;
      const icmp = family === 6 ? ICMPV6 : PROTOCOLS.ICMP;
      expectSame({ direction, icmp }, acl(direction, icmp, ECHO[family]), allows(direction, "ICMP", 0));
      for (const port of PORTS) {
        for (const protocol of ["TCP", "UDP"] as const) {
          const got = acl(direction, PROTOCOLS[protocol], port);
          expectSame({ direction, protocol, port }, got, allows(direction, protocol, port));
        }
        const begins = allows(direction, "SCTP", port);
        expectSctp({ direction, what: "INIT", port }, sctp(direction, EPHEMERAL, port, INIT), begins);
        const other = direction === "egress" ? "ingress" : "egress";
        const answers = allows(other, "SCTP", EPHEMERAL);
        expectSctp({ direction, what: "DATA", port }, sctp(direction, EPHEMERAL, port, DATA), begins || answers);
        // Answers of who was asked at the port; but that end begins nothing from there that it may not.
        const back = allows(other, "SCTP", port) || allows(direction, "SCTP", EPHEMERAL);
        expectSctp({ direction, what: "answers", port }, sctp(direction, port, EPHEMERAL, DATA), back);
        const init = sctp(direction, port, EPHEMERAL, INIT);
        expectSctp({ direction, what: "INIT from", port }, init, allows(direction, "SCTP", EPHEMERAL));
      }
    }
  }
  return traced;
}
