import { type AclRule, isIcmp, type MacipRule, type Range } from "../../../models/vpp/acl.ts";
import { AclAction, type MacipAclRule as WireMacip, type AclRule as WireRule } from "../binapi/index.ts";

/** What VPP takes for "all ports" without looking at them. */
const ANY: Range = [0, 65_535];
const ACTIONS = ["deny", "permit", "permit+reflect"] as const;

/** The rule as acl.api has it: types and codes of ICMP are where ports are. */
export function encodeRule(rule: AclRule): WireRule {
  const icmp = isIcmp(rule.proto);
  const [srcFirst, srcLast] = (icmp ? rule.icmpType : rule.srcPorts) ?? ANY;
  const [dstFirst, dstLast] = (icmp ? rule.icmpCode : rule.dstPorts) ?? ANY;
  return {
    is_permit: actionNumber(rule.action),
    src_prefix: rule.src,
    dst_prefix: rule.dst,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the enum names a few of the 256 protocols
    proto: (rule.proto ?? 0) as WireRule["proto"],
    srcport_or_icmptype_first: srcFirst,
    srcport_or_icmptype_last: srcLast,
    dstport_or_icmpcode_first: dstFirst,
    dstport_or_icmpcode_last: dstLast,
    tcp_flags_mask: rule.tcpFlags?.mask ?? 0,
    tcp_flags_value: rule.tcpFlags?.value ?? 0,
  };
}

/** The inverse of {@link encodeRule} for rules that the model allows. */
export function decodeRule(wire: WireRule): AclRule {
  const icmp = isIcmp(wire.proto);
  const src = range(wire.srcport_or_icmptype_first, wire.srcport_or_icmptype_last);
  const dst = range(wire.dstport_or_icmpcode_first, wire.dstport_or_icmpcode_last);
  return {
    action: ACTIONS[wire.is_permit],
    src: wire.src_prefix,
    dst: wire.dst_prefix,
    ...(wire.proto === 0 ? {} : { proto: wire.proto }),
    ...(src === undefined ? {} : { [icmp ? "icmpType" : "srcPorts"]: src }),
    ...(dst === undefined ? {} : { [icmp ? "icmpCode" : "dstPorts"]: dst }),
    ...(wire.tcp_flags_mask === 0 ? {} : { tcpFlags: { value: wire.tcp_flags_value, mask: wire.tcp_flags_mask } }),
  };
}

export function encodeMacip(
  rule: MacipRule,
): Omit<WireMacip, "src_mac" | "src_mac_mask"> & Record<"src_mac" | "src_mac_mask", string> {
  return {
    is_permit: actionNumber(rule.action),
    src_mac: rule.mac,
    src_mac_mask: rule.macMask,
    src_prefix: rule.src,
  };
}

export const decodeMacip = (wire: WireMacip): MacipRule => ({
  action: wire.is_permit === AclAction.ACL_ACTION_API_DENY ? "deny" : "permit",
  mac: wire.src_mac,
  macMask: wire.src_mac_mask,
  src: wire.src_prefix,
});

function actionNumber(action: AclRule["action"]): AclAction {
  if (action === "deny") return AclAction.ACL_ACTION_API_DENY;
  return action === "permit" ? AclAction.ACL_ACTION_API_PERMIT : AclAction.ACL_ACTION_API_PERMIT_REFLECT;
}

const range = (first: number, last: number): Range | undefined =>
  first === ANY[0] && last === ANY[1] ? undefined : [first, last];
