import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type CarrierValue, carrierKey, GATEWAY_MAC, linkKey, type TapLinkValue } from "../../../models/linux.ts";
import { fitsTap, interfaceKey, type TapValue } from "../../../models/vpp/interface.ts";
import type { PodLinkKind, PodRow } from "../../../pods/api.ts";

/** What the configuration asks for: taps where the node has /dev/vhost-net, or one of them whatever it has. */
export type PodInterfaceChoice = "auto" | PodLinkKind;

/**
 * What a new pod's interface is. Limits need a veth pair: the kernel shapes what VPP sends through a device of the node, and
 * a pod that is limited must not send whole segments, which VPP would have a tap do each time that it opens it.
 */
export function podLinkKind(
  choice: PodInterfaceChoice,
  hasVhostNet: boolean,
  { netns, bandwidth }: Pick<PodRow, "bandwidth" | "netns">,
): PodLinkKind {
  const isLimited = (bandwidth?.ingressRate ?? 0) > 0 || (bandwidth?.egressRate ?? 0) > 0;
  const isPossible = (choice === "tap" || hasVhostNet) && !isLimited && fitsTap(netns);
  return choice !== "veth" && isPossible ? "tap" : "veth";
}

/** A tap: the kernel's device in the pod, opened by VPP. `offload`: what the pod leaves to do, VPP hands on, or does. */
export function* tapItems(
  row: Pick<PodRow, "hostIf" | "ifName" | "mac" | "mtu" | "netns" | "netnsId">,
  offload: boolean,
): Iterable<KeyValue> {
  const { hostIf: name, ifName, mac, mtu, netns, netnsId } = row;
  const link: TapLinkValue = { kind: "tap", name, state: "up", pod: { netns, netnsId, ifName, mac, mtu } };
  yield { key: linkKey(name), value: link };
  const tap: TapValue = {
    ...{ kind: "tap", name, mac: GATEWAY_MAC, mtu, device: ifName, netns, hostMac: mac, offload },
    requires: [linkKey(name)],
  };
  yield { key: interfaceKey(name), value: tap };
  const carrier: CarrierValue = { link: name, end: "pod", requires: [interfaceKey(name)] };
  yield { key: carrierKey(name), value: carrier };
}
