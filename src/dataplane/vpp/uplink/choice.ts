import type { TakenLinkValue } from "../../../models/linux.ts";
import type { AfXdpValue } from "../../../models/vpp/interface-kinds.ts";

/** How VPP has the node's uplink. */
export type UplinkChoice =
  /** It shares the kernel's link by a packet socket: any link. */
  | { readonly kind: "af-packet" }
  /** It reads the link's queues in the kernel's place: the link stays the kernel's. */
  | ({ readonly kind: "af-xdp"; readonly link?: string | undefined } & AfXdpOptions)
  /** It has the device itself, which the kernel loses. */
  | DpdkChoice;

/** As in `AfXdpValue`. */
export interface AfXdpOptions {
  readonly mode: AfXdpValue["mode"];
  readonly queues: AfXdpValue["rxQueues"];
  readonly program?: string | undefined;
}

export interface DpdkChoice {
  readonly kind: "dpdk";
  /** `0000:02:00.0` */
  readonly pci: string;
  /** By which the device is reached without the kernel; `auto`: whichever the kernel has. */
  readonly driver: "auto" | "uio_pci_generic" | "vfio-pci";
  readonly queues: number;
}

/** Whether links were taken in this way; another way has to give them back first. Nothing taken yet is as good. */
export function isTakenFor(choice: UplinkChoice, records: ReadonlyMap<string, TakenLinkValue>): boolean {
  const taken = [...records.values()];
  switch (choice.kind) {
    case "dpdk":
      return taken.every(({ device }) => device?.pci === choice.pci);
    case "af-xdp":
      return taken.every(({ device, link }) => device === undefined && link === (choice.link ?? link));
    case "af-packet":
      return taken.every(({ device }) => device === undefined);
  }
}
