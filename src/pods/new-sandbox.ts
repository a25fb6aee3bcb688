import type { FurtherInterface, HostPort, NetnsIdentity, PodRow, PodWiring, SandboxId } from "./api.ts";
import type { CniAddRequest } from "./cni/request.ts";
import { hostIfName, type PodName, podMac, type Sandbox } from "./sandbox.ts";

/** More than the kernel's own for IPv6 routes (IP6_RT_PRIO_USER, 1024), so that a pod's first interface is the better one. */
const FURTHER_ROUTE_METRIC = 2048;

/** What an ADD asks for, and what it was given. */
export interface NewSandbox {
  readonly id: SandboxId;
  readonly netnsId: NetnsIdentity;
  readonly request: CniAddRequest;
  readonly ips: readonly string[];
  readonly hostPorts: readonly HostPort[];
  /** The largest that the network carries. */
  readonly maxMtu: number;
  readonly routeMetric: number | undefined;
  readonly further: readonly FurtherInterface[];
  readonly linkKind: PodWiring["linkKind"];
  readonly asked: string;
  readonly addedAt: number;
}

export function newSandbox(given: NewSandbox): Sandbox {
  const { id, netnsId, request, ips, hostPorts, maxMtu, routeMetric, further, asked, addedAt } = given;
  const { mac, mtu } = request.options;
  const bandwidth = bandwidthOf(request);
  const link = given.linkKind({ netns: request.netns, bandwidth });
  const row: PodRow = {
    id,
    netns: request.netns,
    netnsId,
    ifName: request.ifname,
    hostIf: hostIfName(id),
    ...(link === "veth" ? {} : { link }),
    ips,
    mac: mac ?? podMac(id),
    mtu: Math.min(mtu ?? maxMtu, maxMtu),
    routeMetric,
    hostPorts,
    bandwidth,
    ...(further.length === 0 ? {} : { further }),
  };
  return {
    row,
    containerId: request.containerId,
    network: request.network,
    pod: podNameOf(request),
    asked,
    addedAt,
  };
}

/** Absent when the runtime is not Kubernetes'. */
export function podNameOf({ args }: Pick<CniAddRequest, "args">): PodName | undefined {
  const { podNamespace, podName, podUid } = args;
  return podName && podNamespace ? { namespace: podNamespace, name: podName, uid: podUid } : undefined;
}

export const hostPortsOf = ({ options }: CniAddRequest): HostPort[] =>
  options.portMappings.map((p) => ({
    protocol: p.protocol,
    hostPort: p.hostPort,
    containerPort: p.containerPort,
    hostIp: p.hostIP,
  }));

function bandwidthOf({ options: { ingress, egress } }: CniAddRequest): PodRow["bandwidth"] {
  if (!ingress && !egress) return undefined;
  return {
    ingressRate: ingress?.rate ?? 0,
    ingressBurst: ingress?.burst ?? 0,
    egressRate: egress?.rate ?? 0,
    egressBurst: egress?.burst ?? 0,
  };
}

/** The further interfaces that are asked for, with the least numbers that no other pod's have. */
export function furtherOf(others: Iterable<Sandbox>, id: SandboxId, { options }: CniAddRequest): FurtherInterface[] {
  if (options.interfaces === undefined) return [];
  const taken = new Set<number>();
  for (const { row } of others) for (const { number } of row.further ?? []) taken.add(number);
  let number = 0;
  return options.interfaces.map(({ name, kind }) => {
    do number++;
    while (taken.has(number));
    // No interface's name has a slash, so none is that of another attachment.
    const own = `${id}/${name}` as SandboxId;
    return { name, kind, hostIf: hostIfName(own), mac: podMac(own), number };
  });
}

/** The least metric that no other interface of the pod has; undefined for its first. */
export function routeMetricOf(
  others: Iterable<Sandbox>,
  netnsId: NetnsIdentity,
  { prevResult, netns }: CniAddRequest,
): number | undefined {
  const taken = new Set<number | undefined>();
  for (const { row } of others) if (row.netnsId === netnsId) taken.add(row.routeMetric);
  if (prevResult?.interfaces.some((i) => i.sandbox === netns)) taken.add(undefined);
  if (!taken.has(undefined)) return undefined;
  let metric = FURTHER_ROUTE_METRIC;
  while (taken.has(metric)) metric++;
  return metric;
}
