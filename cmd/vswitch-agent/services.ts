import { networkInterfaces } from "node:os";
import { type Clock, seconds, sleep } from "../../src/base/clock/clock.ts";
import { type IpAddress, isSpecialIp, tryParseIp } from "../../src/base/ip/address.ts";
import type { EventQueue } from "../../src/controller/api.ts";
import type { Dataplane } from "../../src/dataplane/api.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import type { Log } from "../../src/infra/log/log.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";
import type { Key } from "../../src/kvscheduler/api/descriptor.ts";
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
  readonly podCIDRs: readonly string[];
  /** On the network between nodes: with VPP they may be on no interface of the kernel. */
  readonly underlayIps: () => readonly IpAddress[];
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  /** Of the scheduler: whether an item is as it was asked for. */
  readonly isInPlace: (key: Key) => boolean;
}

/** What serves services, and what tells about it. */
export interface Services {
  readonly handler: ServiceHandler;
  readonly insight: ServiceInsight;
  readonly health: HealthServers;
}

/** Undefined where services are left to others. */
export function createServices(options: Options): Services | undefined {
  const { config, nodeName, dataplane, podCIDRs, underlayIps, clock, log, registry, isInPlace } = options;
  if (!config.enabled) return undefined;
  const wiring = dataplane.services;
  if (!wiring) {
    log.warn({ dataplane: dataplane.name }, "services are not served: this dataplane leaves them to a kube-proxy");
    return undefined;
  }
  const insight = new ServiceInsight({ clock, registry });
  const isCurrent = () => {
    insight.waits(handler.isWaiting);
    return insight.isCurrent;
  };
  const health = new HealthServers({ at: listenAt(config.healthz), clock, log, isCurrent });
  const stale = new StaleConnections({ wiring, clock, log });
  const handler = new ServiceHandler({
    wiring,
    engine: {
      node: nodeName,
      podCidrs: podCIDRs,
      nodePortAddresses: config.nodePortAddresses,
      proxyName: config.proxyName,
      nodeExternalIps: config.nodeExternalIPs,
    },
    ownAddresses: () => ownAddresses(underlayIps()),
    stale,
    log,
    handled(event, changes, healthChecks) {
      insight.handled(event, changes);
      health.serve(healthChecks);
    },
    finished(event, changes, { isApplied, isWaiting }) {
      if (isApplied) insight.applied(event, changes);
      insight.waits(isWaiting);
    },
    isInPlace,
  });
  return { handler, insight, health };
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
function ownAddresses(underlayIps: readonly IpAddress[]): IpAddress[] {
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
