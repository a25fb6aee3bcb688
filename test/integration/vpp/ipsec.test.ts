import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { ipsecProtectionDescriptor } from "../../../src/dataplane/vpp/ipsec/protection.ts";
import { ipsecSaDescriptor } from "../../../src/dataplane/vpp/ipsec/sa.ts";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { renderTxn } from "../../../src/kvscheduler/render.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { type InterfaceValue, interfaceKey } from "../../../src/models/vpp/interface.ts";
import {
  IpsecCrypto,
  IpsecIntegrity,
  type IpsecProtectionValue,
  type IpsecSaValue,
  ipsecProtectionKey,
  ipsecSaKey,
  validateIpsecSa,
} from "../../../src/models/vpp/ipsec.ts";
import { vrfKey } from "../../../src/models/vpp/l3.ts";
import { DescriptorLab, type DescriptorsOf } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const secret = (bytes: number, fill = "5a"): string => fill.repeat(bytes);
const GCM: IpsecSaValue["crypto"] = { algorithm: "aes-gcm-128", key: secret(16), salt: "01020304" };
const OUT: IpsecSaValue = {
  id: 10,
  spi: 1000,
  direction: "out",
  crypto: GCM,
  extendedSequence: false,
  replayWindow: 0,
};
const IN: IpsecSaValue = { ...OUT, id: 20, spi: 2000, direction: "in", replayWindow: 128 };
const there = { src: "192.0.2.1", dst: "192.0.2.2", vrf: 0 };
const back = { src: "192.0.2.2", dst: "192.0.2.1", vrf: 0 };
const sa = (value: IpsecSaValue): Item => [ipsecSaKey(value.id), value];
const link = (value: InterfaceValue): Item => [interfaceKey(value.name), value];
const protection = (name: string, out: number, ...ids: number[]): Item => {
  const value: IpsecProtectionValue = { interface: name, out, in: ids };
  return [ipsecProtectionKey(name), value];
};
const IPIP = link({ kind: "ipip", name: "hdi", mtu: 1400, local: "192.0.2.1", remote: "192.0.2.2", vrf: 0 });
const IPSEC = link({ kind: "ipsec", name: "hds", mtu: 1400 });

