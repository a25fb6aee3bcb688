import { execFileSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { NetlinkProtocol, native } from "../../../src/dataplane/linux/netlink/native.ts";
import { DeviceChains } from "../../../src/dataplane/linux/nftables/device-chains.ts";
import { isRoot, TestNamespaces } from "./netlink-support.ts";

const chain = (device: string) => ({ name: `drop_${device}`, device, priority: -500 });

describe.skipIf(!isRoot)("chains of devices in the kernel (needs root and the program nft)", () => {
  const namespaces = new TestNamespaces();
  afterAll(() => namespaces[Symbol.dispose]());

  const setUp = () => {
    const path = namespaces.add();
    const run = (...args: string[]): string =>
      execFileSync("ip", ["netns", "exec", path.split("/").at(-1) ?? "", ...args], { encoding: "utf8" });
    run("nft", "add", "table", "inet", "hd");
    for (const pair of ["hda", "hdb"]) run("ip", "link", "add", pair, "type", "veth", "peer", `${pair}p`);
    const open = () => native().openNetlink({ netns: path, protocol: NetlinkProtocol.NETFILTER });
    return { run, chains: new DeviceChains(open) };
  };

  it("drop all that comes in, are there once however often they are made, and are what nft makes", async () => {
    const { run, chains } = setUp();
    await chains.add([chain("hda"), chain("hdb")]);
    await chains.add([chain("hda")]);
    const listed = run("nft", "list", "table", "inet", "hd");
    run("nft", "delete", "table", "inet", "hd");
    const hook = (device: string) => `{ type filter hook ingress device ${device} priority -500; policy drop; }`;
    run("nft", "add", "table", "inet", "hd");
    for (const device of ["hda", "hdb"]) run("nft", `add chain inet hd drop_${device} ${hook(device)}`);
    expect(listed).toBe(run("nft", "list", "table", "inet", "hd"));
    expect(listed.match(/policy drop/g)).toHaveLength(2);
    await chains.close();
  });

  it("lose the rules that somebody has put into one", async () => {
    const { run, chains } = setUp();
    await chains.add([chain("hda")]);
    run("nft", "add", "rule", "inet", "hd", "drop_hda", "accept");
    await chains.add([chain("hda")]);
    expect(run("nft", "list", "table", "inet", "hd")).not.toContain("accept");
    await chains.close();
  });

  it("are refused, all of them, when one can't be", async () => {
    const { run, chains } = setUp();
    const nowhere = { ...chain("hdb"), name: "x".repeat(300) };
    await expect(chains.add([chain("hda"), nowhere])).rejects.toMatchObject({ code: "REFUSED" });
    expect(run("nft", "list", "table", "inet", "hd")).not.toContain("chain");
    await chains.close();
  });
});
