import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { HEDDLE_PROTOCOL, RULE_PREFIX, type RuleValue, ruleKey } from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import { isExists, isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { RuleAction, type RuleMessage, ruleAdd, ruleDelete, ruleDump } from "../netlink/rule.ts";

const ALL_BITS = 0xffff_ffff;

/** Rules of the node by which marked packets find their routing table, known as ours by their protocol. */
export function ruleDescriptor(ends: Ends): Descriptor<RuleValue, undefined> {
  const { node } = ends.namespaces;
  const remove = async (value: RuleValue): Promise<void> => {
    try {
      await node.request(ruleDelete(message(value)));
    } catch (e) {
      if (!isNotFound(e)) throw e;
    }
  };
  return {
    name: "linux-rule",
    keyPrefixes: [RULE_PREFIX],
    // The kernel has no way to change a rule.
    updateNeedsRecreate: () => true,
    describe: (_key, { mark, table }) =>
      `mark 0x${mark.toString(16)}: ${table === undefined ? "refuse" : `table ${table}`}`,
    async create(_key, value) {
      try {
        await node.request(ruleAdd(message(value)));
      } catch (e) {
        if (!isExists(e)) throw e;
      }
      return undefined;
    },
    delete: (_key, value) => remove(value),
    async retrieve() {
      const rules = await node.dump(ruleDump());
      return rules.flatMap((rule) => {
        const value = rule.protocol === HEDDLE_PROTOCOL ? ruleValue(rule) : undefined;
        return value ? [{ key: ruleKey(value), value, metadata: undefined }] : [];
      });
    },
  };
}

function message({ family, priority, mark, mask, table }: RuleValue): RuleMessage {
  return {
    family: family === 4 ? AddressFamily.INET : AddressFamily.INET6,
    priority,
    fwmark: mark,
    fwmask: mask ?? ALL_BITS,
    protocol: HEDDLE_PROTOCOL,
    ...(table === undefined ? { action: RuleAction.UNREACHABLE } : { table }),
  };
}

function ruleValue({ family, priority, fwmark, fwmask, table }: RuleMessage): RuleValue | undefined {
  if (fwmark === undefined) return undefined;
  return {
    family: family === AddressFamily.INET ? 4 : 6,
    // The kernel leaves 0 out.
    priority: priority ?? 0,
    mark: fwmark,
    ...(fwmask === undefined || fwmask === ALL_BITS ? {} : { mask: fwmask }),
    ...(table === undefined ? {} : { table }),
  };
}
