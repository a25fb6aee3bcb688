import { networkInterfaces } from "node:os";
import { type Clock, seconds, sleep } from "../../src/base/clock/clock.ts";
import { type IpAddress, isSpecialIp, tryParseIp } from "../../src/base/ip/address.ts";
import type { ControllerEvent, EventQueue } from "../../src/controller/api.ts";
import type { Dataplane } from "../../src/dataplane/api.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import type { Log } from "../../src/infra/log/log.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";
import type { Key } from "../../src/kvscheduler/api/descriptor.ts";
import type { PodRow, SandboxId } from "../../src/pods/api.ts";
import type { Sandbox } from "../../src/pods/sandbox.ts";
import type { PodHostPorts } from "../../src/services/api.ts";
import { ownAddressesEvent, ServiceHandler } from "../../src/services/handler.ts";
import { HealthServers } from "../../src/services/health.ts";
import { ServiceInsight } from "../../src/services/insight.ts";
import { StaleConnections } from "../../src/services/stale.ts";

/** How often the node's own addresses are looked at. */
const OWN_ADDRESSES = seconds(10);

interface Options {
  readonly config: AgentConfig["services"];
  readonly nodeName: string;
  readonly dataplane: Dataplane;
  readonly pods: { sandboxes(): Iterable<Sandbox>; handles(event: ControllerEvent): boolean };
  readonly podCIDRs: readonly string[];
  /** On the network between nodes: with VPP they may be on no interface of the kernel. */
  readonly underlayIps: () => readonly IpAddress[];
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  /** Of the scheduler: whether an item is as it was asked for. */
  readonly isInPlace: (key: Key) => boolean;
}

/** What serves services and host ports, and what tells about it. */
export interface Services {
  readonly handler: ServiceHandler;
  /** Undefined where services are left to others. */
  readonly health: HealthServers | undefined;
}

/** Host ports are served where services are left to others, too. */
export function createServices(options: Options): Services {
  const { config, nodeName, dataplane, pods, podCIDRs, underlayIps, clock, log, registry, isInPlace } = options;
  const { services: wiring } = dataplane;
  const serves = config.enabled;
  const insight = serves ? new ServiceInsight({ clock, registry }) : undefined;
  const isCurrent = () => {
    insight?.waits(handler.isWaiting);
    return insight?.isCurrent ?? true;
  };
  const isLeaving = () => handler.engine.here.isLeaving;
  const health = serves
    ? new HealthServers({ at: listenAt(config.healthz), clock, log, isCurrent, isLeaving })
    : undefined;
  // What pods' ports change is no matter of kube-proxy's metrics.
  const isOfServices = (event: ControllerEvent): boolean => !pods.handles(event);
  const stale = new StaleConnections({ wiring, clock, log });
  const handler = new ServiceHandler({
    wiring,
    engine: {
      node: nodeName,
      podCidrs: podCIDRs,
      nodePortAddresses: serves ? config.nodePortAddresses : [],
      proxyName: config.proxyName,
      nodeExternalIps: config.nodeExternalIPs,
    },
    serves,
    hostPorts: () => hostPortsOf(pods.sandboxes()),
    changesHostPorts: (event) => pods.handles(event),
    ownAddresses: () => ownAddresses(underlayIps()),
    stale,
    log,
    handled(event, changes, healthChecks) {
      if (isOfServices(event)) insight?.handled(event, changes);
      health?.serve(healthChecks);
    },
    finished(event, changes, { isApplied, isWaiting }) {
      if (isApplied && isOfServices(event)) insight?.applied(event, changes);
      insight?.waits(isWaiting);
    },
    isInPlace,
  });
  return { handler, health };
}

/** Of each row the same object each time. */
const KNOWN = new WeakMap<PodRow, PodHostPorts>();

/** Of those that have any. */
export function* hostPortsOf(sandboxes: Iterable<Sandbox>): Iterable<readonly [SandboxId, PodHostPorts]> {
  for (const { row, pod, containerId, addedAt } of sandboxes) {
    const { id, ips, hostPorts: ports } = row;
    if (ports.length === 0) continue;
    const known = KNOWN.get(row) ?? {
      pod: pod ? { namespace: pod.namespace, name: pod.name } : { namespace: "", name: containerId },
      ips,
      ports,
      since: addedAt,
    };
    KNOWN.set(row, known);
    yield [id, known];
  }
}

/** Has services learn of addresses that the node gets and loses. Until the signal aborts. */
export async function followOwnAddresses(
  underlayIps: () => readonly IpAddress[],
  queue: EventQueue,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let known = ownAddresses(underlayIps()).join();
  while (!signal.aborted) {
    await sleep(clock, OWN_ADDRESSES, signal).catch(() => {});
    const now = ownAddresses(underlayIps()).join();
    if (now === known || signal.aborted) continue;
    known = now;
    queue.push(ownAddressesEvent());
  }
}

/** Those that others can use, the underlay's first. */
export function ownAddresses(underlayIps: readonly IpAddress[]): IpAddress[] {
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ address }) => tryParseIp(address) ?? [])
    .filter((ip) => !isSpecialIp(ip));
  return [...new Set([...underlayIps, ...found.toSorted()])];
}

function listenAt(healthz: string): { readonly host: string; readonly port: number } | undefined {
  if (healthz === "off") return undefined;
  const at = healthz.lastIndexOf(":");
  return { host: healthz.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(healthz.slice(at + 1)) };
}
