import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  addressFamily,
  interfaceVrfKey,
  UNNUMBERED_PREFIX,
  type UnnumberedValue,
  unnumberedKey,
  VPP_ADDRESS_PREFIX,
  type VppAddressValue,
  validateAddress,
  validateUnnumbered,
  vppAddressKey,
} from "../../../models/vpp/l3.ts";
import type { Element } from "../binapi/index.ts";
import { leasedAddresses } from "../dhcp/leases.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, OWN_TABLE, onInterface, type VppTarget } from "../target.ts";

/** Addresses of our interfaces. Those that VPP makes itself (IPv6 link-local ones, those by DHCP) are not among them. */
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
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...inTable(value.interface, addressFamily(value), value.vrf),
    ],
    describe: (_key, value) => value.address,
    create: (_key, value, { signal }) => request(indexOf(vpp, value.interface), true, value.address, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => request(index, false, value.address, signal));
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      // There is no dump of all interfaces' addresses; the requests of all go out together.
      const interfaces = await vpp.interfaces(ctx);
      const numbers = interfaces.map((d) => d.sw_if_index).filter((index) => vpp.nameOf(index) !== undefined);
      // An unnumbered interface shows the addresses of the one that it borrows from.
      const borrowers = new Set(
        (await api.dump("ip_unnumbered_dump", { sw_if_index: NO_INDEX }, { signal })).map((d) => d.sw_if_index),
      );
      const asked = numbers
        .filter((index) => !borrowers.has(index))
        .flatMap((sw_if_index) => [false, true].map((is_ipv6) => ({ sw_if_index, is_ipv6 })));
      const dumps = await Promise.all(asked.map((input) => api.dump("ip_address_dump", input, { signal })));
      // After the addresses: one that DHCP puts there meanwhile must not pass for somebody's configuration.
      const leased = await leasedAddresses(api, signal);
      const tables = await vpp.tables(ctx);
      return asked.flatMap((input, i): Retrieved<VppAddressValue, undefined>[] => {
        const addresses = (dumps[i] ?? []).filter(({ prefix }) => !leased.has(`${input.sw_if_index} ${prefix}`));
        const name = vpp.nameOf(input.sw_if_index);
        if (name === undefined) return [];
        const vrf = tables(input.sw_if_index, input.is_ipv6 ? 6 : 4);
        return addresses.map(({ prefix }) => {
          const value = { interface: name, address: prefix, ...(vrf === OWN_TABLE ? {} : { vrf }) };
          return { key: vppAddressKey(value), value, metadata: undefined };
        });
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
  const found = new FoundOnInterfaces<Element<"ip_unnumbered_dump">, UnnumberedValue>(vpp, (element) => element);
  return {
    name: "vpp-unnumbered",
    keyPrefixes: [UNNUMBERED_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateUnnumbered(value),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      { ...onInterface(value.to), label: "holder of the address" },
      ...inTable(value.interface, 4, value.vrf4),
      ...inTable(value.interface, 6, value.vrf6),
    ],
    describe: (_key, value) => `as ${value.to}`,
    create: (_key, value, { signal }) => request(indexOf(vpp, value.interface), indexOf(vpp, value.to), true, signal),
    async delete(_key, value, _metadata, { signal }) {
      const [index, to] = [vpp.indexOf(value.interface), vpp.indexOf(value.to)];
      if (index !== undefined && to !== undefined) await ifThere(() => request(index, to, false, signal));
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      const details = await api.dump("ip_unnumbered_dump", { sw_if_index: NO_INDEX }, { signal });
      const tables = await vpp.tables(ctx);
      return found.of(details, ({ sw_if_index, ip_sw_if_index }, name, former) => {
        const to = vpp.nameOf(ip_sw_if_index);
        if (to === undefined) return undefined;
        const [vrf4, vrf6] = ([4, 6] as const).map((family) => tables(sw_if_index, family) || undefined);
        const is = former?.value;
        if (is?.to === to && is.vrf4 === vrf4 && is.vrf6 === vrf6) return former;
        const value = { interface: name, to, ...(vrf4 && { vrf4 }), ...(vrf6 && { vrf6 }) };
        return { key: unnumberedKey(name), value, metadata: undefined };
      });
    },
  };
}

/** VPP does not move an interface that has addresses: they come after it has, and go before. */
const inTable = (name: string, family: 4 | 6, vrf: number | undefined): Dependency[] =>
  vrf === undefined ? [] : [{ label: `IPv${family} table`, key: interfaceVrfKey({ interface: name, family }) }];
