import { seconds } from "../../../base/clock/clock.ts";
import { Mapped } from "../../../base/memo/mapped.ts";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  ACL_INTERFACE_PREFIX,
  ACL_PREFIX,
  type AclInterfaceValue,
  type AclValue,
  aclInterfaceKey,
  aclKey,
  validateAcl,
  validateAclInterface,
} from "../../../models/vpp/acl.ts";
import { nameOfTag } from "../../../models/vpp/checks.ts";
import type { Element } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { decodeRule } from "./codec.ts";
import { AclGroup, LISTS } from "./group.ts";
import { Numbers } from "./numbers.ts";

/** Metadata: VPP's number of the list. */
export interface AclDescriptors {
  readonly acl: Descriptor<AclValue, number>;
  readonly aclInterface: Descriptor<AclInterfaceValue, undefined>;
}

/** Lists and their binding to interfaces. A changed list is replaced in place: no packet meets an interface without it. */
export function aclDescriptors(vpp: VppTarget): AclDescriptors {
  const numbers = new Numbers();
  const group = new AclGroup(vpp, numbers);
  return { acl: lists(vpp, numbers, group), aclInterface: bindings(vpp, numbers, group) };
}

const notAlone = (): never => {
  throw new Error("lists are set by their commit group");
};
/** Of all that one event changes: after a restart of VPP, the lists of every pod, while it makes their interfaces. */
const DEADLINE = seconds(10);
const common = (group: AclGroup) => ({
  group,
  deadline: DEADLINE,
  create: notAlone,
  update: notAlone,
  delete: notAlone,
});

function lists({ api }: VppTarget, numbers: Numbers, group: AclGroup): AclDescriptors["acl"] {
  const items = new Mapped<Element<"acl_dump">, Retrieved<AclValue, number> | undefined>();
  const itemOf = ({ acl_index, tag, r }: Element<"acl_dump">): Retrieved<AclValue, number> | undefined => {
    const name = nameOfTag(tag);
    if (name === undefined) return undefined;
    return { key: aclKey(name), value: { name, rules: r.map(decodeRule) }, metadata: acl_index };
  };
  return {
    ...common(group),
    name: LISTS,
    keyPrefixes: [ACL_PREFIX],
    validate: (_key, value) => validateAcl(value),
    describe: (_key, { name, rules }) => `${name}: ${rules.length} rules`,
    async retrieve(_correlate, { signal }) {
      numbers.clear();
      const elements = await api.dump("acl_dump", { acl_index: NO_INDEX }, { signal });
      const found = items.of(elements, (element, former) => former ?? itemOf(element)).filter((i) => i !== undefined);
      for (const { value, metadata } of found) numbers.set(value.name, metadata);
      group.found(found.map(({ value }) => value));
      return found;
    },
  };
}

function bindings(vpp: VppTarget, numbers: Numbers, group: AclGroup): AclDescriptors["aclInterface"] {
  const found = new FoundOnInterfaces<Element<"acl_interface_list_dump">, AclInterfaceValue>(vpp, (element) => element);
  return {
    ...common(group),
    name: "vpp-acl-interface",
    keyPrefixes: [ACL_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES, LISTS],
    validate: (_key, value) => validateAclInterface(value),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...[...new Set([...value.input, ...value.output])].map((name) => ({ label: `acl ${name}`, key: aclKey(name) })),
    ],
    describe: (_key, { input, output }) => `in: ${input.join(", ")}; out: ${output.join(", ")}`,
    async retrieve(_correlate, { signal }) {
      const elements = await vpp.api.dump("acl_interface_list_dump", { sw_if_index: NO_INDEX }, { signal });
      return found.of(elements, ({ n_input, acls }, name, former) => {
        if (acls.length === 0) return undefined;
        const { input = [], output = [] } = former?.value ?? {};
        // Lists may have changed their numbers.
        const isAsBefore = acls.every((number, i) => (input[i] ?? output[i - n_input]) === numbers.name(number));
        if (former && isAsBefore) return former;
        const names = acls.map((number) => numbers.name(number));
        const value = { interface: name, input: names.slice(0, n_input), output: names.slice(n_input) };
        return { key: aclInterfaceKey(name), value, metadata: undefined };
      });
    },
  };
}
