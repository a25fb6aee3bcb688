import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { ABF_POLICY_PREFIX, type AbfPolicyValue, abfPolicyKey, validateAbfPolicy } from "../../../models/vpp/abf.ts";
import { aclKey } from "../../../models/vpp/acl.ts";
import { nameOfTag } from "../../../models/vpp/checks.ts";
import type { RoutePath } from "../../../models/vpp/l3.ts";
import { type Element, FibPathNhProto } from "../binapi/index.ts";
import { withPlaceholders } from "../interface/placeholder.ts";
import { decodePath, encodePath, pathDependencies, pathsText } from "../l3/path.ts";
import { INTERFACES, NO_INDEX, type VppTarget } from "../target.ts";

type Wire = Element<"abf_policy_dump">["policy"];

/** What operations on a policy and on its attachments need to know of it. */
export interface AbfPolicyMetadata {
  readonly aclIndex: number;
  readonly family: 4 | 6;
}

/** Any destination: a policy has none, and decoding a path asks for its family. */
const ANYWHERE = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * Policies. VPP's request adds paths to a policy, or takes paths away and with the last one the policy: paths are changed
 * by adding first, so that there is always one.
 */
export function abfPolicyDescriptor(vpp: VppTarget): Descriptor<AbfPolicyValue, AbfPolicyMetadata> {
  const { api } = vpp;
  const send = async (is_add: boolean, policy_id: number, acl_index: number, paths: Encoded, signal: AbortSignal) => {
    if (paths.length === 0) return;
    await api.request("abf_policy_add_del", { is_add, policy: { policy_id, acl_index, paths } }, { signal });
  };
  const encode = ({ family }: AbfPolicyValue, paths: readonly RoutePath[]) =>
    paths.map((path) => encodePath(vpp, path, family, 0));
  const dump = async (signal: AbortSignal): Promise<Wire[]> =>
    (await api.dump("abf_policy_dump", {}, { signal })).map(({ policy }) => policy);
  return {
    name: "vpp-abf-policy",
    keyPrefixes: [ABF_POLICY_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-acl"],
    validate: (_key, value) => validateAbfPolicy(value),
    equivalent: (_key, a, b) => a.family === b.family && a.acl === b.acl && pathsText(a.paths) === pathsText(b.paths),
    dependencies: (_key, { acl, paths, family }) => [
      { label: "acl", key: aclKey(acl) },
      ...pathDependencies(paths, family),
    ],
    describe: (_key, { acl, paths }) => `${acl}: ${pathsText(paths)}`,
    async create(_key, value, ctx) {
      const aclIndex = ctx.metadata<number>(aclKey(value.acl));
      if (aclIndex === undefined) throw new Error(`VPP has no list ${value.acl}`);
      await send(true, value.id, aclIndex, encode(value, value.paths), ctx.signal);
      return { aclIndex, family: value.family };
    },
    async update(_key, before, value, metadata, { signal }) {
      const [old, wanted] = [new Set(before.paths.map(textOf)), new Set(value.paths.map(textOf))];
      const added = value.paths.filter((path) => !old.has(textOf(path)));
      const gone = before.paths.filter((path) => !wanted.has(textOf(path)));
      await send(true, value.id, metadata.aclIndex, encode(value, added), signal);
      await send(false, value.id, metadata.aclIndex, encode(value, gone), signal);
      return metadata;
    },
    // VPP doesn't change a policy's list, and tells paths apart without looking at their weights.
    updateNeedsRecreate: (_key, a, b) => {
      const weights = new Map(a.paths.map((path) => [withoutWeight(path), textOf(path)]));
      const isReweighted = (path: RoutePath) => (weights.get(withoutWeight(path)) ?? textOf(path)) !== textOf(path);
      // Without a path that is ours, its interface was taken away beneath it: VPP dies when it is to add another one.
      return a.acl !== b.acl || a.family !== b.family || a.paths.length === 0 || b.paths.some(isReweighted);
    },
    async delete(_key, { id }, { aclIndex }, { signal }) {
      // What is really there: one path left would keep the policy.
      const found = (await dump(signal)).find(({ policy_id }) => policy_id === id);
      if (!found) return;
      await withPlaceholders(vpp, signal, () => send(false, id, aclIndex, found.paths, signal));
    },
    async retrieve(_correlate, { signal }) {
      const policies = await dump(signal);
      if (policies.length === 0) return [];
      const names = new Map<number, string>();
      for (const { acl_index, tag } of await api.dump("acl_dump", { acl_index: NO_INDEX }, { signal })) {
        names.set(acl_index, nameOfTag(tag) ?? `#${acl_index}`);
      }
      return policies.map(({ policy_id, acl_index, paths }): Retrieved<AbfPolicyValue, AbfPolicyMetadata> => {
        const family = paths[0]?.proto === FibPathNhProto.FIB_API_PATH_NH_PROTO_IP6 ? 6 : 4;
        const value = {
          id: policy_id,
          family,
          acl: names.get(acl_index) ?? `#${acl_index}`,
          paths: paths.map((path) => decodePath(vpp, path, ANYWHERE[family])).filter((path) => path !== undefined),
        } as const;
        return { key: abfPolicyKey(policy_id), value, metadata: { aclIndex: acl_index, family } };
      });
    },
  };
}

type Encoded = readonly (Wire["paths"][number] | ReturnType<typeof encodePath>)[];

const textOf = (path: RoutePath): string => pathsText([path]);
const withoutWeight = (path: RoutePath): string => textOf(path.type === "via" ? { ...path, weight: 1 } : path);
