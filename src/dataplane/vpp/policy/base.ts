import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { aclInterfaceKey, aclKey } from "../../../models/vpp/acl.ts";
import { flowFilterKey } from "../../../models/vpp/flow-filter.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import { item } from "../item.ts";
import { commonAcl, notTheNodeAcl } from "./lists.ts";
import { NOT_THE_NODE_LIST, SOURCES_VRF } from "./names.ts";

/** What of the node policies have to know. */
export interface PolicyNodeContext {
  /** The node's addresses that packets come from and go to. */
  readonly addresses: readonly string[];
  /** Those that only pods beside it can reach: the gateway's. */
  readonly linkAddresses: readonly string[];
  /** Interfaces by which packets come in from other machines. */
  readonly outer: readonly string[];
  /** All others of the node itself that packets come in by. */
  readonly inner: readonly string[];
}

/** What judges packets of pods beside their own lists. An interface of a pod is not up before it has all of its own. */
export function* policyBase({ addresses, outer, inner }: PolicyNodeContext): Iterable<KeyValue> {
  for (const direction of ["egress", "ingress"] as const) {
    yield item((v) => aclKey(v.name), commonAcl(direction, addresses));
  }
  yield item((v) => aclKey(v.name), notTheNodeAcl(addresses));
  for (const name of outer) {
    yield item((v) => aclInterfaceKey(v.interface), { interface: name, input: [NOT_THE_NODE_LIST], output: [] });
  }
  // Packets of flows that were stopped are dropped where they come in, whichever pod's policies are the reason.
  for (const name of [...outer, ...inner]) yield item((v) => flowFilterKey(v.interface), { interface: name });
  for (const family of [4, 6] as const) yield item(vrfKey, { family, id: SOURCES_VRF, name: "sources" });
}
