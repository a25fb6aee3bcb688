import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkName } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";
import { type RoutePath, validatePaths } from "./l3.ts";

/* ACL-based forwarding: what a list permits takes the paths of a policy instead of a route. */

export interface AbfPolicyValue {
  /** VPP's number of it; one space for both families. */
  readonly id: number;
  readonly family: 4 | 6;
  /** Name of the list whose permitted packets are forwarded so. */
  readonly acl: string;
  /** As those of a route; a gateway without an interface is looked up in VPP's own table. */
  readonly paths: readonly RoutePath[];
}

/** The policy looks at what the interface receives. */
export interface AbfAttachmentValue {
  readonly interface: string;
  /** Number of the policy. */
  readonly policy: number;
  /** The lowest is asked first. */
  readonly priority: number;
}

export const ABF_POLICY_PREFIX = "vpp/abf-policy/";
export const ABF_ATTACHMENT_PREFIX = "vpp/abf-attachment/";

export const abfPolicyKey = (id: number): Key => `${ABF_POLICY_PREFIX}${id}`;
export const abfAttachmentKey = (v: Pick<AbfAttachmentValue, "interface" | "policy">): Key =>
  `${ABF_ATTACHMENT_PREFIX}${v.interface}/${v.policy}`;

/** Throws `InvalidValueError`. */
export function validateAbfPolicy({ id, family, acl, paths }: AbfPolicyValue): void {
  checkInteger(id, "id", 0, 0xffff_fffe);
  checkName(acl, "acl");
  validatePaths(paths, family);
  const texts = paths.map((path) => (path.type === "via" ? `${path.interface} ${path.gateway}` : path.type));
  check(new Set(texts).size === texts.length, "paths", "VPP can't take one of two equal paths away");
}

/** Throws `InvalidValueError`. */
export function validateAbfAttachment(value: AbfAttachmentValue): void {
  checkInterfaceName(value.interface);
  checkInteger(value.policy, "policy", 0, 0xffff_fffe);
  // VPP sorts by the signed difference of two.
  checkInteger(value.priority, "priority", 0, 0x7fff_ffff);
}
