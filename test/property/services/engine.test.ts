import * as fc from "fast-check";
import { expect, it } from "vitest";
import { familyOf } from "../../../src/base/ip/address.ts";
import type { ServiceChanges, ServiceConfig, ServiceInput } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { explainSocket } from "../../../src/services/explain.ts";
import { explainHostPort } from "../../../src/services/host-ports.ts";
import { trace } from "../../../src/services/trace.ts";
import { EnforcedRows } from "../../support/services/judge-rows.ts";
import { oracle, oracleHealth } from "../../support/services/oracle.ts";
import { CLIENT_IPS, DESTINATIONS, HEALTH_PORTS, history, PORTS } from "../../support/services/random-services.ts";
import { ServiceReplica, unordered } from "../../support/services/replica.ts";
import { type OracleState, shortestHistory, stateAfter } from "../../support/services/state.ts";

const PROTOCOLS = ["TCP", "UDP"] as const;

const PACKETS = DESTINATIONS.flatMap((to) =>
  CLIENT_IPS.filter((from) => familyOf(from) === familyOf(to)).flatMap((from) =>
    PROTOCOLS.flatMap((protocol) => PORTS.map((port) => ({ from, to, protocol, port }))),
  ),
);

const NO_CHANGES: ServiceChanges = {
  base: undefined,
  clusterIps: [],
  frontends: [],
  healthChecks: [],
  pools: [],
  problems: [],
  triggered: [],
};

const ownOf = (state: OracleState): string[] => [
  ...(state.nodes.get(state.config.node)?.addresses ?? []),
  ...state.interfaces,
];

function engineAfter(config: ServiceConfig, batches: readonly (readonly ServiceInput[])[]): ServiceEngine {
  const engine = new ServiceEngine(config);
  for (const batch of batches) engine.apply(batch);
  return engine;
}

it("does with every packet what the API's text says, after any history", () => {
  const verdicts = new Map<string, number>();
  fc.assert(
    fc.property(history, ([config, first, batches]) => {
      const engine = engineAfter(config, [first, ...batches]);
      const state = stateAfter(config, [first, ...batches].flat());
      const rows = engine.rows();
      const enforced = new EnforcedRows(rows, ownOf(state));
      for (const packet of PACKETS) {
        const expected = oracle(state, packet);
        const got = enforced.judge(packet);
        verdicts.set(got.verdict, (verdicts.get(got.verdict) ?? 0) + 1);
        if (JSON.stringify(got) !== JSON.stringify(expected)) {
          expect({ packet, state, got }).toEqual({ packet, state, got: expected });
        }
      }
      for (const port of HEALTH_PORTS) {
        const found = rows.healthChecks.find((h) => h.port === port);
        const { namespace, name } = found?.service ?? {};
        const got = found && { service: `${namespace}/${name}`, localReady: found.localReady };
        expect(got).toEqual(oracleHealth(state, port));
      }
    }),
    { numRuns: 250 },
  );
  for (const verdict of ["balance", "reject", "drop", "not-a-service"]) {
    expect([verdict, (verdicts.get(verdict) ?? 0) > 1000]).toEqual([verdict, true]);
  }
});

it("has the same rows whatever the history, and its changes lead to them", () => {
  fc.assert(
    fc.property(history, ([config, first, batches]) => {
      const engine = new ServiceEngine(config);
      const replica = new ServiceReplica(engine.base);
      const inputs: ServiceInput[] = [];
      for (const batch of [first, ...batches]) {
        replica.apply(engine.apply(batch));
        inputs.push(...batch);
        const scratch = engineAfter(config, [shortestHistory(inputs)]);
        expect(engine.rows()).toEqual(scratch.rows());
        expect(unordered(replica.rows())).toEqual(unordered(engine.rows()));
        expect(engine.stats()).toEqual(scratch.stats());
        expect(engine.apply(batch.filter((b) => b.kind !== "endpointslice"))).toEqual(NO_CHANGES);
      }
    }),
    { numRuns: 100 },
  );
});

it("traces and explains what it does", () => {
  let explained = 0;
  let hostPorts = 0;
  fc.assert(
    fc.property(history, ([config, first, batches]) => {
      const engine = engineAfter(config, [first, ...batches]);
      const state = stateAfter(config, [first, ...batches].flat());
      for (const packet of PACKETS) {
        const { outcome, frontend, client } = trace(engine, packet);
        const expected = oracle(state, packet);
        expect(outcome.verdict).toBe(expected.verdict);
        if (outcome.verdict !== "balance" || expected.verdict !== "balance" || !frontend) continue;
        const backends = outcome.backends.map((b) => `${b.address} ${b.port}${b.masqueraded ? "*" : ""}`);
        expect(backends.sort()).toEqual(expected.backends);
        if (frontend.kind === "HostPort") {
          expect(explainHostPort(engine, packet)?.frontends).toContainEqual(frontend);
          hostPorts++;
          continue;
        }
        const path = frontend.paths[client];
        const scope = path.verdict === "balance" ? engine.pool(path.pool)?.scope : undefined;
        const explanation = explainSocket(engine, packet);
        const chosen = explanation?.endpoints
          .filter((e) => e[scope ?? "cluster"].in)
          .map((e) => `${e.address} ${e.port}`);
        expect(chosen?.sort()).toEqual(outcome.backends.map((b) => `${b.address} ${b.port}`).sort());
        expect(explanation?.frontends).toContainEqual(frontend);
        explained++;
      }
    }),
    { numRuns: 120 },
  );
  expect(explained).toBeGreaterThan(1000);
  expect(hostPorts).toBeGreaterThan(100);
});
