import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { wireguardPeerDescriptor } from "../../../src/dataplane/vpp/wireguard/peer.ts";
import { type InterfaceValue, interfaceKey } from "../../../src/models/vpp/interface.ts";
import { vrfKey } from "../../../src/models/vpp/l3.ts";
import { validateWireguardPeer, type WireguardPeerValue, wireguardPeerKey } from "../../../src/models/vpp/wireguard.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const link = (value: InterfaceValue): Item => [interfaceKey(value.name), value];
const PEER: WireguardPeerValue = {
  interface: "hdw",
  publicKey: key(0xfb), // "+/v7…": what a key's path can't have
  endpoint: { address: "192.0.2.2", port: 51820 },
  vrf: 0,
  keepalive: 25,
  allowed: ["10.2.0.0/16", "fd10:2::/32"],
};
const peer = (value: WireguardPeerValue): Item => [wireguardPeerKey(value), value];

describe.skipIf(VPP_BINARY === undefined)(`WireGuard peers on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [
      interfaceDescriptor(session),
      vrfDescriptor(session),
      wireguardPeerDescriptor(session),
    ]);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const common = { kind: "wireguard", mtu: 1400, local: "192.0.2.1" } as const;
  const base: Item[] = [
    link({ ...common, name: "hdw", port: 51820, privateKey: key(0x17) }),
    link({ ...common, name: "hdv", port: 51821, privateKey: key(0x18) }),
    [vrfKey({ family: 4, id: 5 }), { family: 4, id: 5, name: "hd5" }],
  ];

  it("are made, read back, changed and removed", async () => {
    const { endpoint: _anywhere, ...roaming } = PEER;
    const others = [
      peer({ ...PEER, publicKey: key(2), presharedKey: key(0x33), vrf: 5 }),
      peer({ ...roaming, publicKey: key(3), interface: "hdv", keepalive: 0 }),
    ];
    await lab.reaches(new Map([...base, peer(PEER), ...others]));
    const moved = peer({ ...PEER, allowed: ["10.3.0.0/16"] });
    expect(await lab.reaches(new Map([...base, moved, ...others]))).toEqual([
      `delete ${moved[0]}`,
      `create ${moved[0]}`,
    ]);
    await lab.reaches(new Map(base));
    await lab.reaches(new Map());
  });

  it("go with their interface when it is made anew", async () => {
    await lab.reaches(new Map([...base, peer(PEER)]));
    const [, ...rest] = base;
    const anew = link({ ...common, name: "hdw", port: 51830, privateKey: key(0x17) });
    await lab.reaches(new Map([anew, ...rest, peer(PEER)]));
    await lab.reaches(new Map());
  });

  it.each<[string, Partial<WireguardPeerValue>]>([
    ["publicKey", { publicKey: key(1).slice(4) }],
    ["presharedKey", { presharedKey: key(0) }],
    ["endpoint", { endpoint: { address: "0.0.0.0", port: 1 } }],
    ["endpoint", { endpoint: { address: "192.0.2.2", port: 0 } }],
    ["allowed", { allowed: [] }],
    ["allowed", { allowed: ["10.0.0.1/8"] }],
  ])("are refused with a bad %s", (field, change) => {
    expect(() => validateWireguardPeer({ ...PEER, ...change })).toThrow(new RegExp(`^${field}`));
  });
});