describe.skipIf(VPP_BINARY === undefined)(`IPsec on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  const descriptors: DescriptorsOf = (session) => [
    interfaceDescriptor(session),
    vrfDescriptor(session),
    ipsecSaDescriptor(session),
    ipsecProtectionDescriptor(session),
  ];
  beforeAll(async () => {
    lab = await DescriptorLab.start(descriptors);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it.each(Object.entries(IpsecCrypto))(
    "makes SAs with %s and reads them back",
    async (algorithm, { key, aead, salt }) => {
      const crypto = {
        algorithm: algorithm as IpsecCrypto,
        key: secret(key, "a1"),
        ...(salt ? { salt: "fe000001" } : {}),
      };
      const integrity = { algorithm: "sha-256-128", key: secret(32) } as const;
      const value: IpsecSaValue = { ...OUT, crypto, ...(aead ? {} : { integrity }), tunnel: there };
      await lab.reaches(new Map([sa(value), sa({ ...value, id: 11, spi: 1001, extendedSequence: true })]));
      const changed = sa({ ...value, crypto: { ...crypto, key: secret(key, "a2") } });
      expect(await lab.reaches(new Map([changed]))).toContain(`create ${ipsecSaKey(10)}`);
      await lab.reaches(new Map());
    },
  );

  it.each(Object.entries(IpsecIntegrity))("makes SAs with %s and reads them back", async (name, bytes) => {
    const algorithm = name as IpsecIntegrity;
    const crypto = { algorithm: "aes-cbc-128", key: secret(16) } as const;
    await lab.reaches(new Map([sa({ ...IN, crypto, integrity: { algorithm, key: secret(bytes, "0f") } })]));
    await lab.reaches(new Map());
  });

  it("makes SAs in UDP and in another VRF, and reads them back", async () => {
    const vrf: Item = [vrfKey({ family: 6, id: 6 }), { family: 6, id: 6, name: "hd6" }];
    const tunnel = { src: "fd10::1", dst: "fd10::2", vrf: 6 };
    const udp = { src: 4500, dst: 4501 };
    await lab.reaches(new Map([vrf, sa({ ...OUT, tunnel }), sa({ ...IN, udp, extendedSequence: true })]));
    await lab.reaches(new Map());
  });

  it("protects a tunnel in transport mode, and changes the SAs in place", async () => {
    const base = [IPIP, sa(OUT), sa(IN), sa({ ...IN, id: 21, spi: 2001 })];
    await lab.reaches(new Map([...base, protection("hdi", 10, 20)]));
    const changed = protection("hdi", 10, 20, 21);
    expect(await lab.reaches(new Map([...base, changed]))).toEqual([`update ${changed[0]}`]);
    await lab.reaches(new Map(base));
    await lab.reaches(new Map());
    expect(await lab.client.dump("ipsec_sa_v5_dump", { sa_id: 0xffff_ffff })).toEqual([]);
  });

  it("protects an IPsec interface in tunnel mode", async () => {
    const sas = [sa({ ...OUT, tunnel: there }), sa({ ...IN, tunnel: back })];
    await lab.reaches(new Map([IPSEC, ...sas, protection("hds", 10, 20)]));
    // An SA that is changed is taken out of use while it is.
    await lab.reaches(
      new Map([IPSEC, ...sas.slice(0, 1), sa({ ...IN, tunnel: back, spi: 2002 }), protection("hds", 10, 20)]),
    );
    await lab.reaches(new Map());
    expect(await lab.client.dump("ipsec_sa_v5_dump", { sa_id: 0xffff_ffff })).toEqual([]);
  });

  it.each<[string, Item[], RegExp]>([
    [
      "a loopback",
      [link({ kind: "loopback", name: "hds", mac: "02:fe:00:00:00:01", mtu: 1500 }), sa(OUT), sa(IN)],
      /^interface/,
    ],
    ["an IPsec interface with SAs in transport mode", [IPSEC, sa(OUT), sa(IN)], /^out/],
    ["a tunnel with SAs of two modes", [IPSEC, sa({ ...OUT, tunnel: there }), sa(IN)], /^in/],
    [
      "a tunnel with an SA of the other direction",
      [IPSEC, sa({ ...OUT, tunnel: there }), sa({ ...OUT, id: 20 })],
      /^in/,
    ],
  ])("refuses to protect %s, and leaves nothing behind", async (_what, items, why) => {
    using session = VppSession.of(lab.client);
    const scheduler = createScheduler();
    for (const descriptor of descriptors(session)) scheduler.register(descriptor);
    const item = protection("hds", 10, 20);
    const { errors, record } = await scheduler.transact({ resync: "full", changes: [...items, item] });
    expect([...errors.keys()]).toEqual([item[0]]);
    expect(errors.get(item[0])?.message).toMatch(why);
    await scheduler.transact({ resync: "full", changes: [] });
    await scheduler.close();
    expect(await lab.client.dump("ipsec_tunnel_protect_dump", { sw_if_index: 0xffff_ffff })).toEqual([]);
    expect(renderTxn(record)).not.toContain(secret(4));
    expect(JSON.stringify(record)).not.toContain(secret(4));
  });

  it.each<[string, IpsecSaValue]>([
    ["key is too short", { ...OUT, crypto: { ...GCM, key: secret(15) } }],
    ["key is another algorithm's", { ...OUT, crypto: { ...GCM, algorithm: "aes-gcm-256" } }],
    ["salt is missing", { ...OUT, crypto: { algorithm: "aes-gcm-128", key: secret(16) } }],
    ["salt is too much", { ...OUT, crypto: { ...GCM, algorithm: "aes-cbc-128" } }],
    ["integrity is checked twice", { ...OUT, integrity: { algorithm: "sha1-96", key: secret(20) } }],
    ["window is no power of two", { ...IN, replayWindow: 100 }],
    ["tunnel has two families", { ...OUT, tunnel: { src: "192.0.2.1", dst: "fd10::1", vrf: 0 } }],
  ])("refuses an SA whose %s, without telling the key", (_what, value) => {
    let message = "";
    try {
      validateIpsecSa(value);
    } catch (e) {
      message = String(e);
    }
    expect(message).not.toBe("");
    expect(message).not.toContain(secret(4));
  });
});
