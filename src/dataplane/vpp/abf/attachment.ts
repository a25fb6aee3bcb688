import { Together } from "../../../base/memo/together.ts";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import {
  ABF_ATTACHMENT_PREFIX,
  type AbfAttachmentValue,
  abfAttachmentKey,
  abfPolicyKey,
  validateAbfAttachment,
} from "../../../models/vpp/abf.ts";
import { type Element, isAlreadyExists } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, indexOf, onInterface, type VppTarget } from "../target.ts";
import type { AbfPolicyMetadata } from "./policy.ts";

/**
 * Policies on interfaces. VPP dies of an attachment of a policy that it doesn't have, and when one is removed in the
 * other family than it was made in: the policy says the family, and what is to be removed is read first.
 */
export function abfAttachmentDescriptor(vpp: VppTarget): Descriptor<AbfAttachmentValue, undefined> {
  const { api } = vpp;
  const attachments = new Together(async () => (await api.dump("abf_itf_attach_dump", {})).map(({ attach }) => attach));
  const policies = new Together(
    async () => new Set((await api.dump("abf_policy_dump", {})).map(({ policy }) => policy.policy_id)),
  );
  const found = new FoundOnInterfaces<Element<"abf_itf_attach_dump">, AbfAttachmentValue>(vpp, ({ attach }) => attach);
  return {
    name: "vpp-abf-attachment",
    keyPrefixes: [ABF_ATTACHMENT_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-abf-policy"],
    validate: (_key, value) => validateAbfAttachment(value),
    dependencies: (_key, value) => [onInterface(value.interface), { label: "policy", key: abfPolicyKey(value.policy) }],
    describe: (_key, { policy, priority }) => `policy ${policy}, priority ${priority}`,
    async create(_key, { interface: name, policy: policy_id, priority }, ctx) {
      const policy = ctx.metadata<AbfPolicyMetadata>(abfPolicyKey(policy_id));
      const isThere = (await policies.get()).has(policy_id);
      if (policy === undefined || !isThere) throw new Error(`VPP has no ABF policy ${policy_id}`);
      const attach = { policy_id, sw_if_index: indexOf(vpp, name), priority, is_ipv6: policy.family === 6 };
      try {
        await api.request("abf_itf_attach_add_del", { is_add: true, attach }, ctx);
      } catch (e) {
        if (!isAlreadyExists(e)) throw e;
        // Left by an interface that somebody removed beneath it, under the number that this one has got.
        const left = (await attachments.get()).find(
          (a) => a.sw_if_index === attach.sw_if_index && a.policy_id === policy_id,
        );
        if (left) await api.request("abf_itf_attach_add_del", { is_add: false, attach: left }, ctx);
        await api.request("abf_itf_attach_add_del", { is_add: true, attach }, ctx);
      }
      return undefined;
    },
    async delete(_key, { interface: name, policy }, _metadata, { signal }) {
      const index = vpp.indexOf(name);
      const attach = (await attachments.get()).find((a) => a.sw_if_index === index && a.policy_id === policy);
      if (attach) await api.request("abf_itf_attach_add_del", { is_add: false, attach }, { signal });
    },
    async retrieve(_correlate, { signal }) {
      const elements = await api.dump("abf_itf_attach_dump", {}, { signal });
      return found.of(elements, ({ attach: { policy_id: policy, priority } }, name, former) => {
        if (former) return former;
        const value = { interface: name, policy, priority };
        return { key: abfAttachmentKey(value), value, metadata: undefined };
      });
    },
  };
}
