import * as fc from "fast-check";
import { expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { elementKey, type PolicyInput, type PolicyRows } from "../../../src/policy/api.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { explain } from "../../../src/policy/explain.ts";
import { judge } from "../../../src/policy/tables/judge.ts";
import { oracleAllows } from "../../support/policy-oracle/oracle.ts";
import { podAt, podOf } from "../../support/policy-oracle/pods.ts";
import {
  ALL_ADDRESSES,
  beginning,
  edit,
  NODE_ADDRESSES,
  shortestHistory,
  stateAfter,
  THIS_NODE,
  thisNode,
} from "../../support/policy-oracle/random-cluster.ts";
import { PORTS } from "../../support/policy-oracle/random-policies.ts";
import { PolicyReplica } from "../../support/policy-oracle/replica.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP", "ICMP"] as const;

/** Compares what the rows let through with the oracle, for every wiring, address, protocol and port. */
function compare(rows: PolicyRows, history: readonly PolicyInput[]): number {
  const state = stateAfter(history);
  const sets = new Map(rows.sets.map((s) => [`${s.id}/${s.family}`, new Set(s.elements.map(elementKey))]));
  const tables = new Map(rows.tables.map((t) => [t.id, t]));
  expect(rows.pods.map((p) => p.id)).toEqual([...state.wirings.keys()].sort());
  let count = 0;
  for (const row of rows.pods) {
    const wiring = state.wirings.get(row.id);
    if (!wiring) throw new Error(`no wiring ${row.id}`);
    for (const direction of ["ingress", "egress"] as const) {
      const table = tables.get(row[direction]);
      if (!table) throw new Error(`no table ${row[direction]}`);
      for (const peer of ALL_ADDRESSES) {
        for (const protocol of PROTOCOLS) {
          for (const port of protocol === "ICMP" ? [0] : PORTS) {
            const packet = { direction, peer, protocol, port };
            const expected = oracleAllows(state, wiring, packet);
            const got = inForce(row.ips, direction, peer, () => {
              const judged = { peer, protocol: protocol === "ICMP" ? undefined : protocol, port };
              return judge(table, judged, {
                isOwnNode: (ip) => NODE_ADDRESSES.includes(ip),
                inSet: (set, p) => {
                  const elements = sets.get(`${set}/${peer.includes(":") ? 6 : 4}`);
                  if (!elements) throw new Error(`no set ${set}`);
                  const key = set.startsWith("a") ? peer : `${peer}|${p.protocol}|${p.port}`;
                  return elements.has(key);
                },
              }).verdict;
            });
            if (got !== expected) {
              expect({ packet, at: row, table, allowed: got }).toEqual({ packet, at: row, table, allowed: expected });
            }
            count++;
          }
        }
      }
    }
  }
  return count;
}

/** What src/policy/api.ts says comes before the tables. */
function inForce(
  ips: readonly IpAddress[],
  direction: "egress" | "ingress",
  peer: IpAddress,
  table: () => "accept" | "deny",
): boolean {
  if (ips.includes(peer)) return true;
  if (direction === "ingress" && NODE_ADDRESSES.includes(peer)) return true;
  return table() === "accept";
}

const history = fc.tuple(
  beginning,
  fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 12 }),
);

it("allows exactly what the API's text allows, after any history", () => {
  let judged = 0;
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const engine = new PolicyEngine();
      engine.apply([thisNode, ...first]);
      for (const batch of batches) engine.apply(batch);
      judged += compare(engine.rows(), [thisNode, ...first, ...batches.flat()]);
    }),
    { numRuns: 300 },
  );
  expect(judged).toBeGreaterThan(100_000);
});

it("has the same rows whatever the history, and its changes lead to them", () => {
  fc.assert(
    fc.property(history, fc.boolean(), ([first, batches], attribute) => {
      const engine = new PolicyEngine({ attribute });
      const replica = new PolicyReplica();
      replica.apply(engine.apply([thisNode, ...first]));
      const inputs = [thisNode, ...first];
      for (const batch of batches) {
        replica.apply(engine.apply(batch));
        inputs.push(...batch);
        const scratch = new PolicyEngine({ attribute });
        scratch.apply(shortestHistory(inputs));
        const rows = engine.rows();
        expect(rows).toEqual(scratch.rows());
        const { problems, ...replayed } = replica.rows();
        expect({ ...replayed, problems: problems.toSorted(byPolicy) }).toEqual({
          ...rows,
          problems: rows.problems.toSorted(byPolicy),
        });
        expect(engine.stats()).toEqual(scratch.stats());
      }
    }),
    { numRuns: 150 },
  );
});

it("explains as the oracle decides", () => {
  let explained = 0;
  fc.assert(
    fc.property(history, ([first, batches]) => {
      const inputs = [thisNode, ...first, ...batches.flat()];
      const engine = new PolicyEngine({ node: THIS_NODE });
      engine.apply(inputs);
      const state = stateAfter(inputs);
      for (const wiring of state.wirings.values()) {
        // Explanations go by whose an address is: those of a wiring that lost its address to another are not about it.
        const owned = [...wiring.ips].filter((ip) => {
          const pod = podAt(state, ip);
          return pod !== undefined && pod === podOf(state, wiring);
        });
        for (const ip of owned) {
          for (const peer of ALL_ADDRESSES.filter((a) => a.includes(":") === ip.includes(":"))) {
            const packet = { peer, protocol: "TCP", port: 80 } as const;
            const [local, remote] = [{ ip: parseIp(ip) }, { ip: peer }];
            const ask = { protocol: "TCP", port: 80 } as const;
            const towards = explain(engine, { from: remote, to: local, ...ask }).flows[0]?.ingress.allowed;
            const away = explain(engine, { from: local, to: remote, ...ask }).flows[0]?.egress.allowed;
            // Several wirings of one pod are one pod, and an address that two pods are wired with is one of theirs only.
            if (podAt(state, peer) === podOf(state, wiring) || wiring.ips.includes(peer)) continue;
            expect({ towards, away }).toEqual({
              towards: oracleAllows(state, wiring, { direction: "ingress", ...packet }),
              away: oracleAllows(state, wiring, { direction: "egress", ...packet }),
            });
            explained++;
          }
        }
      }
    }),
    { numRuns: 100 },
  );
  expect(explained).toBeGreaterThan(1000);
});

const byPolicy = (a: { policy: object }, b: { policy: object }): number =>
  JSON.stringify(a.policy) < JSON.stringify(b.policy) ? -1 : 1;
