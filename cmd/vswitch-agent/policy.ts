import { type Clock, seconds } from "../../src/base/clock/clock.ts";
import { parseIp } from "../../src/base/ip/address.ts";
import { memo } from "../../src/base/memo/memo.ts";
import type { ControllerEvent } from "../../src/controller/api.ts";
import type { Dataplane } from "../../src/dataplane/api.ts";
import { type AgentConfig } from "../../src/infra/config/agent-config.ts";
import { ConfigError } from "../../src/infra/config/load.ts";
import type { Log } from "../../src/infra/log/log.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";
import type { PodName, Sandbox } from "../../src/pods/sandbox.ts";
import type { LocalPod } from "../../src/policy/api.ts";
import { PolicyHandler } from "../../src/policy/handler.ts";
import { PolicyInsight } from "../../src/policy/insight.ts";

interface Options {
  readonly config: AgentConfig["policy"];
  readonly nodeName: string;
  readonly dataplane: Dataplane;
  readonly pods: { sandboxes(): Iterable<Sandbox>; handles(event: ControllerEvent): boolean };
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

/** What enforces policies, and what tells about it. */
export interface Policy {
  readonly handler: PolicyHandler;
  readonly insight: PolicyInsight;
}

/** Undefined where policies are not enforced. @throws ConfigError where they cannot be. */
export function createPolicy(options: Options): Policy | undefined {
  const { config, nodeName, dataplane, pods, clock, log, registry } = options;
  if (!config.enforce) return undefined;
  if (!dataplane.policies) {
    throw new ConfigError(`policy.enforce: the ${dataplane.name} dataplane does not enforce policies`);
  }
  const insight: PolicyInsight = new PolicyInsight({
    engine: () => handler.engine,
    wiring: dataplane.policies,
    deniedLog: config.deniedLog,
    clock,
    log,
    registry,
  });
  const handler = new PolicyHandler({
    wiring: dataplane.policies,
    engine: { node: nodeName, ownNodeEgress: config.ownNodeEgress, failMode: config.failMode },
    locals: () => localPods([...pods.sandboxes()]),
    changesLocals: (event) => pods.handles(event),
    clock,
    log,
    applied: (event) => insight.applied(event),
  });
  return { handler, insight };
}

/** Waits until the pod's policies are known, for as long as the configuration says and no longer. */
export async function waitForPod(
  policy: PolicyHandler,
  pod: PodName,
  { waitSeconds, signal, log }: { readonly waitSeconds: number; readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  const patience = AbortSignal.timeout(seconds(waitSeconds));
  try {
    await policy.whenKnown(pod, AbortSignal.any([signal, patience]));
  } catch (e) {
    if (!patience.aborted) throw e;
    log.warn({ pod, waitSeconds }, "no Pod object: the pod is as policy.failMode says until it arrives");
  }
}

function* localPods(sandboxes: readonly Sandbox[]): Iterable<LocalPod> {
  const byContainer = Map.groupBy(sandboxes, (s) => s.containerId);
  for (const sandbox of sandboxes) {
    const all = byContainer.get(sandbox.containerId) ?? [];
    yield all.length === 1 ? onlyOne(sandbox) : localPod(sandbox, all);
  }
}

/** Of a pod with one interface. Each event asks for those of all pods. */
const onlyOne = memo((sandbox: Sandbox) => localPod(sandbox, [sandbox]));

function localPod({ row, pod }: Sandbox, all: readonly Sandbox[]): LocalPod {
  const wiring = {
    id: row.hostIf,
    ips: row.ips.map((ip) => parseIp(ip)),
    sources: all.flatMap((s) => s.row.ips.map((ip) => parseIp(ip))),
  };
  return pod ? { ...wiring, ...pod } : { ...wiring, namespace: "", name: "", unmanaged: true };
}
