import * as fc from "fast-check";
import { expect, it } from "vitest";
import { familyOf, type IpAddress } from "../../../src/base/ip/address.ts";
import { cidrContains, parseNetwork } from "../../../src/base/ip/cidr.ts";
import { serviceBase } from "../../../src/dataplane/linux/services/base.ts";
import { renderServiceChanges, renderServices } from "../../../src/dataplane/linux/services/renderer.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { CLIENTS, type Client } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { type ServicePacket, ServiceTracer, type Traced } from "../../support/services/nft-tracer.ts";
import { type OracleOutcome, oracle } from "../../support/services/oracle.ts";
import { CLIENT_IPS, DESTINATIONS, history, PORTS } from "../../support/services/random-services.ts";
import { type OracleState, stateAfter } from "../../support/services/state.ts";

const PROTOCOLS = ["TCP", "UDP"] as const;

const itemsOf = (engine: ServiceEngine, clients: readonly Client[] = CLIENTS): Map<Key, unknown> => {
  const items = [...serviceBase(clients), ...renderServices(engine.rows(), clients)];
  const map = new Map<Key, unknown>();
  for (const { key, value } of items) {
    if (!isShared(key) || map.has(key)) expect(map.get(key)).toEqual(isShared(key) ? value : undefined);
    map.set(key, value);
  }
  return map;
};

/** With affinity, pools of one service port have endpoints in common. */
const isShared = (key: Key): boolean => /\/sv[ae]_/.test(key);

const ownOf = (state: OracleState): readonly string[] => [
  ...(state.nodes.get("n1")?.addresses ?? []),
  ...state.interfaces,
];

/** Undefined for a node's own: they come by no link. */
function linkOf(state: OracleState, from: IpAddress): string | undefined {
  if (ownOf(state).includes(from)) return undefined;
  return state.config.podCidrs.some((c) => cidrContains(parseNetwork(c), from)) ? "hd0000000000001" : "eth0";
}

/** In the oracle's words. A pod that reaches itself is masqueraded by a rule of its own. */
function outcomeOf(traced: readonly Traced[], from: IpAddress, affinity: number | undefined): OracleOutcome {
  const [first] = traced;
  if (first?.verdict !== "dnat") {
    expect(traced).toHaveLength(1);
    return { verdict: first?.verdict === "pass" ? "not-a-service" : (first?.verdict ?? "drop") };
  }
  const backends = traced.map((t) => {
    if (t.verdict !== "dnat") throw new Error(`one of several is ${t.verdict}`);
    return `${t.to}${t.masquerades || t.to.startsWith(`${from} `) ? "*" : ""}`;
  });
  return { verdict: "balance", backends: [...new Set(backends)].sort(), affinity };
}

it("what nftables gets does with every packet what the API's text says", () => {
  const verdicts = new Map<string, number>();
  let kept = 0;
  fc.assert(
    fc.property(history, ([config, first, batches]) => {
      const engine = new ServiceEngine(config);
      for (const batch of [first, ...batches]) engine.apply(batch);
      const state = stateAfter(config, [first, ...batches].flat());
      const tracer = new ServiceTracer(itemsOf(engine));
      for (const from of CLIENT_IPS) {
        for (const to of DESTINATIONS.filter((d) => familyOf(d) === familyOf(from))) {
          for (const protocol of PROTOCOLS) {
            for (const port of PORTS) {
              const packet: ServicePacket = {
                iifname: linkOf(state, from),
                saddr: from,
                daddr: to,
                l4proto: protocol === "TCP" ? "tcp" : "udp",
                dport: port,
                isLocal: to.startsWith("127.") || ownOf(state).includes(to),
              };
              const expected = oracle(state, { from, to, protocol, port });
              const affinity = expected.verdict === "balance" ? expected.affinity : undefined;
              const traced = tracer.trace(packet);
              const got = outcomeOf(traced, from, affinity);
              verdicts.set(got.verdict, (verdicts.get(got.verdict) ?? 0) + 1);
              if (JSON.stringify(got) !== JSON.stringify(expected)) {
                expect({ packet, state, got }).toEqual({ packet, state, got: expected });
              }
              kept += checkAffinity(tracer, packet, traced, affinity);
            }
          }
        }
      }
    }),
    { numRuns: 60 },
  );
  for (const verdict of ["balance", "reject", "drop", "not-a-service"]) {
    expect([verdict, (verdicts.get(verdict) ?? 0) > 200]).toEqual([verdict, true]);
  }
  expect(kept).toBeGreaterThan(20);
});

/** Who has got an endpoint gets no other; without affinity nobody is remembered. Returns how many endpoints that was tried of. */
function checkAffinity(
  tracer: ServiceTracer,
  packet: ServicePacket,
  traced: readonly Traced[],
  affinity: number | undefined,
): number {
  const found = traced.filter((t) => t.verdict === "dnat");
  const keeping = found.filter((t) => t.keeps.length > 0);
  expect(keeping.length).toBe(affinity === undefined ? 0 : found.length);
  for (const { to, keeps } of new Map(keeping.map((t) => [t.to, t])).values()) {
    for (const set of keeps) tracer.remember(set, packet.saddr);
    expect([...new Set(tracer.trace(packet).map((t) => t.verdict === "dnat" && t.to))]).toEqual([to]);
    tracer.forgetClients(keeps);
  }
  return keeping.length;
}

it("changes lead to the same items as everything anew", () => {
  fc.assert(
    fc.property(history, fc.constantFrom(CLIENTS, ["node"] as const), ([config, first, batches], clients) => {
      const engine = new ServiceEngine(config);
      engine.apply(first);
      const items = itemsOf(engine, clients);
      for (const batch of batches) {
        for (const { key, value } of renderServiceChanges(engine.apply(batch), engine, clients)) {
          // Nothing is said that is so already.
          if (!isShared(key)) expect(items.get(key)).not.toEqual(value);
          if (value === undefined) items.delete(key);
          else items.set(key, value);
        }
        expect(items).toEqual(itemsOf(engine, clients));
      }
    }),
    { numRuns: 150 },
  );
});
