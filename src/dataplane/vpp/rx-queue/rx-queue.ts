import { isDeepStrictEqual } from "node:util";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { RX_QUEUE_PREFIX, type RxQueueValue, rxQueueKey, validateRxQueue } from "../../../models/vpp/rx-queue.ts";
import { type Element, RxMode } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

const { RX_MODE_API_ADAPTIVE, RX_MODE_API_DEFAULT, RX_MODE_API_INTERRUPT, RX_MODE_API_POLLING } = RxMode;
const MODES = {
  adaptive: RX_MODE_API_ADAPTIVE,
  interrupt: RX_MODE_API_INTERRUPT,
  polling: RX_MODE_API_POLLING,
} as const;

/** As VPP numbers it; unknown of a queue that somebody else has set. */
type ModeBefore = Element<"sw_interface_rx_placement_dump">["mode"] | undefined;

/**
 * Receive queues. Every interface has some, whether anybody wants something of them or not: those found are no reason to
 * remove anything. Removed is the mode: back comes the one there was, if that is known, or else VPP's default; the thread stays.
 */
export function rxQueueDescriptor(vpp: VppTarget): Descriptor<RxQueueValue, ModeBefore> {
  const { api } = vpp;
  const modeOf = async (value: RxQueueValue, signal: AbortSignal): Promise<ModeBefore> => {
    const queues = await api.dump(
      "sw_interface_rx_placement_dump",
      { sw_if_index: indexOf(vpp, value.interface) },
      { signal },
    );
    return queues.find(({ queue_id }) => queue_id === value.queue)?.mode;
  };
  const set = async (value: RxQueueValue, signal: AbortSignal): Promise<void> => {
    const sw_if_index = indexOf(vpp, value.interface);
    const queue = { sw_if_index, queue_id: value.queue };
    // VPP counts workers from 0 here, and threads with the main one when it dumps them.
    const [worker_id, is_main] = value.thread === 0 ? [0, true] : [value.thread - 1, false];
    await api.request("sw_interface_set_rx_placement", { ...queue, worker_id, is_main }, { signal });
    await api.request(
      "sw_interface_set_rx_mode",
      { ...queue, queue_id_valid: true, mode: MODES[value.mode] },
      { signal },
    );
    // It takes the main thread where there are no workers, and says nothing of a mode that the driver doesn't have.
    const queues = await api.dump("sw_interface_rx_placement_dump", { sw_if_index }, { signal });
    const found = queues.map((details) => decode(value.interface, details)).find((q) => q?.queue === value.queue);
    if (!isDeepStrictEqual(found, value)) throw new Error(`VPP made it ${found?.mode} on thread ${found?.thread}`);
  };
  const found = new FoundOnInterfaces<Element<"sw_interface_rx_placement_dump">, RxQueueValue, ModeBefore>(
    vpp,
    (e) => e,
  );
  return {
    name: "vpp-rx-queue",
    keyPrefixes: [RX_QUEUE_PREFIX],
    retrieveAfter: [INTERFACES],
    exclusive: false,
    validate: (_key, value) => validateRxQueue(value),
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, { mode, thread }) => `${mode}, thread ${thread}`,
    async create(_key, value, { signal }) {
      const before = await modeOf(value, signal);
      await set(value, signal);
      return before;
    },
    async update(_key, _before, value, before, { signal }) {
      await set(value, signal);
      return before;
    },
    async delete(_key, value, before, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index === undefined) return;
      const input = { sw_if_index, queue_id_valid: true, queue_id: value.queue, mode: before ?? RX_MODE_API_DEFAULT };
      await ifThere(() => api.request("sw_interface_set_rx_mode", input, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const queues = await api.dump("sw_interface_rx_placement_dump", { sw_if_index: NO_INDEX }, { signal });
      return found.of(queues, (details, name, former) => {
        const value = former ? undefined : decode(name, details);
        return value ? { key: rxQueueKey(value), value, metadata: undefined } : former;
      });
    },
  };
}

function decode(name: string, details: Element<"sw_interface_rx_placement_dump">): RxQueueValue | undefined {
  const mode = (["adaptive", "interrupt", "polling"] as const).find((m) => MODES[m] === details.mode);
  return mode && { interface: name, queue: details.queue_id, mode, thread: details.worker_id };
}
