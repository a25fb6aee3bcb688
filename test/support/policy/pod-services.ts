import type { ServiceStatus } from "../../../src/services/handler.ts";
import { until } from "../until.ts";
import { FAMILIES, familyOf, type Manifest, PROTOCOLS, type Protocol, type WorldPod } from "./catalogue/world.ts";
import { type Cell, endOf, OUTSIDE, type World } from "./catalogue.ts";
import type { PolicyLab, Way } from "./policy-lab.ts";

const SERVICE_CIDRS = ["10.96.0.0/16", "fd00:96::/112"];
const FIRST_NODE_PORT = 30_000;

/**
 * Gives each pod of the world a service whose only endpoint it is: what others may reach of the pod they may reach of the service,
 * and nothing else. Its node ports are for clients outside, who are seen as they are at the pod's node (policy Local). Resolves when
 * all nodes have them in force.
 */
export async function servePods(lab: PolicyLab): Promise<void> {
  const { nodes, world } = lab;
  await lab.apply(objectsOf(world).map((manifest) => ({ what: "put", manifest })));
  for (const { name } of world.nodes) {
    await until(`${name} serves all pods`, async () => {
      const { services } = await nodes.get<{ services: ServiceStatus }>(name, "/status");
      const { slices, missing } = services;
      return slices === world.pods.length * FAMILIES.length && missing.length === 0;
    });
  }
}

function objectsOf(world: World): Manifest[] {
  const cidr = {
    apiVersion: "networking.k8s.io/v1",
    kind: "ServiceCIDR",
    metadata: { name: "services" },
    spec: { cidrs: SERVICE_CIDRS },
  };
  return [cidr, ...world.pods.flatMap((pod) => [serviceOf(world, pod), ...slicesOf(world, pod)])];
}

function serviceOf(world: World, { id, namespace, name }: WorldPod): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, uid: `uid-${namespace}-${name}` },
    spec: {
      type: "NodePort",
      clusterIPs: clusterIps(world, id),
      ipFamilies: ["IPv4", "IPv6"],
      ipFamilyPolicy: "RequireDualStack",
      externalTrafficPolicy: "Local",
      ports: portsOf(world).map((p) => ({
        ...p,
        targetPort: p.port,
        nodePort: nodePort(world, id, p.protocol, p.port),
      })),
    },
  };
}

const slicesOf = (world: World, { namespace, name, node, ips }: WorldPod): Manifest[] =>
  ips.map((address) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-${familyOf(address)}`,
      namespace,
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: `IPv${familyOf(address)}`,
    ports: portsOf(world),
    endpoints: [
      { addresses: [address], nodeName: node, conditions: { ready: true, serving: true, terminating: false } },
    ],
  }));

const portsOf = (world: World) =>
  world.ports.flatMap((port) =>
    PROTOCOLS.map((protocol) => ({ name: `${protocol}-${port}`.toLowerCase(), protocol, port })),
  );

/** By the pod's service: its cluster IP, and from outside a port of the pod's node. */
export const byService: Way = (world, { from, to, protocol, port, family }) => {
  const i = family === 4 ? 0 : 1;
  if (from !== OUTSIDE) return { address: clusterIps(world, to)[i], port };
  const node = world.nodes.find(({ name }) => name === endOf(world, to).pod?.node);
  if (!node) throw new RangeError(`${to} is on no node`);
  return { address: node.ips[i], port: nodePort(world, to, protocol, port) };
};

/** Pods to themselves are among them. */
export const isServed = (world: World, { to }: Cell): boolean => world.pods.some(({ id }) => id === to);

const indexOf = (world: World, pod: string): number => world.pods.findIndex(({ id }) => id === pod);

const clusterIps = (world: World, pod: string): readonly [string, string] => {
  const n = indexOf(world, pod) + 1;
  return [`10.96.0.${n}`, `fd00:96::${n.toString(16)}`];
};

function nodePort(world: World, pod: string, protocol: Protocol, port: number): number {
  const perPod = world.ports.length * PROTOCOLS.length;
  const ofPod = world.ports.indexOf(port) * PROTOCOLS.length + PROTOCOLS.indexOf(protocol);
  return FIRST_NODE_PORT + indexOf(world, pod) * perPod + ofPod;
}
