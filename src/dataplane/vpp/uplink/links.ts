import { RtNetlink } from "../../linux/netlink/client.ts";
import { isNotFound } from "../../linux/netlink/errors.ts";
import { linkSet } from "../../linux/netlink/link-requests.ts";
import { type FoundLink, findLink } from "../../linux/taken-link/found.ts";
import { PciBus } from "./pci.ts";

/** Where devices are: on the bus, and behind links. */
export interface Devices {
  readonly bus: PciBus;
  readonly links: KernelLinks;
}

/** The kernel's links in this process's network namespace, as far as devices come and go with them. */
export interface KernelLinks {
  find(name: string): Promise<FoundLink | undefined>;
  /** Up or down; nothing is done where there is no such link. */
  set(name: string, up: boolean): Promise<void>;
}

/** With a socket for each call: devices are rarely taken. */
export const kernelLinks: KernelLinks = {
  async find(name) {
    await using netlink = await RtNetlink.open();
    return await findLink(netlink, name);
  },
  async set(name, up) {
    await using netlink = await RtNetlink.open();
    await netlink.request(linkSet({ name }, { up })).catch((e: unknown) => {
      if (!isNotFound(e)) throw e;
    });
  },
};

/** This machine's. */
export const systemDevices: Devices = { bus: new PciBus(), links: kernelLinks };
