import type { Key, KeyValue } from "../../kvscheduler/api/descriptor.ts";
import { carrierKey, linkKey } from "../../models/linux.ts";
import { type NftChainValue, nftChainKey } from "../../models/nft.ts";
import { type AfPacketValue, interfaceKey } from "../../models/vpp/interface.ts";

/**
 * The kernel takes nothing from a device that VPP shares: VPP's packet socket only gets a copy, before this hook
 * (netif_receive_skb_core delivers to sockets first). Else both would answer, and forward.
 */
export function dropChain(device: string, requires: readonly Key[]): NftChainValue {
  return {
    name: `drop_${device}`,
    hook: { type: "filter", hook: "ingress", device, priority: -500, policy: "drop" },
    rules: [],
    uses: [],
    jumps: [],
    requires,
  };
}

export const dropChainKey = (device: string): Key => nftChainKey(`drop_${device}`);

type SharedDevice = Omit<AfPacketValue, "kind" | "requires">;

/** A device of a pair of ours in VPP: nothing is read from it before the kernel keeps its hands off. */
export function* sharedDevice(value: SharedDevice, pair: string): Iterable<KeyValue> {
  yield { key: dropChainKey(value.device), value: dropChain(value.device, [linkKey(pair)]) };
  const requires = [carrierKey(pair), dropChainKey(value.device)];
  yield { key: interfaceKey(value.name), value: { kind: "af-packet", ...value, requires } satisfies AfPacketValue };
}

/**
 * As {@link sharedDevice}, but VPP has it open as soon as there is a link, beside what else is done with that. It may be brought
 * up, which is when VPP reads, only with what {@link readsWith} names.
 */
export function* openedDevice(value: SharedDevice, pair: string): Iterable<KeyValue> {
  yield { key: dropChainKey(value.device), value: dropChain(value.device, [linkKey(pair)]) };
  const requires = [linkKey(pair)];
  yield { key: interfaceKey(value.name), value: { kind: "af-packet", ...value, requires } satisfies AfPacketValue };
}

export const readsWith = (pair: string): readonly Key[] => [carrierKey(pair), dropChainKey(pair)];
