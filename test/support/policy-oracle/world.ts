import { strict as assert } from "node:assert";
import { parseAllDocuments } from "yaml";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { convertObject } from "../../../src/ksr/convert/convert.ts";
import type { K8sNode } from "../../../src/models/k8s/node.ts";
import type { Pod, PortProtocol } from "../../../src/models/k8s/pod.ts";
import { elementKey, type PolicyChanges, type PolicyInput } from "../../../src/policy/api.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { explain } from "../../../src/policy/explain.ts";
import { judge } from "../../../src/policy/tables/judge.ts";
import { oracleAllows } from "./oracle.ts";
import { stateAfter, THIS_NODE } from "./random-cluster.ts";

const OWN_NODE_ADDRESS = "192.168.0.1";

/**
 * Three namespaces of three pods each, as conformance suites have them, all on one node, which has address 192.168.0.1.
 * Namespace x has label `ns: x`, pod x/a has `pod: a`. Each serves 80 and 81 of every protocol, under names such as
 * `serve-80-tcp`. Addresses are 10.0.<namespace>.<pod> and fd00::<namespace>:<pod>, counted from 1.
 */
export class World {
  readonly engine = new PolicyEngine({ node: THIS_NODE });
  readonly #history: PolicyInput[] = [];

  constructor(policies = "") {
    this.apply([nodeObject(THIS_NODE, [OWN_NODE_ADDRESS])]);
    for (const [n, namespace] of ["x", "y", "z"].entries()) {
      const labels = { ns: namespace, "kubernetes.io/metadata.name": namespace };
      this.apply([
        {
          kind: "namespace",
          at: { namespace: "", name: namespace },
          object: { namespace: "", name: namespace, uid: "", labels },
        },
      ]);
      for (const [p, name] of ["a", "b", "c"].entries()) {
        const ips = [parseIp(`10.0.${n + 1}.${p + 1}`), parseIp(`fd00::${n + 1}:${p + 1}`)];
        const id = `${namespace}/${name}`;
        this.apply([
          { kind: "pod", at: { namespace, name }, object: servingPod(namespace, name, ips) },
          { kind: "local", id, object: { id, namespace, name, uid: `uid-${name}`, ips } },
        ]);
      }
    }
    this.put(policies);
  }

  apply(inputs: readonly PolicyInput[]): PolicyChanges {
    this.#history.push(...inputs);
    return this.engine.apply(inputs);
  }

  /** Objects in YAML, as `kubectl apply` takes them; `kind` alone is enough for policies. */
  put(yaml: string): PolicyChanges {
    return this.apply(
      parseAllDocuments(yaml).flatMap((document): PolicyInput[] => {
        const object = document.toJS() as Record<string, unknown> | null;
        if (!object) return [];
        const apiVersion = API_VERSIONS[String(object["kind"])] ?? "v1";
        const converted = convertObject({ apiVersion, ...object });
        assert.ok(converted, `unknown kind ${String(object["kind"])}`);
        return [{ kind: converted.kind, at: converted.object, object: converted.object } as PolicyInput];
      }),
    );
  }

  pod(id: string): Pod {
    const [namespace = "", name = ""] = id.split("/");
    const { object } = this.engine.cluster.pods.get(`${namespace}/${name}`) ?? {};
    assert.ok(object && !("unreadable" in object), `there is no pod ${id}`);
    return object;
  }

