import type { IpAddress } from "../../../src/base/ip/address.ts";
import { cidrContains, parseNetwork } from "../../../src/base/ip/cidr.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import {
  ACL_INTERFACE_PREFIX,
  ACL_PREFIX,
  type AclInterfaceValue,
  type AclRule,
  type AclValue,
  validateAcl,
  validateAclInterface,
} from "../../../src/models/vpp/acl.ts";

/** The first packet of a connection. */
export interface AclPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IP protocol number. */
  readonly proto: number;
  /** Destination port, where there are any; of ICMP the type. */
  readonly number: number;
}

/** What VPP's ACL plugin would make of a packet that belongs to no session, from the items alone. */
export class AclTracer {
  readonly #lists = new Map<string, readonly { readonly rule: AclRule; matches(p: AclPacket): boolean }[]>();
  readonly #bindings = new Map<string, AclInterfaceValue>();

  constructor(items: ReadonlyMap<Key, unknown>) {
    for (const [key, value] of items) {
      if (key.startsWith(ACL_PREFIX)) {
        const list = value as AclValue;
        validateAcl(list);
        this.#lists.set(
          list.name,
          list.rules.map((rule) => ({ rule, matches: matcher(rule) })),
        );
      }
      if (!key.startsWith(ACL_INTERFACE_PREFIX)) continue;
      validateAclInterface(value as AclInterfaceValue);
      this.#bindings.set((value as AclInterfaceValue).interface, value as AclInterfaceValue);
    }
  }

  /** Whether the lists of an interface let the packet in, or out. */
  passes(name: string, way: "input" | "output", packet: AclPacket): boolean {
    const binding = this.#bindings.get(name);
    if (!binding) throw new Error(`no lists on ${name}`);
    for (const list of binding[way]) {
      const rules = this.#lists.get(list);
      if (!rules) throw new Error(`no list ${list}`);
      const first = rules.find(({ matches }) => matches(packet));
      if (first) return first.rule.action !== "deny";
    }
    return false;
  }
}

function matcher({ src, dst, proto, dstPorts, icmpType }: AclRule): (p: AclPacket) => boolean {
  const [from, to] = [parseNetwork(src), parseNetwork(dst)];
  const [first, last] = dstPorts ?? icmpType ?? [0, 65_535];
  return (p) =>
    (proto === undefined || (p.proto === proto && p.number >= first && p.number <= last)) &&
    cidrContains(from, p.source) &&
    cidrContains(to, p.destination);
}
