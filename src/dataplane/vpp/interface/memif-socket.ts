import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  MEMIF_SOCKET_PREFIX,
  type MemifSocketValue,
  memifSocketKey,
  validateMemifSocket,
} from "../../../models/vpp/interface.ts";
import { ifThere, type VppTarget } from "../target.ts";

/** Sockets that memif peers meet at. VPP's own, number 0, is not ours. */
export function memifSocketDescriptor({ api }: VppTarget): Descriptor<MemifSocketValue, undefined> {
  const request = async (is_add: boolean, { id, filename }: MemifSocketValue, signal: AbortSignal) => {
    const input = { is_add, socket_id: id, socket_filename: filename };
    await api.request("memif_socket_filename_add_del_v2", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-memif-socket",
    keyPrefixes: [MEMIF_SOCKET_PREFIX],
    validate: (_key, value) => validateMemifSocket(value),
    describe: (_key, { filename }) => filename,
    create: (_key, value, { signal }) => request(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => request(false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<MemifSocketValue, undefined>[] = [];
      for (const { socket_id: id, socket_filename: filename } of await api.dump(
        "memif_socket_filename_dump",
        {},
        { signal },
      )) {
        if (id !== 0) found.push({ key: memifSocketKey(id), value: { id, filename }, metadata: undefined });
      }
      return found;
    },
  };
}
