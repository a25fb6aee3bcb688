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
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { decodeRule, encodeRule } from "./codec.ts";
import { Numbers } from "./numbers.ts";

/**
 * The plugin forgets all of an interface's sessions when the interface gets other lists (acl_interface_set_inout_acl_list),
 * unless it is to judge them again one by one, when a packet comes. Which it then is not: it would forget those of packets
 * that are denied by now, and take the next one from the other side for the first of a connection.
 */
const KEEP_SESSIONS = "set acl-plugin reclassify-sessions 1";
const LET_SESSIONS_BE = "set acl-plugin reclassify-sessions 0";

/** Metadata: VPP's number of the list. */
export interface AclDescriptors {
  readonly acl: Descriptor<AclValue, number>;
  readonly aclInterface: Descriptor<AclInterfaceValue, undefined>;
}

/** Lists and their binding to interfaces. A changed list is replaced in place: no packet meets an interface without it. */
export function aclDescriptors(vpp: VppTarget): AclDescriptors {
  const numbers = new Numbers();
  return { acl: lists(vpp, numbers), aclInterface: bindings(vpp, numbers) };
}

function lists({ api }: VppTarget, numbers: Numbers): AclDescriptors["acl"] {
  const set = async (acl_index: number, { name, rules }: AclValue, signal: AbortSignal): Promise<number> => {
    const input = { acl_index, tag: `${TAG_PREFIX}${name}`, r: rules.map(encodeRule) };
    const reply = await api.request("acl_add_replace", input, { signal });
    numbers.set(name, reply.acl_index);
    return reply.acl_index;
  };
  return {
    name: "vpp-acl",
    keyPrefixes: [ACL_PREFIX],
    validate: (_key, value) => validateAcl(value),
    describe: (_key, { name, rules }) => `${name}: ${rules.length} rules`,
    create: (_key, value, { signal }) => set(NO_INDEX, value, signal),
    update: (_key, _before, value, number, { signal }) => set(number, value, signal),
    async delete(_key, { name }, acl_index, { signal }) {
      await ifThere(() => api.request("acl_del", { acl_index }, { signal }));
      numbers.delete(name);
    },
    async retrieve(_correlate, { signal }) {
      numbers.clear();
      const found: Retrieved<AclValue, number>[] = [];
      for (const { acl_index, tag, r } of await api.dump("acl_dump", { acl_index: NO_INDEX }, { signal })) {
        const name = nameOfTag(tag);
        if (name === undefined) continue;
        numbers.set(name, acl_index);
        found.push({ key: aclKey(name), value: { name, rules: r.map(decodeRule) }, metadata: acl_index });
      }
      return found;
    },
  };
}

function bindings(vpp: VppTarget, numbers: Numbers): AclDescriptors["aclInterface"] {
  const set = async (sw_if_index: number, input: readonly string[], output: readonly string[], signal: AbortSignal) => {
    const acls = [...input, ...output].map((name) => numbers.of(name));
    await vpp.api.request("acl_interface_set_acl_list", { sw_if_index, n_input: input.length, acls }, { signal });
  };
  const bind = async (value: AclInterfaceValue, signal: AbortSignal): Promise<undefined> => {
    await set(indexOf(vpp, value.interface), value.input, value.output, signal);
    return undefined;
  };
  return {
    name: "vpp-acl-interface",
    keyPrefixes: [ACL_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-acl"],
    validate: (_key, value) => validateAclInterface(value),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...[...new Set([...value.input, ...value.output])].map((name) => ({ label: `acl ${name}`, key: aclKey(name) })),
    ],
    describe: (_key, { input, output }) => `in: ${input.join(", ")}; out: ${output.join(", ")}`,
    create: (_key, value, { signal }) => bind(value, signal),
    async update(_key, _before, value, _metadata, { signal }) {
      // Sent in a row, so that nothing else comes between.
      await Promise.all([
        vpp.api.cli(KEEP_SESSIONS, { signal }),
        bind(value, signal),
        vpp.api.cli(LET_SESSIONS_BE, { signal }),
      ]);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, [], [], signal));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<AclInterfaceValue, undefined>[] = [];
      const input = { sw_if_index: NO_INDEX };
      for (const { sw_if_index, n_input, acls } of await vpp.api.dump("acl_interface_list_dump", input, { signal })) {
        const name = acls.length === 0 ? undefined : vpp.nameOf(sw_if_index);
        if (name === undefined) continue;
        const names = acls.map((number) => numbers.name(number));
        const value = { interface: name, input: names.slice(0, n_input), output: names.slice(n_input) };
        found.push({ key: aclInterfaceKey(name), value, metadata: undefined });
      }
      return found;
    },
  };
}
