import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import {
  NAT44_DNAT_PREFIX,
  type Nat44Backend,
  type Nat44DnatValue,
  Nat44Proto,
  nat44AddressKey,
  nat44DnatKey,
  validateNat44Dnat,
} from "../../../models/vpp/nat.ts";
import { NatConfigFlags } from "../binapi/index.ts";
import { ifThere, NO_INDEX, type VppTarget } from "../target.ts";
import { onNat44 } from "./global.ts";

const { NAT_IS_TWICE_NAT, NAT_IS_SELF_TWICE_NAT, NAT_IS_OUT2IN_ONLY } = NatConfigFlags;

/**
 * Translations of destinations: to one backend a static mapping, to several one with load balancing. VPP doesn't dump
 * the affinity, so the tag carries it: `heddle:30`.
 */
export function nat44DnatDescriptor({ api }: VppTarget): Descriptor<Nat44DnatValue, undefined> {
  const set = async (is_add: boolean, value: Nat44DnatValue, signal: AbortSignal): Promise<undefined> => {
    const { address, port, backends, affinity } = value;
    const common = {
      is_add,
      flags: flagsOf(value),
      protocol: Nat44Proto[value.proto],
      tag: `${TAG_PREFIX}${affinity}`,
    };
    const [first] = backends;
    if (first === undefined || backends.length > 1) {
      const locals = backends.map((b) => ({ addr: b.address, port: b.port, probability: b.weight, vrf_id: 0 }));
      const input = { ...common, external_addr: address, external_port: port, affinity, locals };
      await api.request("nat44_add_del_lb_static_mapping", input, { signal });
      return undefined;
    }
    const input = {
      ...common,
      match_pool: false,
      pool_ip_address: "0.0.0.0",
      local_ip_address: first.address,
      local_port: first.port,
      external_ip_address: address,
      external_port: port,
      external_sw_if_index: NO_INDEX,
      vrf_id: 0,
    };
    await api.request("nat44_add_del_static_mapping_v2", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-nat44-dnat",
    keyPrefixes: [NAT44_DNAT_PREFIX],
    validate: (_key, value) => validateNat44Dnat(value),
    equivalent: (_key, a, b) =>
      a.affinity === b.affinity && flagsOf(a) === flagsOf(b) && sorted(a.backends) === sorted(b.backends),
    dependencies: (_key, { address, backends, inOnly }) =>
      inOnly || backends.length === 1
        ? [onNat44]
        : [onNat44, { label: "address", key: nat44AddressKey({ address, twice: false }) }],
    describe: (_key, { address, port, backends }) =>
      `${address}:${port} to ${backends.map((b) => `${b.address}:${b.port}`).join(", ")}`,
    create: (_key, value, { signal }) => set(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => set(false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const [singles, balanced] = await Promise.all([
        api.dump("nat44_static_mapping_dump", {}, { signal }),
        api.dump("nat44_lb_static_mapping_dump", {}, { signal }),
      ]);
      const mappings = [
        ...singles.map((m) => ({
          ...m,
          address: m.external_ip_address,
          backends: [{ address: m.local_ip_address, port: m.local_port, weight: 1 }],
        })),
        ...balanced.map((m) => ({
          ...m,
          address: m.external_addr,
          backends: m.locals.map((l) => ({ address: l.addr, port: l.port, weight: l.probability })),
        })),
      ];
      return mappings.flatMap(({ tag, flags, address, external_port, protocol, backends }): Found[] => {
        const affinity = nameOfTag(tag);
        if (affinity === undefined) return [];
        const value: Nat44DnatValue = {
          address,
          port: external_port,
          proto: protocol === Nat44Proto.tcp ? "tcp" : "udp",
          backends,
          affinity: Number(affinity),
          source: sourceOf(flags),
          inOnly: (flags & NAT_IS_OUT2IN_ONLY) !== 0,
        };
        return [{ key: nat44DnatKey(value), value, metadata: undefined }];
      });
    },
  };
}

type Found = Retrieved<Nat44DnatValue, undefined>;

const SOURCES = { keep: 0, self: NAT_IS_SELF_TWICE_NAT, twice: NAT_IS_TWICE_NAT } as const;

const flagsOf = ({ source, inOnly }: Nat44DnatValue): number => SOURCES[source] | (inOnly ? NAT_IS_OUT2IN_ONLY : 0);

function sourceOf(flags: number): Nat44DnatValue["source"] {
  if ((flags & NAT_IS_TWICE_NAT) !== 0) return "twice";
  return (flags & NAT_IS_SELF_TWICE_NAT) === 0 ? "keep" : "self";
}

const sorted = (backends: readonly Nat44Backend[]): string =>
  backends
    .map(({ address, port, weight }) => `${address} ${port} ${weight}`)
    .toSorted()
    .join(",");
