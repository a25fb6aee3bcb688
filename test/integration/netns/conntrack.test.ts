import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { flowDelete, flowDump } from "../../../src/dataplane/linux/conntrack/requests.ts";
import { IpProtocol } from "../../../src/dataplane/linux/conntrack/tuple.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { isNotFound, NetlinkError } from "../../../src/dataplane/linux/netlink/errors.ts";
import { AddressFamily } from "../../../src/dataplane/linux/netlink/ip.ts";
import { NetlinkProtocol } from "../../../src/dataplane/linux/netlink/native.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

const FLOWS = [
  "conntrack -I -p udp -s 192.0.2.9 -d 192.0.2.1 --sport 5353 --dport 8000 -t 600 -u SEEN_REPLY",
  "conntrack -I -p udp -s 192.0.2.9 -d 192.0.2.1 --sport 5354 --dport 8001 -t 600 -u SEEN_REPLY",
  "conntrack -I -p udp -s 2001:db8::9 -d 2001:db8::1 --sport 5353 --dport 8000 -t 600 -u SEEN_REPLY",
];

describe.skipIf(!isRoot)("connection tracking in a namespace", () => {
  const namespaces = new TestNamespaces();
  let path: string;
  let sockets: RtNetlink[];

  beforeEach(async () => {
    path = namespaces.add();
    const another = namespaces.add();
    for (const netns of [path, another]) {
      // Nothing is tracked where no rule asks for it.
      runIn(netns, "nft add table inet hd");
      runIn(netns, "nft add chain inet hd c { type filter hook forward priority 0 ; }");
      runIn(netns, "nft add rule inet hd c ct state established accept");
    }
    for (const flow of FLOWS) runIn(path, flow);
    const protocol = NetlinkProtocol.NETFILTER;
    sockets = [await RtNetlink.open({ netns: path, protocol }), await RtNetlink.open({ netns: another, protocol })];
  });

  afterEach(async () => {
    for (const socket of sockets) await socket.close();
    namespaces[Symbol.dispose]();
  });

  const ports = (socket: RtNetlink | undefined, family: 2 | 10, original = {}) =>
    socket?.dump(flowDump({ family, original }, (flow) => flow.original.destinationPort));

  it("is read through a socket that was opened there by path, and no other's", async () => {
    const [there, elsewhere] = sockets;
    expect((await ports(there, AddressFamily.INET))?.sort()).toEqual([8000, 8001]);
    expect(await ports(there, AddressFamily.INET6)).toEqual([8000]);
    expect(await ports(elsewhere, AddressFamily.INET)).toEqual([]);
  });

  it("shows what the filter lets through, and forgets what it is told to", async () => {
    const [there] = sockets;
    const filter = { protocol: IpProtocol.UDP, destinationPort: 8001 };
    expect(await ports(there, AddressFamily.INET, filter)).toEqual([8001]);
    const [flow] = (await there?.dump(flowDump({ family: AddressFamily.INET, original: filter }, (f) => f))) ?? [];
    if (!there || !flow) throw new Error("no flow");
    await there.request(flowDelete(flow));
    expect(await ports(there, AddressFamily.INET)).toEqual([8000]);
    const gone = await there.request(flowDelete(flow)).catch((e: unknown) => e);
    expect(gone).toBeInstanceOf(NetlinkError);
    expect(isNotFound(gone)).toBe(true);
    expect((gone as Error).message).toMatch(/^delete the flow .*8001.* \[\/run\/netns\/.*\]: ENOENT: /);
  });
});
