import type { Dataplane } from "../../src/dataplane/api.ts";
import type { Log } from "../../src/infra/log/log.ts";
import type { Scheduler } from "../../src/kvscheduler/api/scheduler.ts";
import { wirePrefix } from "../../src/models/wire.ts";
import type { LocalNodeRow } from "../../src/nodes/api.ts";
import type { PodsHandler } from "../../src/pods/handler.ts";
import type { ItemProblem, WirableInterface } from "../../src/wires/api.ts";
import { WiresHandler } from "../../src/wires/handler.ts";

export interface WiresParts {
  readonly dataplane: Dataplane;
  readonly nodeName: string;
  /** As it is now. */
  readonly local: () => LocalNodeRow;
  readonly pods: PodsHandler;
  readonly log: Log;
}

/** The wires of this node, between its pods as they are. */
export function createWires({ dataplane, nodeName, local, pods, log }: WiresParts): WiresHandler {
  return new WiresHandler({
    wiring: dataplane.wires,
    prefix: wirePrefix(nodeName),
    surroundings: () => {
      const { uplinks, overlay } = local();
      return {
        interfaces: [...wirableInterfaces(pods)],
        underlayIps: uplinks.map(({ address }) => address),
        underlayMtu: Math.min(...uplinks.map(({ mtu }) => mtu)),
        overlayVni: overlay.kind === "vxlan" ? overlay.vni : undefined,
      };
    },
    changesSurroundings: (event) => pods.handles(event),
    log,
  });
}

function* wirableInterfaces(pods: PodsHandler): Iterable<WirableInterface> {
  for (const { row, pod } of pods.sandboxes()) {
    if (!pod) continue;
    for (const { name, kind, hostIf, mac } of row.further ?? []) {
      yield { pod: `${pod.namespace}/${pod.name}`, name, kind, hostIf, mac, mtu: row.mtu };
    }
  }
}

/** What keeps items from being as asked, by the scheduler's account. */
export function itemProblems(scheduler: Scheduler): ItemProblem {
  return (key) => {
    const { state, error, unmet } = scheduler.status(key);
    if (state === "CONFIGURED") return undefined;
    const wants = (unmet ?? []).flatMap(({ wants: keys }) => keys).join(", ");
    const failed = state !== "PENDING";
    return { failed, reason: failed ? `${key}: ${error?.message ?? state}` : `${key} waits for ${wants}` };
  };
}
