import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  VPP_NEIGHBOUR_PREFIX,
  type VppNeighbourValue,
  validateNeighbour,
  vppNeighbourKey,
} from "../../../models/vpp/l3.ts";
import { AddressFamily, IpNeighborFlags } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

const { IP_API_NEIGHBOR_FLAG_STATIC: STATIC } = IpNeighborFlags;

/** Permanent neighbours; what VPP learns by itself is not among them. */
export function vppNeighbourDescriptor(vpp: VppTarget): Descriptor<VppNeighbourValue, undefined> {
  const { api } = vpp;
  const request = async (sw_if_index: number, is_add: boolean, value: VppNeighbourValue, signal: AbortSignal) => {
    const neighbor = { sw_if_index, flags: STATIC, mac_address: value.mac, ip_address: value.address };
    await api.request("ip_neighbor_add_del", { is_add, neighbor }, { signal });
    return undefined;
  };
  const add = (value: VppNeighbourValue, signal: AbortSignal) =>
    request(indexOf(vpp, value.interface), true, value, signal);
  return {
    name: "vpp-neighbour",
    keyPrefixes: [VPP_NEIGHBOUR_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateNeighbour(value),
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => `${value.address} is at ${value.mac}`,
    create: (_key, value, { signal }) => add(value, signal),
    update: (_key, _before, value, _metadata, { signal }) => add(value, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => request(index, false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const families = [AddressFamily.ADDRESS_IP4, AddressFamily.ADDRESS_IP6];
      // Their ages make all of them others each time.
      const options = { signal, again: false };
      const answers = await Promise.all(families.map((af) => api.dump("ip_neighbor_dump", { af }, options)));
      return answers.flat().flatMap(({ neighbor }): Retrieved<VppNeighbourValue, undefined>[] => {
        const name = (neighbor.flags & STATIC) === 0 ? undefined : vpp.nameOf(neighbor.sw_if_index);
        if (name === undefined) return [];
        const value = { interface: name, address: neighbor.ip_address, mac: neighbor.mac_address };
        return [{ key: vppNeighbourKey(value), value, metadata: undefined }];
      });
    },
  };
}
