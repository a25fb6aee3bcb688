import { seconds } from "../../../base/clock/clock.ts";
import { Mapped } from "../../../base/memo/mapped.ts";
import type { Dependency, Descriptor, Key, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { LINK_PREFIX } from "../../../models/linux.ts";
import {
  type AfPacketValue,
  INTERFACE_PREFIX,
  type InterfaceValue,
  interfaceKey,
  memifSocketKey,
  type TapValue,
  validateInterface,
} from "../../../models/vpp/interface.ts";
import type { AfXdpValue } from "../../../models/vpp/interface-kinds.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import type { Element } from "../binapi/index.ts";
import type { VppSession } from "../session/session.ts";
import { INTERFACES, ifThere } from "../target.ts";
import { createInterface, deleteInterface } from "./create.ts";
import { dumpInterfaces, interfaceValue, isSameInterface } from "./dump.ts";
import { interfaceTag } from "./tag.ts";

/** Interfaces. Metadata: sw_if_index. */
export function interfaceDescriptor(session: VppSession): Descriptor<InterfaceValue, number> {
  const { api } = session;
  const setMtu = (sw_if_index: number, mtu: number, signal: AbortSignal) =>
    // The first is that of all protocols; 0 for IPv4, IPv6 and MPLS: no other one.
    api.request("sw_interface_set_mtu", { sw_if_index, mtu: [mtu, 0, 0, 0] }, { signal });
  const items = new Mapped<Element<"sw_interface_dump">, Found | undefined>();
  return {
    name: INTERFACES,
    keyPrefixes: [INTERFACE_PREFIX],
    // VPP's main thread does nothing else while it opens a packet socket, which may have to be made yet (ADR 0022): what is
    // not asked for yet can't be late.
    concurrency: 4,
    deadline: seconds(10),
    validate: (_key, value) => validateInterface(value),
    describe: (_key, value) => `${value.kind}, mtu ${value.mtu}`,
    dependencies: (_key, value) => dependencies(value),
    async create(_key, value, { signal }) {
      const sw_if_index = await createInterface(session, value, signal);
      try {
        const tag = interfaceTag(value);
        await Promise.all([
          api.request("sw_interface_tag_add_del", { is_add: true, sw_if_index, tag }, { signal }),
          setMtu(sw_if_index, value.mtu, signal),
          // VPP's tunnels are born up, and a device of its own may be.
          ...(BORN_UP.has(value.kind)
            ? [api.request("sw_interface_set_flags", { sw_if_index, flags: 0 }, { signal })]
            : []),
        ]);
      } catch (e) {
        // Without its tag nobody would find it again.
        await deleteInterface(api, value, sw_if_index, signal);
        throw e;
      }
      session.add(value.name, sw_if_index);
      return sw_if_index;
    },
    async update(_key, before, value, sw_if_index, { signal }) {
      if (before.mtu !== value.mtu) await setMtu(sw_if_index, value.mtu, signal);
      return sw_if_index;
    },
    equivalent: (_key, a, b) => isSameInterface(readable(a), readable(b)),
    updateNeedsRecreate: (_key, before, value) =>
      !isSameInterface({ ...readable(before), mtu: 0 }, { ...readable(value), mtu: 0 }),
    async delete(_key, value, sw_if_index, { signal }) {
      await ifThere(() => deleteInterface(api, value, sw_if_index, signal));
      session.remove(value.name);
    },
    // Whether a tap's device is still there.
    retrieveAfter: ["linux-link"],
    async retrieve(correlate, ctx) {
      const { signal } = ctx;
      const isGone = (key: Key): boolean => key.startsWith(LINK_PREFIX) && ctx.metadata(key) === undefined;
      const known = Array.from(correlate, ({ value }) => value);
      const orphans = new Set(
        known.flatMap((value) => (value.kind === "tap" && value.requires?.some(isGone) ? [value.name] : [])),
      );
      const wanted = known.flatMap((value) => (value.kind === "af-xdp" ? [value] : []));
      const interfaces = await session.interfaces(ctx);
      const dumped = await dumpInterfaces(api, signal, interfaces);
      const found = items.of(interfaces, ({ sw_if_index: index }, former) => {
        const device = dumped.members.has(index) ? undefined : dumped.afPacket.get(index);
        // Most are pods': nothing else tells of them.
        if (former && device && former.device === device) return former;
        const dumpedValue = interfaceValue(index, dumped, wanted);
        // VPP does not notice; attached to nothing, it is another one than is asked for.
        const value =
          dumpedValue?.kind === "tap" && orphans.has(dumpedValue.name) ? { ...dumpedValue, device: "" } : dumpedValue;
        return value && { device, item: { key: interfaceKey(value.name), value, metadata: index } };
      });
      const all = found.flatMap((one) => one?.item ?? []);
      session.replace(all.map(({ value, metadata }) => [value.name, metadata]));
      return all;
    },
  };
}

interface Found {
  readonly item: Retrieved<InterfaceValue, number>;
  /** What the driver of packet sockets told of it, if it is one of those. */
  readonly device: Element<"af_packet_dump"> | undefined;
}

/** Without what VPP knows nothing of. */
const readable = (value: InterfaceValue): InterfaceValue =>
  isOnKernelDevice(value) ? { ...value, requires: [] } : value;

const isOnKernelDevice = (value: InterfaceValue): value is AfPacketValue | AfXdpValue | TapValue =>
  value.kind === "af-packet" || value.kind === "af-xdp" || value.kind === "tap";

const BORN_UP: ReadonlySet<InterfaceValue["kind"]> = new Set([
  "gre",
  "ipip",
  "ipsec",
  "physical",
  "vxlan",
  "wireguard",
]);

function dependencies(value: InterfaceValue): readonly Dependency[] {
  if ((value.kind === "gre" || value.kind === "ipip") && value.vrf !== 0) {
    return [{ label: "vrf", key: vrfKey({ family: value.local.includes(":") ? 6 : 4, id: value.vrf }) }];
  }
  if (isOnKernelDevice(value)) {
    return (value.requires ?? []).map((key) => ({ label: key, key }));
  }
  if (value.kind === "vlan") return [{ label: "parent", key: interfaceKey(value.parent) }];
  if (value.kind === "memif" && value.socket !== 0) return [{ label: "socket", key: memifSocketKey(value.socket) }];
  return [];
}
