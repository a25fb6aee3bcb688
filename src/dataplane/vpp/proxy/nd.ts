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
const NODE = { arc_name: "ip6-unicast", feature_name: "ip6-unicast-nd-proxy" };
/**
 * The arc's end, which is no feature of any interface: VPP says yes to it, as to anything, for an interface that has a higher
 * number than any that ever had a feature on the arc.
 */
const END = { ...NODE, feature_name: "ip6-lookup" };

/**
 * Interfaces that answer for every address with a host route. There is no dump: whether the node is enabled is asked for
 * each interface, before each change too, as VPP stacks its nodes once more when it is told twice.
 */
export function proxyNdInterfaceDescriptor(vpp: VppTarget): Descriptor<ProxyNdInterfaceValue, undefined> {
  const isEnabled = async (sw_if_index: number, signal: AbortSignal): Promise<boolean> => {
    const ask = async (node: typeof NODE): Promise<boolean> =>
      (await vpp.api.request("feature_is_enabled", { ...node, sw_if_index }, { signal })).is_enabled;
    return (await ask(NODE)) && !(await ask(END));
  };
  const set = async (sw_if_index: number, is_enable: boolean, signal: AbortSignal): Promise<void> => {
    if ((await isEnabled(sw_if_index, signal)) === is_enable) return;
    await vpp.api.request("ip6nd_proxy_enable_disable", { sw_if_index, is_enable }, { signal });
  };
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
      const { signal } = ctx;
      const interfaces = await vpp.interfaces(ctx);
      const found = await Promise.all(
        interfaces.map(async ({ sw_if_index }): Promise<Retrieved<ProxyNdInterfaceValue, undefined>[]> => {
          const name = vpp.nameOf(sw_if_index);
          if (name === undefined || !(await isEnabled(sw_if_index, signal))) return [];
          return [{ key: proxyNdInterfaceKey(name), value: { interface: name }, metadata: undefined }];
        }),
      );
      return found.flat();
    },
  };
}
