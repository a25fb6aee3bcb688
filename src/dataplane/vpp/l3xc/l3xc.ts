import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  type L3CrossConnectValue,
  L3XC_PREFIX,
  l3CrossConnectKey,
  validateL3CrossConnect,
} from "../../../models/vpp/l3xc.ts";
import { FibPathNhProto, VppApiError } from "../binapi/index.ts";
import { decodePath, encodePath, pathDependencies, pathsText } from "../l3/path.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/** Any destination: a cross-connect has none, and decoding a path asks for its family. */
const ANYWHERE = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * L3 cross-connects. They are changed by delete and create: VPP 26.06 takes new paths for an existing one, shows them,
 * and goes on forwarding by the old ones (l3xc_update does not stack its DPO anew).
 */
export function l3CrossConnectDescriptor(vpp: VppTarget): Descriptor<L3CrossConnectValue, undefined> {
  const { api } = vpp;
  return {
    name: "vpp-l3xc",
    keyPrefixes: [L3XC_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateL3CrossConnect(value),
    equivalent: (_key, a, b) => pathsText(a.paths) === pathsText(b.paths),
    dependencies: (_key, value) => [onInterface(value.interface), ...pathDependencies(value.paths, value.family)],
    describe: (_key, value) => pathsText(value.paths),
    async create(_key, { interface: name, family, paths }, { signal }) {
      const l3xc = {
        sw_if_index: indexOf(vpp, name),
        is_ip6: family === 6,
        paths: paths.map((path) => encodePath(vpp, path, family, 0)),
      };
      await api.request("l3xc_update", { l3xc }, { signal });
      return undefined;
    },
    async delete(_key, { interface: name, family }, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(name);
      if (sw_if_index === undefined) return;
      try {
        await ifThere(() => api.request("l3xc_del", { sw_if_index, is_ip6: family === 6 }, { signal }));
      } catch (e) {
        // What it says when there is none.
        if (!(e instanceof VppApiError && e.code === "INVALID_VALUE")) throw e;
      }
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<L3CrossConnectValue, undefined>[] = [];
      for (const { l3xc } of await api.dump("l3xc_dump", { sw_if_index: NO_INDEX }, { signal })) {
        const name = vpp.nameOf(l3xc.sw_if_index);
        if (name === undefined) continue;
        // The dump leaves is_ip6 at 0; the paths know better.
        const family = l3xc.paths[0]?.proto === FibPathNhProto.FIB_API_PATH_NH_PROTO_IP6 ? 6 : 4;
        const paths = l3xc.paths.map((path) => decodePath(vpp, path, ANYWHERE[family])).filter((p) => p !== undefined);
        const value = { interface: name, family, paths } as const;
        found.push({ key: l3CrossConnectKey(value), value, metadata: undefined });
      }
      return found;
    },
  };
}
