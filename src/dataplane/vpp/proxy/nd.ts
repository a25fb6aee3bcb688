import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  PROXY_ND_INTERFACE_PREFIX,
  PROXY_ND_PREFIX,
  type ProxyNdInterfaceValue,
  type ProxyNdValue,
  proxyNdInterfaceKey,
  proxyNdKey,
  validateProxyNd,
} from "../../../models/vpp/proxy.ts";
import type { Element } from "../binapi/index.ts";
import { allWith, isEnabledOn } from "../feature-arc.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/** What VPP calls it when such an address made a route; fib_source.h. */
const SOURCE = "IPv6-proxy-nd";

/**
 * IPv6 addresses that other links' neighbour solicitations are answered for. They are read back as routes: the dump of
 * their own names an interface only as long as it is up.
 */
export function proxyNdDescriptor(vpp: VppTarget): Descriptor<ProxyNdValue, undefined> {
  const { api } = vpp;
  const request = async (sw_if_index: number, is_add: boolean, ip: string, signal: AbortSignal) => {
    await api.request("ip6nd_proxy_add_del", { sw_if_index, is_add, ip }, { signal });
    return undefined;
  };
  return {
    name: "vpp-proxy-nd",
    keyPrefixes: [PROXY_ND_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateProxyNd(value),
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => `${value.address} on ${value.interface}`,
    create: (_key, value, { signal }) => request(indexOf(vpp, value.interface), true, value.address, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => request(index, false, value.address, signal));
    },
    async retrieve(_correlate, { signal }) {
      const sources = await api.dump("fib_source_dump", {}, { signal });
      const src = sources.find((source) => source.src.name === SOURCE)?.src.id;
      if (src === undefined) throw new Error(`VPP has no FIB source named ${SOURCE}`);
      const tables = (await api.dump("ip_table_dump", {}, { signal })).filter(({ table }) => table.is_ip6);
      const routes = await Promise.all(
        tables.map(({ table }) => api.dump("ip_route_v2_dump", { src, table }, { signal })),
      );
      return routes.flat().flatMap(({ route }): Retrieved<ProxyNdValue, undefined>[] => {
        const name = vpp.nameOf(route.paths[0]?.sw_if_index ?? NO_INDEX);
        if (name === undefined) return [];
        const value = { address: route.prefix.replace(/\/128$/, ""), interface: name };
        return [{ key: proxyNdKey(value), value, metadata: undefined }];
      });
    },
  };
}

/** One of the two nodes that VPP enables together; ip6_nd_mirror_proxy.c. */
const NODE = { arc_name: "ip6-unicast", feature_name: "ip6-unicast-nd-proxy" } as const;

/**
 * Interfaces that answer for every address with a host route. There is no dump: whether the node is enabled is asked for
 * each interface, before each change too, as VPP stacks its nodes once more when it is told twice.
 */
export function proxyNdInterfaceDescriptor(vpp: VppTarget): Descriptor<ProxyNdInterfaceValue, undefined> {
  const set = async (sw_if_index: number, is_enable: boolean, signal: AbortSignal): Promise<void> => {
    if ((await isEnabledOn(vpp, NODE, sw_if_index, signal)) === is_enable) return;
    await vpp.api.request("ip6nd_proxy_enable_disable", { sw_if_index, is_enable }, { signal });
  };
  const found = new FoundOnInterfaces<Element<"sw_interface_dump">, ProxyNdInterfaceValue>(vpp, (element) => element);
  return {
    name: "vpp-proxy-nd-interface",
    keyPrefixes: [PROXY_ND_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES],
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => value.interface,
    async create(_key, value, { signal }) {
      await set(indexOf(vpp, value.interface), true, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, false, signal));
    },
    async retrieve(_correlate, ctx) {
      const enabled = await allWith(vpp, NODE, ctx);
      return found.of(await vpp.interfaces(ctx), ({ sw_if_index }, name, former) => {
        if (!enabled.has(sw_if_index)) return undefined;
        return former ?? { key: proxyNdInterfaceKey(name), value: { interface: name }, metadata: undefined };
      });
    },
  };
}
