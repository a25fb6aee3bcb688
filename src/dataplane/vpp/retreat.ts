import { type Clock, seconds } from "../../base/clock/clock.ts";
import { HOST_LINK } from "../../models/linux.ts";
import { NFT_TABLE } from "../../models/nft.ts";
import { RtNetlink } from "../linux/netlink/client.ts";
import { isNotFound } from "../linux/netlink/errors.ts";
import { linkDelete } from "../linux/netlink/link-requests.ts";
import { type Nft, NftProgram } from "../linux/nftables/nft.ts";
import type { TakenLinkRecords } from "../linux/taken-link/descriptor.ts";
import { fillLink, findLink } from "../linux/taken-link/found.ts";
import { dropChain } from "./shared-device.ts";
import { findVpp, removeFiles, stopVpp } from "./supervisor/process.ts";
import { vppPaths } from "./supervisor/startup-conf.ts";

export interface RetreatOptions {
  /** Of the VPP that an agent started. */
  readonly runtimeDir: string;
  readonly takenLinks: TakenLinkRecords;
  readonly clock: Clock;
}

/** What there was to undo. */
export interface Retreat {
  /** Of the VPP that was ended. */
  readonly pid?: number;
  /** Links that the kernel has again. */
  readonly links: readonly string[];
}

/** From SIGTERM to SIGKILL. Pods have no network from its end to the first resync. */
const GRACE = seconds(1);

/**
 * Makes room for another dataplane where VPP was the last: ends the VPP that an agent has started, and gives the kernel the
 * node's links back, so that the node is reached again and its place on the network can be found. Everything else that was
 * made for VPP is nobody's any more, and goes with the first resync. Can be repeated after a crash at any point.
 */
export async function retreat({ runtimeDir, takenLinks, clock }: RetreatOptions): Promise<Retreat> {
  const paths = vppPaths(runtimeDir);
  const vpp = findVpp(paths, clock)?.process;
  // Before anything is given back: they must not forward both.
  if (vpp) await awake(stopVpp(vpp, GRACE, clock));
  removeFiles(paths);
  const links = [...takenLinks.all().keys()];
  if (links.length > 0) await giveBack(takenLinks);
  return { ...(vpp ? { pid: vpp.id.pid } : {}), links };
}

/** The clock's timers don't keep a process alive, and nothing else of an agent does that early. */
async function awake<T>(waited: Promise<T>): Promise<T> {
  const handle = setInterval(() => undefined, 60_000);
  try {
    return await waited;
  } finally {
    clearInterval(handle);
  }
}

async function giveBack(takenLinks: TakenLinkRecords): Promise<void> {
  await using netlink = await RtNetlink.open();
  const taken = [...takenLinks.all().values()];
  await listenAgain(
    new NftProgram(),
    taken.map(({ link }) => link),
  );
  for (const value of taken) {
    const found = await findLink(netlink, value.link);
    if (found) await fillLink(netlink, found.index, value);
  }
  // It has the node's addresses, too, and would be taken for the way to the other nodes.
  await netlink.request(linkDelete({ name: HOST_LINK })).catch((e: unknown) => {
    if (!isNotFound(e)) throw e;
  });
  for (const { link } of taken) await takenLinks.set(link, undefined);
}

/** Has the kernel take what arrives by these links. */
async function listenAgain(nft: Nft, links: readonly string[]): Promise<void> {
  const names = new Set(links.map((link) => dropChain(link, []).name));
  const there = ((await nft.list(NFT_TABLE)) ?? []).flatMap((object) => {
    const name = object["chain"]?.["name"];
    return typeof name === "string" && names.has(name) ? [name] : [];
  });
  if (there.length > 0) await nft.run(`${there.map((name) => `delete chain inet ${NFT_TABLE} ${name}`).join("\n")}\n`);
}
