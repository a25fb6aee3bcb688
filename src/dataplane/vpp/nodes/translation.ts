import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { cnatFeatureKey } from "../../../models/vpp/cnat.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import type { TakenUplink } from "../api.ts";
import { item } from "../item.ts";
import { BVI_INTERFACE, HOST_INTERFACE, SEGMENT_IN_INTERFACE, uplinkInterface } from "../names.ts";

/**
 * CNAT on a node, for the ports of its pods.
 *
 * CNAT keeps what it has found out about a packet beside it (cnat_node_feature.c): an interface that packets leave by may
 * have it only if all that they can come in by have it, too. What is cut on its way passes VPP twice, and is translated the
 * second time: CNAT would take what it has translated for another connection.
 */
export function* translationItems(row: LocalNodeRow, uplinks: readonly TakenUplink[]): Iterable<KeyValue> {
  const overlay = row.overlay.kind === "vxlan" ? [BVI_INTERFACE] : [];
  const names = [...uplinks.map(({ link }) => uplinkInterface(link)), HOST_INTERFACE, SEGMENT_IN_INTERFACE, ...overlay];
  for (const name of names) yield item((v) => cnatFeatureKey(v.interface), { interface: name, requires: [] });
}
