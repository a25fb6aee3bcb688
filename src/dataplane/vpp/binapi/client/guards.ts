import type { MessageValue } from "../codec/codecs.ts";
import { VppEncodeError } from "../errors.ts";
import { FibPathNhProto, FibPathType } from "../gen/types.gen.ts";

/** Refuses a value with {@link VppEncodeError}. */
export type Guard = (value: MessageValue) => void;

/** Where the messages that make forwarding paths have them: a struct, and in it `paths`. */
const PATHS_IN: Readonly<Record<string, string>> = {
  ip_route_add_del: "route",
  ip_route_add_del_v2: "route",
  l3xc_update: "l3xc",
  abf_policy_add_del: "policy",
  add_del_ip_punt_redirect_v2: "punt",
};

/** `fib_path.label_stack` */
const MAX_LABELS = 16;
const NO_INTERFACE = 0xffff_ffff;

const { FIB_API_PATH_NH_PROTO_IP4: IP4, FIB_API_PATH_NH_PROTO_IP6: IP6 } = FibPathNhProto;
const { FIB_API_PATH_NH_PROTO_MPLS: MPLS, FIB_API_PATH_NH_PROTO_ETHERNET: ETHERNET } = FibPathNhProto;

/**
 * Requests that fit the schema and that VPP dies of all the same, its checks being assertions. The rules come from trying
 * every path type with every protocol, with and without an interface, on VPP 26.06. What can't be seen here is up to the
 * caller: an interface that doesn't exist is fatal in a LOCAL path, too.
 */
export function guardOf(request: string): Guard | undefined {
  const holder = PATHS_IN[request];
  if (holder === undefined) return undefined;
  return (value) => {
    const paths = (value[holder] as MessageValue | undefined)?.["paths"];
    if (!Array.isArray(paths)) return; // the codec says what is wrong, if anything
    for (const [i, path] of paths.entries()) {
      const why = fatal(path as MessageValue);
      if (why !== undefined) throw new VppEncodeError(`${request}.${holder}.paths[${i}]: VPP would die of ${why}`);
    }
  };
}

function fatal(path: MessageValue): string | undefined {
  const { type, proto, sw_if_index: index, n_labels: labels } = path;
  const isIp = proto === IP4 || proto === IP6;
  if (typeof labels === "number" && labels > MAX_LABELS) return `n_labels ${labels}, more than ${MAX_LABELS}`;
  switch (type) {
    case FibPathType.FIB_API_PATH_TYPE_NORMAL:
    case FibPathType.FIB_API_PATH_TYPE_SOURCE_LOOKUP:
      if (proto === MPLS) return "an MPLS next hop";
      return proto === ETHERNET && index === NO_INTERFACE ? "an Ethernet path without interface" : undefined;
    case FibPathType.FIB_API_PATH_TYPE_LOCAL:
    case FibPathType.FIB_API_PATH_TYPE_ICMP_UNREACH:
    case FibPathType.FIB_API_PATH_TYPE_ICMP_PROHIBIT:
      return isIp ? undefined : `a path of type ${type} with proto ${String(proto)}, which is not IP`;
    case FibPathType.FIB_API_PATH_TYPE_DVR:
      if (!isIp) return `a DVR path with proto ${String(proto)}, which is not IP`;
      return index === NO_INTERFACE ? "a DVR path without interface" : undefined;
    case FibPathType.FIB_API_PATH_TYPE_INTERFACE_RX:
      return index === NO_INTERFACE ? "an INTERFACE_RX path without interface" : undefined;
    case FibPathType.FIB_API_PATH_TYPE_UDP_ENCAP:
    case FibPathType.FIB_API_PATH_TYPE_BIER_IMP:
      return `a path of type ${type} whose object it doesn't look for`;
    default:
      return undefined;
  }
}
