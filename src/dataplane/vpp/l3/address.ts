import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  UNNUMBERED_PREFIX,
  type UnnumberedValue,
  unnumberedKey,
  VPP_ADDRESS_PREFIX,
  type VppAddressValue,
  validateAddress,
  validateUnnumbered,
  vppAddressKey,
} from "../../../models/vpp/l3.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/** Addresses of our interfaces. Those that VPP makes itself (IPv6 link-local ones) are not among them. */
export function vppAddressDescriptor(vpp: VppTarget): Descriptor<VppAddressValue, undefined> {
  const { api } = vpp;
  const request = async (sw_if_index: number, is_add: boolean, prefix: string, signal: AbortSignal) => {
    await api.request("sw_interface_add_del_address", { sw_if_index, is_add, del_all: false, prefix }, { signal });
    return undefined;
  };
  return {
    name: "vpp-address",
    keyPrefixes: [VPP_ADDRESS_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateAddress(value),
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => value.address,
    create: (_key, value, { signal }) => request(indexOf(vpp, value.interface), true, value.address, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => request(index, false, value.address, signal));
    },
    async retrieve(_correlate, { signal }) {
      // There is no dump of all interfaces' addresses; the requests of all go out together.
      const interfaces = await api.dump("sw_interface_dump", { name_filter_valid: false }, { signal });
      const numbers = interfaces.map((d) => d.sw_if_index).filter((index) => vpp.nameOf(index) !== undefined);
      // An unnumbered interface shows the addresses of the one that it borrows from.
      const borrowers = new Set(
        (await api.dump("ip_unnumbered_dump", { sw_if_index: NO_INDEX }, { signal })).map((d) => d.sw_if_index),
      );
      const asked = numbers
        .filter((index) => !borrowers.has(index))
        .flatMap((sw_if_index) => [false, true].map((is_ipv6) => ({ sw_if_index, is_ipv6 })));
      const answers = await Promise.all(asked.map((input) => api.dump("ip_address_dump", input, { signal })));
      return answers.flat().flatMap(({ sw_if_index, prefix }): Retrieved<VppAddressValue, undefined>[] => {
        const value = { interface: vpp.nameOf(sw_if_index) ?? "", address: prefix };
        return value.interface === "" ? [] : [{ key: vppAddressKey(value), value, metadata: undefined }];
      });
    },
  };
}

/** Interfaces that use another one's addresses. */
export function unnumberedDescriptor(vpp: VppTarget): Descriptor<UnnumberedValue, undefined> {
  const { api } = vpp;
  const request = async (unnumbered_sw_if_index: number, sw_if_index: number, is_add: boolean, signal: AbortSignal) => {
    await api.request("sw_interface_set_unnumbered", { unnumbered_sw_if_index, sw_if_index, is_add }, { signal });
    return undefined;
  };
  return {
    name: "vpp-unnumbered",
    keyPrefixes: [UNNUMBERED_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateUnnumbered(value),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      { ...onInterface(value.to), label: "holder of the address" },
    ],
    describe: (_key, value) => `as ${value.to}`,
    create: (_key, value, { signal }) => request(indexOf(vpp, value.interface), indexOf(vpp, value.to), true, signal),
    async delete(_key, value, _metadata, { signal }) {
      const [index, to] = [vpp.indexOf(value.interface), vpp.indexOf(value.to)];
      if (index !== undefined && to !== undefined) await ifThere(() => request(index, to, false, signal));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<UnnumberedValue, undefined>[] = [];
      for (const details of await api.dump("ip_unnumbered_dump", { sw_if_index: NO_INDEX }, { signal })) {
        const [name, to] = [vpp.nameOf(details.sw_if_index), vpp.nameOf(details.ip_sw_if_index)];
        if (name === undefined || to === undefined) continue;
        found.push({ key: unnumberedKey(name), value: { interface: name, to }, metadata: undefined });
      }
      return found;
    },
  };
}
