import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millis, systemClock } from "../../../src/base/clock/clock.ts";
import { dhcpClientDescriptor } from "../../../src/dataplane/vpp/dhcp/client.ts";
import { type DhcpLease, watchDhcpLeases } from "../../../src/dataplane/vpp/dhcp/leases.ts";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { vppAddressDescriptor } from "../../../src/dataplane/vpp/l3/address.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { type DhcpClientValue, dhcpClientKey, validateDhcpClient } from "../../../src/models/vpp/dhcp.ts";
import { type InterfaceValue, interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { DhcpServer } from "../../support/vpp/dhcp.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const CLIENT: DhcpClientValue = { interface: "hda", hostname: "hdnode", clientId: "hd-client", broadcast: true };
const dhcp = (value: DhcpClientValue): Item => [dhcpClientKey(value.interface), value];
const UPLINK: InterfaceValue = {
  kind: "af-packet",
  name: "hda",
  device: "hdtest0",
  mac: "02:fe:00:00:00:01",
  mtu: 1500,
  queues: 1,
  offload: false,
  qdisc: false,
};
const base: Item[] = [
  [interfaceKey("hda"), UPLINK],
  [interfaceUpKey("hda"), { interface: "hda", requires: [] }],
];

describe.skipIf(VPP_BINARY === undefined)(`DHCP clients on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  let server: DhcpServer | undefined;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [
      interfaceDescriptor(session),
      interfaceUpDescriptor(session),
      vppAddressDescriptor(session),
      dhcpClientDescriptor(session),
    ]);
    const inside = ["-t", String(lab.vpp.pid), "-n"];
    const ip = (...args: string[]) => execFileSync("nsenter", [...inside, "ip", ...args]);
    ip("link", "add", "hdtest0", "type", "veth", "peer", "hdtest1");
    ip("link", "set", "hdtest0", "up");
    ip("link", "set", "hdtest1", "up");
    ip("address", "add", "192.0.2.1/24", "dev", "hdtest1");
    ip("route", "add", "255.255.255.255", "dev", "hdtest1");
    server = await DhcpServer.start(["nsenter", ...inside], "192.0.2.1");
    server.give({ address: "192.0.2.77", router: "192.0.2.1", nameServer: "192.0.2.53" });
  });
  afterAll(async () => {
    server?.[Symbol.dispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  it("are made, read back, changed and removed", async () => {
    await lab.reaches(new Map([...base, dhcp(CLIENT)]));
    const changed = dhcp({ ...CLIENT, hostname: "hdother", broadcast: false });
    expect(await lab.reaches(new Map([...base, changed]))).toContain(`create ${changed[0]}`);
    await lab.reaches(new Map(base));
    await lab.reaches(new Map());
  });

  it("get a lease, whose address no resync takes away", async () => {
    using session = VppSession.of(lab.client);
    await lab.reaches(new Map([...base, dhcp(CLIENT)]));
    const interfaces = await lab.client.dump("sw_interface_dump", { name_filter_valid: false });
    const index = interfaces.find((d) => d.tag.startsWith("heddle:hda"))!.sw_if_index;
    session.add("hda", index);

    const stop = new AbortController();
    const lease = await new Promise<readonly DhcpLease[]>((resolve, reject) => {
      const watch = { vpp: session, clock: systemClock, every: millis(20), onChange: resolve, onError: reject };
      watchDhcpLeases(watch, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)])).then(reject, reject);
    });
    stop.abort();
    expect(lease).toEqual([
      { interface: "hda", address: "192.0.2.77/24", router: "192.0.2.1", nameServers: ["192.0.2.53"] },
    ]);

    const addresses = () => lab.client.dump("ip_address_dump", { sw_if_index: index, is_ipv6: false });
    expect((await addresses()).map(({ prefix }) => prefix)).toEqual(["192.0.2.77/24"]);
    await lab.reaches(new Map([...base, dhcp(CLIENT)]));
    expect((await addresses()).map(({ prefix }) => prefix)).toEqual(["192.0.2.77/24"]);
    await lab.reaches(new Map(base));
    expect(await addresses()).toEqual([]);
    await lab.reaches(new Map());
  });

  it.each<[keyof DhcpClientValue, string]>([
    ["hostname", ""],
    ["clientId", ""],
    ["hostname", "a b"],
    ["clientId", "x".repeat(64)],
  ])("are refused with a bad %s: %j", (field, text) => {
    expect(() => validateDhcpClient({ ...CLIENT, [field]: text })).toThrow(new RegExp(`^${field}`));
  });
});
