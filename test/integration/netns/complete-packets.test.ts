import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { netnsIdentity } from "../../../src/dataplane/linux/netlink/netns.ts";
import { KERNEL_MAC, SEGMENT_LINK, SEGMENT_PEER, type VethValue } from "../../../src/models/linux.ts";
import { LinksProcess } from "../../support/linux/links-process.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

/**
 * Sends UDP by the pod's end, and prints whether the checksum that the node's end sees is that of the data, or the seed that
 * is left to the device.
 */
const SEND = `
import socket, struct
seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
seen.bind(("${SEGMENT_LINK}", 0x800))
seen.settimeout(1)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.sendto(b"data", ("10.255.0.2", 9))
ip = seen.recv(65536)[14:]
data = ip[12:20] + struct.pack("!HH", 17, len(ip) - 20) + ip[20:]
total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
while total >> 16: total = (total & 0xffff) + (total >> 16)
print("complete" if total == 0xffff else "left")
`;

describe.skipIf(!isRoot)(
  `a veth whose pod's end sends complete packets${isRoot ? "" : " (skipped: needs root)"}`,
  () => {
    const namespaces = new TestNamespaces();
    let path: string;
    let pair: VethValue;
    let links: LinksProcess;
    const KEY = `linux/link/${SEGMENT_LINK}`;

    beforeEach(async () => {
      path = namespaces.add();
      const netnsId = await netnsIdentity(path);
      const pod = { netns: "/proc/self/ns/net", netnsId, ifName: SEGMENT_PEER, mac: KERNEL_MAC, mtu: 1500 };
      pair = { kind: "veth", name: SEGMENT_LINK, mac: KERNEL_MAC, mtu: 1500, state: "up", podSends: "complete", pod };
      links = new LinksProcess(path);
    });
    afterEach(async () => {
      await links[Symbol.asyncDispose]();
      namespaces[Symbol.dispose]();
    });

    const sends = (): string => {
      runIn(path, `ip address replace 10.255.0.1/24 dev ${SEGMENT_PEER}`);
      runIn(path, `ip neigh replace 10.255.0.2 lladdr ${KERNEL_MAC} dev ${SEGMENT_PEER}`);
      const args = [`--net=${path}`, "--", "python3", "-c", SEND];
      return execFileSync("nsenter", args, { encoding: "utf8", timeout: 20_000 }).trim();
    };

    it("is made so, read back so, and is told from one that leaves checksums to the other end", async () => {
      const { podSends: _, ...other } = pair;
      expect(await links.resync([other])).toMatchObject({ done: [`create ${KEY}`], errors: [] });
      expect(sends()).toBe("left");
      expect(await links.resync([pair])).toEqual({ done: [`update ${KEY}`], errors: [], found: [pair] });
      expect(await links.resync([pair])).toEqual({ done: [], errors: [], found: [pair] });
      expect(sends()).toBe("complete");
    });

    it("is put right when somebody switches it back", async () => {
      await links.resync([pair]);
      runIn(path, `ethtool -K ${SEGMENT_PEER} tx on`);
      expect(sends()).toBe("left");
      expect(await links.resync([pair])).toEqual({ done: [`update ${KEY}`], errors: [], found: [pair] });
      expect(sends()).toBe("complete");
    });
  },
);
