import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cnatFeatureDescriptor } from "../../../src/dataplane/vpp/cnat/feature.ts";
import {
  cnatSnatDescriptor,
  cnatSnatExcludeDescriptor,
  cnatSnatInterfaceDescriptor,
} from "../../../src/dataplane/vpp/cnat/snat.ts";
import { cnatTranslationDescriptor } from "../../../src/dataplane/vpp/cnat/translation.ts";
import {
  CNAT_SNAT_KEY,
  type CnatSnatInterfaceValue,
  type CnatTranslationValue,
  cnatFeatureKey,
  cnatSnatExcludeKey,
  cnatSnatInterfaceKey,
  cnatTranslationKey,
} from "../../../src/models/vpp/cnat.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const service: CnatTranslationValue = {
  address: "10.96.0.10",
  port: 53,
  proto: "udp",
  real: false,
  balance: "default",
  hash: "connection",
  backends: [
    { address: "10.244.1.2", port: 5353 },
    { address: "10.244.2.3", port: 5353 },
  ],
};
const six: CnatTranslationValue = {
  ...service,
  address: "fd10:96::a",
  proto: "tcp",
  balance: "maglev",
  hash: "client",
  backends: [{ address: "fd10:244::2", port: 8080 }],
};
const node: CnatTranslationValue = { ...service, address: "192.0.2.1", port: 30_053, real: true };
const item = (value: CnatTranslationValue) => [cnatTranslationKey(value), value] as const;
const table = (value: CnatSnatInterfaceValue) => [cnatSnatInterfaceKey(value), value] as const;
const feature = (name: string) => [cnatFeatureKey(name), { interface: name, requires: [CNAT_SNAT_KEY] }] as const;
const snat = (policy: string, ip4: string, ip6?: string) =>
  [CNAT_SNAT_KEY, { ip4, policy, ...(ip6 === undefined ? {} : { ip6 }) }] as const;
const excluded = (prefix: string) => [cnatSnatExcludeKey(prefix), { prefix }] as const;

describe.skipIf(VPP_BINARY === undefined)(`CNAT on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(cnatTranslationDescriptor(session));
      scheduler.register(cnatSnatDescriptor(session));
      scheduler.register(cnatSnatExcludeDescriptor(session));
      scheduler.register(cnatSnatInterfaceDescriptor(session));
      scheduler.register(cnatFeatureDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("makes and reads back the feature where there is no source policy yet", async () => {
    const alone = (name: string) => [cnatFeatureKey(name), { interface: name }] as const;
    await lab.walk([port("hda"), port("hdb")], [alone("hda")], [alone("hdb")]);
  });

  it("makes, reads back, changes and removes translations", async () => {
    const [first, second] = service.backends;
    if (!first || !second) throw new Error("no backends");
    await lab.walk(
      [],
      [item(service), item({ ...service, proto: "tcp" }), item(six), item(node)],
      [
        item({ ...service, backends: [{ ...second, port: 53 }, first] }),
        item({ ...six, hash: "connection" }),
        item({ ...node, balance: "maglev" }),
      ],
    );
  });

  it("makes, reads back, changes and removes the source policy, its tables and prefixes, and the feature", async () => {
    const ports: Items = [port("hda"), port("hdb")];
    const tables = [table({ interface: "hda", table: "pod" }), table({ interface: "hdb", table: "include4" })];
    await lab.walk(
      ports,
      [
        snat("k8s", "192.0.2.1", "2001:db8::1"),
        ...tables,
        excluded("10.0.0.0/8"),
        excluded("fd10::/16"),
        feature("hda"),
      ],
      [snat("interfaces", "192.0.2.1", "2001:db8::1"), table({ interface: "hda", table: "include6" }), feature("hdb")],
    );
    await lab.walk(ports, [snat("k8s", "192.0.2.1"), ...tables, feature("hda")], [snat("all", "192.0.2.7"), ...tables]);
  });

  it("enables the feature once, whoever enabled it before", async () => {
    const scheduler = lab.scheduler();
    await scheduler.transact({ changes: [port("hda")], resync: "full" });
    const sw_if_index = lab.session.indexOf("hda") ?? -1;
    await lab.client.request("feature_cnat_enable_disable", { sw_if_index, enable_disable: true });
    await scheduler.transact({ changes: [[cnatFeatureKey("hda"), { interface: "hda" }]] });
    const text = await lab.client.cli(`show interface features loop0`);
    expect(text.match(/cnat-lookup-ip4/g)).toHaveLength(1);
    await scheduler.transact({ changes: [], resync: "full" });
    await scheduler.close();
  });
});
