import type { GroupOp } from "../../../../kvscheduler/api/descriptor.ts";
import type { NftChainValue } from "../../../../models/nft.ts";
import { NLA_F_NESTED } from "../../netlink/attr.ts";
import { ruleDigest } from "../digest.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import { addRule } from "./rules.ts";

const NF_INET_INGRESS = 5;
const NF_DROP = 0;
const ChainAttr = { NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const;
const HookAttr = { NUMBER: 1, PRIORITY: 2, DEVICE: 3 } as const;
const RuleAttr = { CHAIN: 2 } as const;

/**
 * Adds what `nft` (1.0.6) sends for the operation: for a chain that goes, a regular one with rules that can be written, or one
 * that drops all that comes in by one device. False for any other.
 */
export function addChain(batch: NftBatch, { kind, value }: GroupOp): boolean {
  const { name, hook, rules } = value as NftChainValue;
  const subject = `chain ${name}`;
  const flush = () => batch.add(NftMessage.DELETE_RULE, subject, (attrs) => attrs.string(RuleAttr.CHAIN, name));
  if (kind === "delete") {
    flush();
    batch.add(NftMessage.DELETE_CHAIN, subject, (attrs) => attrs.string(ChainAttr.NAME, name));
    return true;
  }
  if (hook === undefined) {
    batch.add(NftMessage.NEW_CHAIN, subject, (attrs) => attrs.string(ChainAttr.NAME, name));
    flush();
    return rules.every((rule) => addRule(batch, name, rule, ruleDigest(rule)));
  }
  const { device } = hook;
  if (kind !== "create" || device === undefined || rules.length > 0) return false;
  if (hook.hook !== "ingress" || hook.type !== "filter" || hook.policy !== "drop") return false;
  batch.add(NftMessage.NEW_CHAIN, `${subject} for ${device}`, (attrs) =>
    attrs
      .string(ChainAttr.NAME, name)
      .string(ChainAttr.TYPE, hook.type)
      .u32be(ChainAttr.POLICY, NF_DROP)
      .nest(ChainAttr.HOOK | NLA_F_NESTED, (nested) =>
        nested
          .u32be(HookAttr.NUMBER, NF_INET_INGRESS)
          .u32be(HookAttr.PRIORITY, hook.priority >>> 0)
          .string(HookAttr.DEVICE, device),
      ),
  );
  flush();
  return true;
}
