import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { netnsIdentity } from "../../../src/dataplane/linux/netlink/netns.ts";
import { KERNEL_MAC, SEGMENT_LINK, SEGMENT_PEER, type VethValue } from "../../../src/models/linux.ts";
import { LinksProcess } from "../../support/linux/links-process.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

/**
 * Sends one segment of 8,000 bytes by the first end's packet socket, to be cut into packets of 1,000, as VPP does
 * (struct virtio_net_hdr before the frame); prints the lengths of what the other end's packet socket sees.
 */
const SEND = `
import socket, struct
seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
seen.bind(("${SEGMENT_PEER}", 0x800))
seen.settimeout(1)
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
out.bind(("${SEGMENT_LINK}", 0x800))
data = bytes(8000)
tcp = struct.pack("!HHIIBBHHH", 1, 2, 1, 1, 5 << 4, 0x10, 1000, 0, 0)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 1, 0, 64, 6, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
total = sum(struct.unpack("!10H", ip))
total = (total & 0xffff) + (total >> 16)
ip = ip[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + ip[12:]
header = struct.pack("=BBHHHH", 1, 1, 54, 1000, 34, 16)
out.send(header + bytes(6) + b"\\x02" + bytes(5) + b"\\x08\\0" + ip + tcp + data)
lengths = []
while sum(lengths) - 54 * len(lengths) < len(data): lengths.append(len(seen.recv(65536)))
print(lengths)
`;

const PACKETS = Array.from({ length: 8 }, () => 1054);

describe.skipIf(!isRoot)(`a veth whose segments are cut${isRoot ? "" : " (skipped: needs root)"}`, () => {
  const namespaces = new TestNamespaces();
  let path: string;
  let pair: VethValue;
  let links: LinksProcess;

  beforeEach(async () => {
    path = namespaces.add();
    pair = {
      kind: "veth",
      name: SEGMENT_LINK,
      mac: KERNEL_MAC,
      mtu: 1500,
      state: "up",
      segments: "cut",
      pod: {
        netns: "/proc/self/ns/net",
        netnsId: await netnsIdentity(path),
        ifName: SEGMENT_PEER,
        mac: KERNEL_MAC,
        mtu: 1500,
      },
    };
    links = new LinksProcess(path);
  });
  afterEach(async () => {
    await links[Symbol.asyncDispose]();
    namespaces[Symbol.dispose]();
  });

  /** The frames that arrive of one segment. */
  const arrive = (): unknown =>
    JSON.parse(
      execFileSync("nsenter", [`--net=${path}`, "--", "python3", "-c", SEND], { encoding: "utf8", timeout: 20_000 }),
    );
  const KEY = `linux/link/${SEGMENT_LINK}`;

  it("is made so, read back so, and hands packets over", async () => {
    expect(await links.resync([pair])).toEqual({ done: [`create ${KEY}`], errors: [], found: [pair] });
    expect(await links.resync([pair])).toEqual({ done: [], errors: [], found: [pair] });
    expect(arrive()).toEqual(PACKETS);
  });

  it.each([
    ["TSO and GSO are on again", `ethtool -K ${SEGMENT_LINK} tso on gso on`, [8054]],
    ["TSO alone is on again", `ethtool -K ${SEGMENT_LINK} tso on`, [8054]],
    ["GSO alone is on again", `ethtool -K ${SEGMENT_LINK} gso on`, PACKETS],
    [
      "the other end puts segments together again",
      `ethtool -K ${SEGMENT_PEER} gro on`,
      expect.not.arrayContaining([8054]),
    ],
  ])("is put right as it stands when %s", async (_, command, meanwhile) => {
    await links.resync([pair]);
    const index = runIn(path, `cat /sys/class/net/${SEGMENT_LINK}/ifindex`);
    runIn(path, command);
    expect(arrive()).toEqual(meanwhile);
    expect(await links.resync([pair])).toEqual({ done: [`update ${KEY}`], errors: [], found: [pair] });
    expect(arrive()).toEqual(PACKETS);
    expect(runIn(path, `cat /sys/class/net/${SEGMENT_LINK}/ifindex`)).toBe(index);
  });

  it("is told from one that hands segments over, and becomes it and the other way round", async () => {
    const { segments: _, ...whole } = pair;
    expect(await links.resync([whole])).toMatchObject({ done: [`create ${KEY}`], found: [whole] });
    expect(arrive()).toEqual([8054]);
    expect(await links.resync([pair])).toMatchObject({ done: [`update ${KEY}`], found: [pair] });
    expect(await links.resync([whole])).toMatchObject({ done: [`update ${KEY}`], found: [whole] });
    expect(arrive()).toEqual([8054]);
  });

  it("is finished when a crash has left it half made: neither cut nor up", async () => {
    runIn(
      path,
      `ip link add ${SEGMENT_LINK} address ${KERNEL_MAC} type veth peer name ${SEGMENT_PEER} address ${KERNEL_MAC}`,
    );
    expect(await links.resync([pair])).toMatchObject({ done: [`update ${KEY}`], errors: [], found: [pair] });
    expect(arrive()).toEqual(PACKETS);
  });
});
