import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  PROXY_ARP_INTERFACE_PREFIX,
  PROXY_ARP_RANGE_PREFIX,
  type ProxyArpInterfaceValue,
  type ProxyArpRangeValue,
  proxyArpInterfaceKey,
  proxyArpRangeKey,
  validateProxyArpRange,
} from "../../../models/vpp/proxy.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** Ranges of addresses that ARP requests are answered for. */
export function proxyArpRangeDescriptor({ api }: VppTarget): Descriptor<ProxyArpRangeValue, undefined> {
  const request = async (is_add: boolean, { vrf, first, last }: ProxyArpRangeValue, signal: AbortSignal) => {
    const proxy = { table_id: vrf, low: first, hi: last };
    await api.request("proxy_arp_add_del", { is_add, proxy }, { signal });
    return undefined;
  };
  return {
    name: "vpp-proxy-arp",
    keyPrefixes: [PROXY_ARP_RANGE_PREFIX],
    validate: (_key, value) => validateProxyArpRange(value),
    dependencies: (_key, { vrf }): Dependency[] =>
      vrf === 0 ? [] : [{ label: "vrf", key: vrfKey({ family: 4, id: vrf }) }],
    describe: (_key, { first, last }) => `${first} to ${last}`,
    create: (_key, value, { signal }) => request(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => request(false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const ranges = await api.dump("proxy_arp_dump", {}, { signal });
      return ranges.map(({ proxy: { table_id, low, hi } }) => {
        const value: ProxyArpRangeValue = { vrf: table_id, first: low, last: hi };
        return { key: proxyArpRangeKey(value), value, metadata: undefined };
      });
    },
  };
}

/** Interfaces that ARP requests for the ranges are answered on. */
export function proxyArpInterfaceDescriptor(vpp: VppTarget): Descriptor<ProxyArpInterfaceValue, undefined> {
  const set = async (sw_if_index: number, enable: boolean, signal: AbortSignal) => {
    await vpp.api.request("proxy_arp_intfc_enable_disable", { sw_if_index, enable }, { signal });
    return undefined;
  };
  return {
    name: "vpp-proxy-arp-interface",
    keyPrefixes: [PROXY_ARP_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES],
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => value.interface,
    create: (_key, value, { signal }) => set(indexOf(vpp, value.interface), true, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, false, signal));
    },
    async retrieve(_correlate, { signal }) {
      const interfaces = await vpp.api.dump("proxy_arp_intfc_dump", {}, { signal });
      return interfaces.flatMap(({ sw_if_index }): Retrieved<ProxyArpInterfaceValue, undefined>[] => {
        const name = vpp.nameOf(sw_if_index);
        if (name === undefined) return [];
        return [{ key: proxyArpInterfaceKey(name), value: { interface: name }, metadata: undefined }];
      });
    },
  };
}
