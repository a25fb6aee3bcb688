import { TAG_PREFIX } from "../../../models/vpp/checks.ts";
import { isRetval } from "../binapi/errors.ts";
import type { VppTarget } from "../target.ts";

/** More than may have been deleted since: VPP gives the number that became free last to the next interface. */
const MOST = 16;

/**
 * Does `remove`, which names interfaces by number, also when one of them is gone: VPP refuses to hear of a number that
 * nobody has (`fib_api_path_decode`), though what leads there is still in its tables, dead also when another interface
 * gets the number. So loopbacks take the numbers that are free, until it works. They bear our tag: what a killed agent
 * leaves of them, the next one removes.
 */
export async function withPlaceholders(
  { api }: VppTarget,
  signal: AbortSignal,
  remove: () => Promise<unknown>,
): Promise<void> {
  const placeholders: number[] = [];
  try {
    for (;;) {
      try {
        await remove();
        return;
      } catch (e) {
        if (!isRetval(e, ["NO_MATCHING_INTERFACE"]) || placeholders.length === MOST) throw e;
      }
      const input = { mac_address: "00:00:00:00:00:00", is_specified: false, user_instance: 0 };
      const { sw_if_index } = await api.request("create_loopback_instance", input, { signal });
      placeholders.push(sw_if_index);
      const tag = `${TAG_PREFIX}placeholder-${sw_if_index}`;
      await api.request("sw_interface_tag_add_del", { is_add: true, sw_if_index, tag }, { signal });
    }
  } finally {
    for (const sw_if_index of placeholders) await api.request("delete_loopback", { sw_if_index });
  }
}
