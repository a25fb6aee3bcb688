import type { NamedPort } from "../../models/k8s/pod.ts";
import type { Direction, PortRange, RuleOrigin, RulePeer, Verdict } from "../api.ts";
import { type AddressBlocks, cidrsOf, isEmptyBlocks, isEveryAddress, unionOf } from "../compile/blocks.ts";
import type { CompiledPort, CompiledRule } from "../compile/compiled.ts";
import { EVERYTHING } from "../compile/selector.ts";
import { addressQuery, endpointQuery, type SetQuery } from "../index/query.ts";

/** A rule with one peer, as tables have them, and with what its set is to contain. */
export interface FlatRule {
  readonly verdict: Verdict;
  readonly peer: FlatPeer;
  /** As {@link Rule.ports}. */
  readonly ports: readonly PortRange[];
  readonly origin?: RuleOrigin | undefined;
  /** All whose rule it is, only if somebody asks: rules of several policies can become one. */
  readonly origins?: readonly RuleOrigin[] | undefined;
}

export interface FlatPeer {
  readonly peer: RulePeer;
  /** Equal for equal peers. */
  readonly text: string;
  readonly query?: SetQuery | undefined;
  readonly blocks?: AddressBlocks | undefined;
}

const ANY: FlatPeer = { peer: { kind: "any" }, text: "any" };
export const OWN_NODE: FlatPeer = { peer: { kind: "own-node" }, text: "own-node" };

/**
 * A rule in terms of addresses and port numbers. Names of ports are those of the pod that the traffic goes to: for ingress
 * the pod whose table this is, which has `podPorts`; for egress every peer for itself.
 */
export function flatten(rule: CompiledRule, direction: Direction, podPorts: readonly NamedPort[]): FlatRule[] {
  const { verdict } = rule;
  const { ranges, names } = resolve(rule.ports ?? [], direction, podPorts);
  const out: FlatRule[] = [];
  if (rule.ports === undefined || ranges.length > 0) {
    for (const peer of addressPeers(rule)) out.push({ verdict, peer, ports: ranges });
  }
  for (const name of names) {
    for (const peer of endpointPeers(rule, name)) out.push({ verdict, peer, ports: [] });
  }
  return out;
}

type PortName = NonNullable<SetQuery["port"]>;

function resolve(
  ports: readonly CompiledPort[],
  direction: Direction,
  podPorts: readonly NamedPort[],
): { ranges: PortRange[]; names: PortName[] } {
  const ranges: PortRange[] = [];
  const names: PortName[] = [];
  for (const p of ports) {
    if (p.kind === "range") {
      ranges.push({ protocol: p.protocol, first: p.first, last: p.last });
    } else if (direction === "egress") {
      names.push({ name: p.name, protocol: p.protocol });
    } else {
      for (const { name, protocol, port } of podPorts) {
        if (name !== p.name || (p.protocol ?? protocol) !== protocol) continue;
        ranges.push({ protocol, first: port, last: port });
      }
    }
  }
  return { ranges, names };
}

function addressPeers({ peers }: CompiledRule): FlatPeer[] {
  if (peers.some((p) => p.kind === "any")) return [ANY];
  const out = peers.flatMap((p): FlatPeer[] => {
    if (p.kind !== "pods") return [];
    const query = addressQuery(p.pods);
    return [{ peer: { kind: "pods", set: query.id }, text: query.id, query }];
  });
  const blocks = unionOf(peers.flatMap((p) => (p.kind === "blocks" ? p.blocks : [])));
  return isEmptyBlocks(blocks) ? out : [...out, blocksPeer(blocks)];
}

export function blocksPeer(blocks: AddressBlocks): FlatPeer {
  const cidrs = cidrsOf(blocks);
  if (isEveryAddress(cidrs)) return ANY;
  return { peer: { kind: "blocks", cidrs }, text: cidrs.join(","), blocks };
}

function endpointPeers({ peers }: CompiledRule, port: PortName): FlatPeer[] {
  const anywhere = { scope: { kind: "all" }, pods: EVERYTHING } as const;
  const queries = peers.map((p) => {
    switch (p.kind) {
      case "any":
        return endpointQuery(anywhere, port);
      case "pods":
        return endpointQuery(p.pods, port);
      case "blocks":
        // An address has a named port if it is a pod's that has one.
        return endpointQuery(anywhere, port, p.blocks);
    }
  });
  return queries.map((query) => ({ peer: { kind: "endpoints", set: query.id }, text: query.id, query }));
}
