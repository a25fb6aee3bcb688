import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_MAC, KERNEL_MAC } from "../../../models/linux.ts";
import {
  interfaceKey,
  interfaceUpKey,
  type MemifSocketValue,
  type MemifValue,
  memifSocketKey,
} from "../../../models/vpp/interface.ts";
import type { FurtherInterface, FurtherKind, PodRow } from "../../../pods/api.ts";
import { podLinkItems } from "../../linux/pods/pod-end.ts";
import { VHOST_NET } from "../interface/tap.ts";
import { item } from "../item.ts";
import { sharedDevice } from "../shared-device.ts";
import { tapItems } from "./tap.ts";

/** Where named network namespaces are for VPP, too; a name is shorter than a path. */
const NAMED = "/var/run/netns/";

/**
 * The abstract socket in the pod's network namespace that VPP, as memif's master, listens at for a further interface. The
 * pod's process connects to it as slave, with ID 0.
 */
export const memifSocketName = (name: string): string => `heddle-${name}`;

/** Why a pod cannot have a further interface of a kind; undefined where it can. */
export function refusesFurther(kind: FurtherKind, hasVhostNet: boolean): string | undefined {
  return kind === "tap" && !hasVhostNet ? `taps need ${VHOST_NET}, which this node has not` : undefined;
}

/**
 * Interfaces of a pod beside its first, each up and without an address: what comes in by them has nowhere to go until a wire
 * leads on. Nothing leaves a frame's checksum or segments to VPP, which would have to hand them on so.
 */
export function* furtherItems(row: PodRow): Iterable<KeyValue> {
  for (const further of row.further ?? []) {
    switch (further.kind) {
      case "memif":
        yield* memifItems(row, further);
        break;
      case "tap":
        yield* tapItems(ofRow(row, further), false);
        break;
      case "veth":
        yield* vethItems(row, further);
        break;
    }
    yield item((v) => interfaceUpKey(v.interface), { interface: further.hostIf, requires: [] });
  }
}

function* memifItems({ netns, mtu }: PodRow, { name, hostIf, number }: FurtherInterface): Iterable<KeyValue> {
  const where = netns.startsWith(NAMED) ? netns.slice(NAMED.length) : netns;
  const socket: MemifSocketValue = {
    id: number,
    filename: `abstract:${memifSocketName(name)},netns_name=${where}`,
  };
  yield { key: memifSocketKey(number), value: socket };
  const memif: MemifValue = {
    kind: "memif",
    name: hostIf,
    mac: GATEWAY_MAC,
    mtu,
    socket: number,
    id: 0,
    role: "master",
    mode: "ethernet",
    queues: 1,
  };
  yield { key: interfaceKey(hostIf), value: memif };
}

function* vethItems(row: PodRow, further: FurtherInterface): Iterable<KeyValue> {
  yield* podLinkItems(ofRow(row, further), KERNEL_MAC, "complete");
  const { mtu } = row;
  const { hostIf } = further;
  const device = { name: hostIf, device: hostIf, mac: GATEWAY_MAC, mtu, queues: 1, offload: false, qdisc: false };
  yield* sharedDevice(device, hostIf);
}

const ofRow = ({ netns, netnsId, mtu }: PodRow, { name: ifName, hostIf, mac }: FurtherInterface) => {
  return { hostIf, ifName, mac, mtu, netns, netnsId };
};
