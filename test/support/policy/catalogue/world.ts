import { z } from "zod";
import { type IpAddress, parseIp, tryParseIp } from "../../../../src/base/ip/address.ts";

/** A Kubernetes object as it would be in a manifest. */
export type Manifest = Readonly<Record<string, unknown>>;

export const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
export type Protocol = (typeof PROTOCOLS)[number];
export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

type Labels = Readonly<Record<string, string>>;

interface Addressed {
  /** Plain addresses, one a family, IPv4 first. */
  readonly ips: readonly [string, string];
}

export interface WorldNode extends Addressed {
  readonly name: string;
  /** Where its pods' addresses are from, one a family. */
  readonly podCIDRs: readonly [string, string];
  readonly labels: Labels;
}

export interface WorldPod extends Addressed {
  /** `x/a` */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Labels;
  readonly ports: readonly { readonly name: string; readonly protocol: Protocol; readonly port: number }[];
}

/** The cluster that all cases are about: test/policies/world.yaml. */
export interface World {
  readonly nodes: readonly WorldNode[];
  readonly outside: Addressed;
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[];
  readonly pods: readonly WorldPod[];
  /** What everyone listens on, with each protocol. */
  readonly ports: readonly number[];
}

/** The end of a connection: `x/a`, `n1` or `outside`. */
export type End = string;
export const OUTSIDE: End = "outside";

export const familyOf = (ip: string): Family => (ip.includes(":") ? 6 : 4);

const ip = z.string().refine((s) => tryParseIp(s) !== undefined, "is not an IP address");
const onePerFamily = z
  .tuple([ip, ip])
  .refine(([v4, v6]) => familyOf(v4) === 4 && familyOf(v6) === 6, "must be an IPv4 and an IPv6 address");
const labels = z.record(z.string(), z.string());
const podId = z.string().regex(/^[a-z]+\/[a-z]+$/, "must be namespace/name");

const worldSchema = z.strictObject({
  nodes: z.record(
    z.string(),
    z.strictObject({ ips: onePerFamily, podCIDRs: z.tuple([z.string(), z.string()]), labels }),
  ),
  outside: onePerFamily,
  namespaces: z.record(z.string(), labels),
  pods: z.record(podId, z.strictObject({ node: z.string(), ips: onePerFamily, labels })),
  ports: z.array(z.int()),
  namedPorts: z.record(z.string(), z.record(z.string(), z.string().regex(/^\d+\/(TCP|UDP|SCTP)$/))),
});

/** Throws zod's error for what is no world. */
export function parseWorld(content: unknown): World {
  const raw = worldSchema.parse(content);
  const pods = Object.entries(raw.pods).map(([id, pod]): WorldPod => {
    const [namespace = "", name = ""] = id.split("/");
    const everywhere = raw.ports.flatMap((port) =>
      PROTOCOLS.map((protocol) => ({ name: `serve-${port}-${protocol.toLowerCase()}`, protocol, port })),
    );
    const further = Object.entries(raw.namedPorts[name] ?? {}).map(([portName, text]) => {
      const [port = "", protocol = ""] = text.split("/");
      return { name: portName, protocol: protocol as Protocol, port: Number(port) };
    });
    return { id, namespace, name, ...pod, ports: [...everywhere, ...further] };
  });
  return {
    nodes: Object.entries(raw.nodes).map(([name, node]) => ({ name, ...node })),
    outside: { ips: raw.outside },
    namespaces: Object.entries(raw.namespaces).map(([name, l]) => ({ name, labels: l })),
    pods,
    ports: raw.ports,
  };
}

interface KnownEnd {
  /** Absent for nodes and the outside. */
  readonly pod: WorldPod | undefined;
  readonly ips: readonly [IpAddress, IpAddress];
}

const knownEnds = new WeakMap<World, ReadonlyMap<End, KnownEnd>>();

/** Who or what an end is. Throws for one that there isn't. */
export function endOf(world: World, end: End): KnownEnd {
  let ends = knownEnds.get(world);
  if (!ends) {
    const known = (ips: readonly [string, string], pod?: WorldPod): KnownEnd => ({
      pod,
      ips: [parseIp(ips[0]), parseIp(ips[1])],
    });
    ends = new Map([
      ...world.pods.map((p) => [p.id, known(p.ips, p)] as const),
      ...world.nodes.map((n) => [n.name, known(n.ips)] as const),
      [OUTSIDE, known(world.outside.ips)] as const,
    ]);
    knownEnds.set(world, ends);
  }
  const found = ends.get(end);
  if (!found) throw new RangeError(`there is no ${end}`);
  return found;
}

/** All of them: pods, nodes, the outside. */
export const allEnds = (world: World): End[] => [
  ...world.pods.map((p) => p.id),
  ...world.nodes.map((n) => n.name),
  OUTSIDE,
];

/** The address of an end. Throws for an end that there isn't. */
export const addressOf = (world: World, end: End, family: Family): IpAddress =>
  endOf(world, end).ips[family === 4 ? 0 : 1];

/** What may be different where a pod of the world really runs. */
export interface PodFacts {
  readonly uid?: string;
  readonly ips?: readonly string[];
}

export const namespaceManifest = (name: string, labelsNow: Labels): Manifest => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, uid: `uid-${name}`, labels: { "kubernetes.io/metadata.name": name, ...labelsNow } },
});

export const nodeManifest = (node: WorldNode): Manifest => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: node.name, uid: `uid-${node.name}`, labels: node.labels },
  spec: { podCIDRs: node.podCIDRs },
  status: { addresses: node.ips.map((address) => ({ type: "InternalIP", address })) },
});

export const podManifest = (pod: WorldPod, labelsNow: Labels, facts: PodFacts = {}): Manifest => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    namespace: pod.namespace,
    name: pod.name,
    uid: facts.uid ?? `uid-${pod.namespace}-${pod.name}`,
    creationTimestamp: "2026-01-01T00:00:00Z",
    labels: labelsNow,
  },
  spec: {
    nodeName: pod.node,
    containers: [
      {
        name: "server",
        ports: pod.ports.map(({ name, protocol, port }) => ({ name, protocol, containerPort: port })),
      },
    ],
  },
  status: { phase: "Running", podIPs: (facts.ips ?? pod.ips).map((address) => ({ ip: address })) },
});
