import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { vppDescriptors } from "../../../src/dataplane/vpp/descriptors.ts";
import { featureWarnings } from "../../../src/dataplane/vpp/features.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler, type Scheduler } from "../../../src/kvscheduler/index.ts";
import { aclKey } from "../../../src/models/vpp/acl.ts";
import { cnatFeatureKey } from "../../../src/models/vpp/cnat.ts";
import { interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { vppRouteKey } from "../../../src/models/vpp/l3.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

describe.skipIf(VPP_BINARY === undefined)(`a real VPP without some plugins${vppNote}`, () => {
  let vpp: RealVpp;
  let client: VppClient;
  let session: VppSession;
  let scheduler: Scheduler;
  beforeAll(async () => {
    vpp = await RealVpp.start({ without: ["abf", "acl", "cnat"] });
    client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
    session = VppSession.of(client);
    scheduler = createScheduler();
    for (const descriptor of vppDescriptors(session)) scheduler.register(descriptor);
  });
  afterAll(async () => {
    await scheduler?.close();
    session?.[Symbol.dispose]();
    await client?.close();
    await vpp?.[Symbol.asyncDispose]();
  });

  it("is told of by the features that are off", () => {
    const { state } = client;
    expect(state.s === "ready" && featureWarnings(state.info.differences)).toEqual([
      "VPP has no abf plugin: off without it: pods' way to the outside",
      "VPP has no acl plugin: off without it: network policies and pods' way to the outside",
      "VPP has no cnat plugin: off without it: services and host ports",
    ]);
  });

  it("gets everything else in a full resync; what needs them fails by itself, and what waits for that stays down", async () => {
    const loopback = (name: string) => ({ kind: "loopback", name, mac: `02:00:00:00:00:0${name.length}`, mtu: 1500 });
    const route = { vrf: 0, dst: "192.0.2.0/24", paths: [{ type: "drop" }] };
    const wanted = new Map<string, unknown>([
      [interfaceKey("a"), loopback("a")],
      [interfaceUpKey("a"), { interface: "a", requires: [] }],
      [interfaceKey("bb"), loopback("bb")],
      [cnatFeatureKey("bb"), { interface: "bb" }],
      [interfaceUpKey("bb"), { interface: "bb", requires: [cnatFeatureKey("bb")] }],
      [aclKey("all"), { name: "all", rules: [{ action: "deny", src: "0.0.0.0/0", dst: "0.0.0.0/0" }] }],
      [vppRouteKey(route), route],
    ]);
    const { errors, pending } = await scheduler.transact({ resync: "full", changes: wanted });
    expect([...errors.keys()].toSorted()).toEqual([aclKey("all"), cnatFeatureKey("bb")].toSorted());
    for (const [key, error] of errors) {
      const plugin = key.split("/")[1]?.split("-")[0] ?? "";
      expect(error).toMatchObject({ code: "NO_SUCH_MESSAGE" });
      expect(error.message).toMatch(new RegExp(`of ${plugin}\\.api.* (is the plugin )?loaded\\?`));
    }
    expect(pending).toEqual([interfaceUpKey("bb")]);
    const up = (await client.dump("sw_interface_dump", { name_filter_valid: false })).filter(
      ({ flags }) => flags !== 0,
    );
    expect(up.map(({ tag }) => tag)).toEqual(["heddle:a"]);
    expect(await client.cli("show ip fib 192.0.2.0/24")).toContain("192.0.2.0/24");
  });
});
