import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import {
  NAT44_IDENTITY_PREFIX,
  type Nat44IdentityValue,
  Nat44Proto,
  nat44IdentityKey,
  validateNat44Identity,
} from "../../../models/vpp/nat.ts";
import { NatConfigFlags } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { onNat44 } from "./global.ts";

// In the tag: an interface's mapping is dumped twice, once with the address that it has got.
const BY_ADDRESS = "address";
const BY_INTERFACE = "interface";

/** What is not translated. */
export function nat44IdentityDescriptor(vpp: VppTarget): Descriptor<Nat44IdentityValue, undefined> {
  const set = async (is_add: boolean, { on, port }: Nat44IdentityValue, index: number, signal: AbortSignal) => {
    const input = {
      is_add,
      flags: port === undefined ? NatConfigFlags.NAT_IS_ADDR_ONLY : 0,
      ip_address: "address" in on ? on.address : "0.0.0.0",
      protocol: port === undefined ? 0 : Nat44Proto[port.proto],
      port: port?.port ?? 0,
      sw_if_index: index,
      vrf_id: 0,
      tag: `${TAG_PREFIX}${"address" in on ? BY_ADDRESS : BY_INTERFACE}`,
    };
    await vpp.api.request("nat44_add_del_identity_mapping", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-nat44-identity",
    keyPrefixes: [NAT44_IDENTITY_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateNat44Identity(value),
    dependencies: (_key, { on }) => ("address" in on ? [onNat44] : [onNat44, onInterface(on.interface)]),
    create: (_key, value, { signal }) =>
      set(true, value, "address" in value.on ? NO_INDEX : indexOf(vpp, value.on.interface), signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = "address" in value.on ? NO_INDEX : vpp.indexOf(value.on.interface);
      if (index !== undefined) await ifThere(() => set(false, value, index, signal));
    },
    async retrieve(_correlate, { signal }) {
      const mappings = await vpp.api.dump("nat44_identity_mapping_dump", {}, { signal });
      return mappings.flatMap(({ tag, sw_if_index, ip_address, flags, protocol, port }): Found[] => {
        const by = nameOfTag(tag);
        const name = vpp.nameOf(sw_if_index);
        let on: Nat44IdentityValue["on"];
        if (by === BY_ADDRESS) on = { address: ip_address };
        else if (by === BY_INTERFACE && name !== undefined) on = { interface: name };
        else return [];
        const all = (flags & NatConfigFlags.NAT_IS_ADDR_ONLY) !== 0;
        const value: Nat44IdentityValue = all ? { on } : { on, port: { proto: protoOf(protocol), port } };
        return [{ key: nat44IdentityKey(value), value, metadata: undefined }];
      });
    },
  };
}

type Found = Retrieved<Nat44IdentityValue, undefined>;

function protoOf(protocol: number): Nat44Proto {
  if (protocol === Nat44Proto.icmp) return "icmp";
  return protocol === Nat44Proto.tcp ? "tcp" : "udp";
}
