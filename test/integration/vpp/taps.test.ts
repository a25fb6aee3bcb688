import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { linkDescriptor } from "../../../src/dataplane/linux/link/descriptor.ts";
import { LinkReaper } from "../../../src/dataplane/linux/link/reaper.ts";
import { Ends } from "../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { netnsIdentity } from "../../../src/dataplane/linux/netlink/netns.ts";
import { createInterface } from "../../../src/dataplane/vpp/interface/create.ts";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { vppAddressDescriptor } from "../../../src/dataplane/vpp/l3/address.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { ipJson } from "../../../src/lab/net/ip.ts";
import { linkKey, type TapLinkValue } from "../../../src/models/linux.ts";
import { interfaceKey, interfaceUpKey, type TapValue } from "../../../src/models/vpp/interface.ts";
import { vppAddressKey } from "../../../src/models/vpp/l3.ts";
import { bySockets } from "../../support/linux/by-sockets.ts";
import { until } from "../../support/until.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { Flow } from "../../support/vpp/flow.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";
import { transfer } from "../../support/vpp/transfer.ts";
import { vhostNetEnvironment, vhostNetNote } from "../../support/vpp/vhost-net.ts";

const run = (...args: readonly string[]): string => execFileSync("ip", args, { encoding: "utf8" });
const id = randomBytes(3).toString("hex");
const [A, B] = [`hd${id}a`, `hd${id}b`] as const;
const macOf = (end: string): string => `02:00:00:00:00:0${end.slice(-1)}`;
const of = (end: string, host: number): readonly [v4: string, v6: string] => {
  const net = end === A ? 1 : 2;
  return [`10.9.${net}.${host}`, `fd09:${net}::${host}`];
};

