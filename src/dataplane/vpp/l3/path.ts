import { parseIp } from "../../../base/ip/address.ts";
import type { Dependency } from "../../../kvscheduler/api/descriptor.ts";
import { type RoutePath, vrfKey } from "../../../models/vpp/l3.ts";
import { type Element, FibPathNhProto, FibPathType, ipFromUnion, ipToUnion } from "../binapi/index.ts";
import { indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

type FibPath = Element<"ip_route_dump">["route"]["paths"][number];

const TYPES = {
  via: FibPathType.FIB_API_PATH_TYPE_NORMAL,
  lookup: FibPathType.FIB_API_PATH_TYPE_NORMAL,
  drop: FibPathType.FIB_API_PATH_TYPE_DROP,
  unreachable: FibPathType.FIB_API_PATH_TYPE_ICMP_UNREACH,
  prohibit: FibPathType.FIB_API_PATH_TYPE_ICMP_PROHIBIT,
} as const;

const ANY = { 4: parseIp("0.0.0.0"), 6: parseIp("::") } as const;

export function encodePath(vpp: VppTarget, path: RoutePath, family: 4 | 6, vrf: number) {
  const via: Partial<Extract<RoutePath, { type: "via" }>> = path.type === "via" ? path : {};
  const gateway = via.gateway === undefined ? ANY[family] : parseIp(via.gateway);
  return {
    sw_if_index: via.interface === undefined ? NO_INDEX : indexOf(vpp, via.interface),
    // Of a gateway without an interface: where it is looked up.
    table_id: path.type === "lookup" ? path.vrf : via.interface === undefined ? vrf : 0,
    rpf_id: NO_INDEX,
    weight: via.weight ?? 1,
    preference: 0,
    type: TYPES[path.type],
    proto: family === 4 ? FibPathNhProto.FIB_API_PATH_NH_PROTO_IP4 : FibPathNhProto.FIB_API_PATH_NH_PROTO_IP6,
    nh: { address: ipToUnion(gateway), via_label: NO_INDEX, obj_id: NO_INDEX, classify_table_index: NO_INDEX },
    n_labels: 0,
  };
}

/** `undefined` for a path that this model has no words for, or through an interface that isn't ours. */
export function decodePath(vpp: VppTarget, path: FibPath, dst: string): RoutePath | undefined {
  const family = dst.includes(":") ? 6 : 4;
  switch (path.type) {
    case FibPathType.FIB_API_PATH_TYPE_DROP:
      return { type: "drop" };
    case FibPathType.FIB_API_PATH_TYPE_ICMP_UNREACH:
      return { type: "unreachable" };
    case FibPathType.FIB_API_PATH_TYPE_ICMP_PROHIBIT:
      return { type: "prohibit" };
    case FibPathType.FIB_API_PATH_TYPE_NORMAL: {
      const name = path.sw_if_index === NO_INDEX ? undefined : vpp.nameOf(path.sw_if_index);
      if (path.sw_if_index !== NO_INDEX && name === undefined) return undefined;
      const gateway = ipFromUnion(path.nh.address, family);
      if (name === undefined && gateway === ANY[family]) return { type: "lookup", vrf: path.table_id };
      return {
        type: "via",
        ...(name === undefined ? {} : { interface: name }),
        // VPP takes the destination of a host route on an interface for its gateway.
        ...(gateway === ANY[family] || dst === `${gateway}/${family === 4 ? 32 : 128}` ? {} : { gateway }),
        ...(path.weight <= 1 ? {} : { weight: path.weight }),
      };
    }
    default:
      return undefined;
  }
}

/** The same for all orders of paths and for a weight of 1 that is said or not. */
export const pathsText = (paths: readonly RoutePath[]): string =>
  paths
    .map((p) =>
      p.type === "via"
        ? `via ${p.gateway ?? "-"} ${p.interface ?? "-"} ${p.weight ?? 1}`
        : `${p.type}${p.type === "lookup" ? ` ${p.vrf}` : ""}`,
    )
    .sort()
    .join(", ");

/** The interfaces and the tables that paths lead to. */
export function pathDependencies(paths: readonly RoutePath[], family: 4 | 6): readonly Dependency[] {
  const tables = paths.map((path) => (path.type === "lookup" ? path.vrf : 0));
  const interfaces = paths.map((path) => (path.type === "via" ? path.interface : undefined));
  return [
    ...[...new Set(tables)].filter((id) => id !== 0).map((id) => ({ label: `vrf ${id}`, key: vrfKey({ family, id }) })),
    ...[...new Set(interfaces)]
      .filter((name) => name !== undefined)
      .map((name) => ({ ...onInterface(name), label: `interface ${name}` })),
  ];
}