  /** Whether a connection may be made, by tables and sets, by the explanation and by the oracle, who must agree. */
  can(from: string, to: string, traffic: string, family: 4 | 6 = 4): boolean {
    const [protocolText = "", portText = "0"] = traffic.split("/");
    const protocol = protocolText === "ICMP" ? undefined : (protocolText as PortProtocol);
    const port = Number(portText);
    const [source, target] = [this.#end(from, family), this.#end(to, family)];
    const egress = source.id === undefined || this.#passes(source.id, "egress", target.ip, protocol, port);
    const ingress = target.id === undefined || this.#passes(target.id, "ingress", source.ip, protocol, port);
    const explained = explain(this.engine, {
      from: source.id === undefined ? { ip: source.ip } : { pod: this.pod(source.id) },
      to: target.id === undefined ? { ip: target.ip } : { pod: this.pod(target.id) },
      protocol,
      port,
    }).flows.find((f) => f.family === family);
    assert.deepEqual(
      { egress: explained?.egress.allowed, ingress: explained?.ingress.allowed },
      { egress, ingress },
      `${from} → ${to} ${traffic}: the tables and the explanation differ`,
    );
    return egress && ingress;
  }

  /** Everyone in the three namespaces who can reach `to`. */
  whoReaches(to: string, traffic: string): string {
    return ALL_PODS.filter((p) => p !== to && this.can(p, to, traffic)).join(" ");
  }

  /** Everyone in the three namespaces whom `from` can reach. */
  whomReaches(from: string, traffic: string): string {
    return ALL_PODS.filter((p) => p !== from && this.can(from, p, traffic)).join(" ");
  }

  #end(end: string, family: 4 | 6): { ip: IpAddress; id: string | undefined } {
    if (!end.includes("/")) return { ip: parseIp(end), id: undefined };
    const ips = this.engine.row(end)?.ips ?? this.pod(end).ips;
    const ip = ips.find((a) => a.includes(":") === (family === 6));
    assert.ok(ip, `${end} has no IPv${family} address`);
    return { ip, id: end };
  }

  #passes(
    id: string,
    direction: "egress" | "ingress",
    peer: IpAddress,
    protocol: PortProtocol | undefined,
    port: number,
  ): boolean {
    const rows = this.engine.rows();
    const row = rows.pods.find((r) => r.id === id);
    const table = rows.tables.find((t) => t.id === row?.[direction]);
    assert.ok(row && table);
    const judged = judge(
      table,
      { peer, protocol, port },
      {
        isOwnNode: (ip) => ip === OWN_NODE_ADDRESS,
        inSet: (set) => {
          const keys = new Set(rows.sets.filter((s) => s.id === set).flatMap((s) => s.elements.map(elementKey)));
          return keys.has(peer) || keys.has(`${peer}|${protocol}|${port}`);
        },
      },
    );
    const always = row.ips.includes(peer) || (direction === "ingress" && peer === OWN_NODE_ADDRESS);
    const allowed = always || judged.verdict === "accept";
    const state = stateAfter(this.#history);
    const wiring = state.wirings.get(id);
    assert.ok(wiring);
    const expected = oracleAllows(state, wiring, { direction, peer, protocol: protocol ?? "ICMP", port });
    assert.equal(allowed, expected, `${direction} of ${id}, ${peer} ${protocol}/${port}: tables and oracle differ`);
    return allowed;
  }
}

const API_VERSIONS: Readonly<Record<string, string>> = {
  NetworkPolicy: "networking.k8s.io/v1",
  ClusterNetworkPolicy: "policy.networking.k8s.io/v1alpha2",
};

const ALL_PODS = ["x/a", "x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];

function nodeObject(name: string, addresses: readonly string[]): PolicyInput {
  const object: K8sNode = {
    namespace: "",
    name,
    uid: "",
    labels: {},
    addresses: addresses.map(parseIp),
    podCIDRs: [],
  };
  return { kind: "node", at: object, object };
}

export function servingPod(namespace: string, name: string, ips: readonly IpAddress[]): Pod {
  return {
    namespace,
    name,
    uid: `uid-${name}`,
    created: 1,
    labels: { pod: name },
    node: THIS_NODE,
    hostNetwork: false,
    phase: "Running",
    terminating: false,
    ips,
    ports: [80, 81].flatMap((port) =>
      (["TCP", "UDP", "SCTP"] as const).map((protocol) => ({
        name: `serve-${port}-${protocol.toLowerCase()}`,
        protocol,
        port,
      })),
    ),
  };
}