/** A tap in the namespace of its name, VPP with the first address of its network. */
describe.skipIf(VPP_BINARY === undefined)(`taps on a real VPP${vhostNetNote}${vppNote}`, () => {
  let lab: DescriptorLab;
  let node: RtNetlink;
  const identities = new Map<string, string>();

  const link = (end: string): TapLinkValue => {
    const pod = {
      netns: `/run/netns/${end}`,
      netnsId: identities.get(end) ?? "",
      ifName: "eth0",
      mac: macOf(end),
      mtu: 1400,
    };
    return { kind: "tap", name: end, state: "up", pod };
  };
  const tap = (end: string, offload = true): TapValue => ({
    ...{ kind: "tap", name: end, mac: "02:68:65:64:64:6c", mtu: 1400, device: "eth0", netns: `/run/netns/${end}` },
    ...{ hostMac: macOf(end), offload, requires: [linkKey(end)] },
  });
  const values = (end: string, offload = true): [string, unknown][] => [
    [linkKey(end), link(end)],
    [interfaceKey(end), tap(end, offload)],
    ...of(end, 1).map((address): [string, unknown] => {
      const value = { interface: end, address: `${address}/${address.includes(":") ? 64 : 24}` };
      return [vppAddressKey(value), value];
    }),
    [interfaceUpKey(end), { interface: end, requires: [] }],
  ];
  const both = (offload = true) => new Map([...values(A, offload), ...values(B, offload)]);
  const device = async (end: string) => (await ipJson(end, ["-d", "link", "show"])).find((l) => l["ifname"] === "eth0");
  /** The kernel's side of it, which is others' to configure. */
  const configure = (end: string): void => {
    const [v4, v6] = of(end, 2);
    const [gateway4, gateway6] = of(end, 1);
    run("-n", end, "address", "add", `${v4}/24`, "dev", "eth0");
    run("-n", end, "address", "add", `${v6}/64`, "dev", "eth0", "nodad");
    run("-n", end, "route", "add", "default", "via", gateway4);
    run("-n", end, "route", "add", "default", "via", gateway6);
  };
  const reaches = (from: string, to: string, size = 56): boolean => {
    try {
      run("netns", "exec", from, "ping", "-n", "-c", "1", "-W", "1", "-s", String(size), to);
      return true;
    } catch {
      return false;
    }
  };
  const allReached = (): boolean =>
    [A, B].every((from) => [A, B].every((to) => [1, 2].every((host) => of(to, host).every((ip) => reaches(from, ip)))));

  beforeAll(async () => {
    for (const end of [A, B]) {
      run("netns", "add", end);
      identities.set(end, await netnsIdentity(`/run/netns/${end}`));
    }
    node = await RtNetlink.open();
    const namespaces = new Namespaces(node, (netns) => RtNetlink.open({ netns }));
    const never = () => Promise.reject(new Error("nothing on the node is removed here"));
    lab = await DescriptorLab.start(
      (session) => [
        // A snapshot is for one transaction of one scheduler.
        linkDescriptor(new Ends(namespaces, new Snapshots(bySockets(namespaces))), new LinkReaper([], never)),
        interfaceDescriptor(session),
        vppAddressDescriptor(session),
        interfaceUpDescriptor(session),
      ],
      { env: vhostNetEnvironment() },
    );
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
    await node?.close();
    for (const end of [A, B]) run("netns", "delete", end);
  });

  it("are made, read back, changed and removed, the kernel's end with them", async () => {
    const made = await lab.reaches(both());
    expect(made).toContain(`create ${linkKey(A)}`);
    expect(made).toContain(`create ${interfaceKey(A)}`);
    expect(await device(A)).toMatchObject({ mtu: 1400, address: macOf(A), operstate: "UP" });
    const narrower = new Map([...both(), [interfaceKey(A), { ...tap(A), mtu: 1300 }]]);
    expect(await lab.reaches(narrower)).toEqual([`update ${interfaceKey(A)}`]);
    await lab.reaches(new Map());
    expect(await device(A)).toBeUndefined();
    expect(await lab.client.dump("sw_interface_tap_v2_dump", { sw_if_index: 0xffff_ffff })).toEqual([]);
  });

  it.each([true, false])("carry packets of both families, whole ones and in pieces (offloads: %s)", async (offload) => {
    await lab.reaches(both(offload));
    for (const end of [A, B]) configure(end);
    await until("each is reached", allReached);
    // Cut to fragments by the kernel, and more of it than one of VPP's buffers holds.
    for (const ip of of(B, 2)) await until(`${ip} in pieces`, () => reaches(A, ip, 6000));
    for (const ip of of(B, 2)) {
      await using flow = await Flow.open(A, B, ip);
      await flow.carries();
      expect(await transfer(A, B, ip, 16)).toBe(true);
    }
    await lab.reaches(new Map());
  });

  it("stay when VPP is killed, with what the kernel has on them, and are VPP's again", async () => {
    await lab.reaches(both());
    for (const end of [A, B]) configure(end);
    await until("each is reached", allReached);
    const before = await device(A);
    await lab.vpp.kill();
    await until("the carrier is gone", async () => (await device(A))?.["operstate"] === "DOWN");
    const [addresses] = await ipJson(A, ["address", "show", "dev", "eth0"]);
    for (const local of of(A, 2)) expect(addresses?.["addr_info"]).toContainEqual(expect.objectContaining({ local }));
    await lab.vpp.run();
    await lab.client.ready(AbortSignal.timeout(5000));
    const done = await lab.reaches(both());
    expect(done.filter((op) => op.includes("linux/"))).toEqual([]);
    expect((await device(A))?.["ifindex"]).toBe(before?.["ifindex"]);
    await until("each is reached", allReached);
    await lab.reaches(new Map());
  });

  it("are made anew after somebody has removed one end or the other", async () => {
    // VPP keeps the addresses of an interface that is deleted under them.
    await lab.reaches(new Map(values(A).filter(([key]) => !key.startsWith("vpp/address/"))));
    const [a] = await lab.client.dump("sw_interface_tap_v2_dump", { sw_if_index: 0xffff_ffff });
    await lab.client.request("tap_delete_v2", { sw_if_index: a?.sw_if_index ?? 0 });
    await lab.reaches(both());
    run("-n", B, "link", "delete", "eth0");
    await lab.reaches(both());
    for (const end of [A, B]) configure(end);
    await until("each is reached", allReached);
    await lab.reaches(new Map());
  });

  it.skipIf(vhostNetNote === "")("say what is missing where VPP finds no /dev/vhost-net", async () => {
    await using other = await DescriptorLab.start(() => []);
    using session = VppSession.of(other.client);
    const made = createInterface(session, tap(A), AbortSignal.timeout(5000));
    await expect(made).rejects.toMatchObject({ code: "NO_VHOST_NET" });
  });
});
