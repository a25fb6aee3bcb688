import { rmdirSync } from "node:fs";
import { type Clock, seconds } from "../../base/clock/clock.ts";
import { errnoOf } from "../../base/errors/errors.ts";
import { HOST_LINK, SEGMENT_LINK } from "../../models/linux.ts";
import { NFT_TABLE } from "../../models/nft.ts";
import { RtNetlink } from "../linux/netlink/client.ts";
import { isNotFound } from "../linux/netlink/errors.ts";
import { linkDelete } from "../linux/netlink/link-requests.ts";
import { type Nft, NftProgram } from "../linux/nftables/nft.ts";
import type { TakenLinkRecords } from "../linux/taken-link/descriptor.ts";
import { fillLink, findLink } from "../linux/taken-link/found.ts";
import { dropChain } from "./shared-device.ts";
import { findVpp, removeFiles, stopVpp } from "./supervisor/process.ts";
import { keeperPaths, stopKeeper } from "./supervisor/socket-keeper.ts";
import { vppPaths } from "./supervisor/startup-conf.ts";
import { giveBackDevice } from "./uplink/device.ts";
import { type Devices, systemDevices } from "./uplink/links.ts";

export interface RetreatOptions {
  /** Of the VPP that an agent started. */
  readonly runtimeDir: string;
  readonly takenLinks: TakenLinkRecords;
  readonly clock: Clock;
  /** This machine's if absent. */
  readonly devices?: Devices;
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
export async function retreat(options: RetreatOptions): Promise<Retreat> {
  const { runtimeDir, takenLinks, clock, devices = systemDevices } = options;
  const paths = vppPaths(runtimeDir);
  const vpp = findVpp(paths, clock)?.process;
  // Before anything is given back: they must not forward both.
  if (vpp) await awake(stopVpp(vpp, GRACE, clock));
  await awake(stopKeeper(keeperPaths(runtimeDir), clock));
  removeFiles(paths);
  removeEmpty(runtimeDir);
  const links = [...takenLinks.all().keys()];
  if (links.length > 0) await awake(giveBack(takenLinks, (link) => giveBackDevice(link, devices, clock)));
  return { ...(vpp ? { pid: vpp.id.pid } : {}), links };
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (e) {
    // There was none, or somebody has put something of theirs into it.
    if (!["ENOENT", "ENOTEMPTY"].includes(errnoOf(e) ?? "")) throw e;
  }
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

type GiveDevice = (value: Parameters<typeof giveBackDevice>[0]) => ReturnType<typeof giveBackDevice>;

async function giveBack(takenLinks: TakenLinkRecords, giveDevice: GiveDevice): Promise<void> {
  await using netlink = await RtNetlink.open();
  const taken = [...takenLinks.all().values()];
  await listenAgain(
    new NftProgram(),
    taken.map(({ link }) => link),
  );
  for (const value of taken) {
    const { link, device } = value;
    const back = device && (await giveDevice({ link, device }));
    const found = device ? back?.found : await findLink(netlink, link);
    if (found) await fillLink(netlink, found.index, { ...value, link: back?.name ?? link });
  }
  // The first has the node's addresses, too, and would be taken for the way to the other nodes.
  for (const name of [HOST_LINK, SEGMENT_LINK]) {
    await netlink.request(linkDelete({ name })).catch((e: unknown) => {
      if (!isNotFound(e)) throw e;
    });
  }
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
