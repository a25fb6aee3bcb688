import type { SandboxId } from "../pods/api.ts";
import type { Frontend, ObjectName } from "./api.ts";
import { ServiceAskError, type Socket } from "./ask.ts";
import type { ServiceEngine } from "./engine.ts";
import type { ServiceSummary } from "./explain.ts";
import type { HostPortRecord } from "./index/host-ports.ts";
import { lookUp } from "./lookup.ts";
import { objectKey } from "./names.ts";
import type { ServiceProblem } from "./problems.ts";

/** In questions: a pod, not a service. */
const POD = "pod/";

/** What this node makes of a pod's host ports. */
export interface HostPortExplanation extends ObjectName {
  readonly type: "HostPort";
  /** Of the pod's interface. */
  readonly id: SandboxId;
  readonly frontends: readonly Frontend[];
  readonly problems: readonly ServiceProblem[];
}

/** Pods with host ports as a list of services has them. */
export function listHostPorts(engine: ServiceEngine): ServiceSummary[] {
  return engine.hostPorts.all().map(({ object, built }) => ({
    namespace: object.pod.namespace,
    name: object.pod.name,
    type: "HostPort",
    clusterIps: [],
    outside: [],
    ports: [...new Set(object.ports.map((p) => `${p.containerPort}:${p.hostPort}/${p.protocol.toUpperCase()}`))],
    ready: 1,
    endpoints: 1,
    problems: built.problems.length,
  }));
}

/**
 * Of `pod/NAMESPACE/NAME`, or `pod/NAME`; undefined where the text is not that of a pod. @throws ServiceAskError NO_SERVICE
 */
export function explainPod(engine: ServiceEngine, of: string): HostPortExplanation | undefined {
  if (!of.startsWith(POD)) return undefined;
  const text = of.slice(POD.length);
  const found = engine.hostPorts.all().filter(({ object: { pod } }) => objectKey(pod) === text || pod.name === text);
  const [first, second] = found;
  if (second) {
    const names = found.map(({ object }) => `${POD}${objectKey(object.pod)}`).join(", ");
    throw new ServiceAskError("BAD_QUESTION", `several pods have the name ${text}: ${names}; say which`);
  }
  if (!first) throw new ServiceAskError("NO_SERVICE", `there is no pod ${text} with host ports on this node`);
  return explain(engine, first);
}

/** Of what is at an address and port; undefined where that is no host port. */
export function explainHostPort(
  engine: ServiceEngine,
  { to, protocol, port }: Socket,
): HostPortExplanation | undefined {
  const id = lookUp(engine, to, protocol, port)?.service.pod;
  const record = id === undefined ? undefined : engine.hostPorts.get(id);
  return record && explain(engine, record);
}

function explain(engine: ServiceEngine, { id, object, built }: HostPortRecord): HostPortExplanation {
  return { ...object.pod, type: "HostPort", id, frontends: engine.hostPortsOf(id), problems: built.problems };
}
