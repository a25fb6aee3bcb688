import { describe, expect, it } from "vitest";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import type { SandboxId } from "../../../src/pods/api.ts";
import type { CniResult } from "../../../src/pods/cni/result.ts";
import { formatResult } from "../../../src/pods/cni/result.ts";
import { LostSandboxesEvent } from "../../../src/pods/jobs.ts";
import { FakeMemory } from "../../support/controller/fakes.ts";
import { ended, FakeAddresses, makeJob, PodsRig } from "../../support/pods/pods-rig.ts";

const portMappings = (...list: object[]) => ({ runtimeConfig: { portMappings: list } });
const web = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

/** What a rig holds of a sandbox, wherever it may be. */
function traces(rig: PodsRig, id: string): string[] {
  const found: string[] = [];
  if (rig.ids.includes(id)) found.push("handler");
  if (rig.remembered.has(id)) found.push("database");
  if ((rig.addresses as FakeAddresses).held.has(id)) found.push("addresses");
  if (rig.scheduler.items.size > 0) found.push("items");
  return found;
}

const ALL = ["handler", "database", "addresses", "items"];

describe("ADD", () => {
  it("gives the pod an address, remembers it, and answers when all is in force", async () => {
    const rig = new PodsRig();
    const gate = Promise.withResolvers<void>();
    rig.scheduler.answer = () => gate.promise.then(() => ({}));
    const job = rig.push("ADD", { args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web;K8S_POD_UID=u" });
    let settled = false;
    void job.settled.then(() => (settled = true));
    await rig.idle();
    expect(settled).toBe(false);
    gate.resolve();
    const result = (await ended(job)) as CniResult;
    expect(result).toMatchObject({
      interfaces: [{ mtu: 1450 }, { name: "eth0", sandbox: "/run/netns/c1", mtu: 1450 }],
      ips: [{ address: "10.0.0.2/32", gateway: "169.254.1.1", interface: 1 }],
      routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
    });
    expect(result.interfaces[0]?.name).toMatch(/^hd[0-9a-f]{13}$/);
    expect(traces(rig, "c1/eth0")).toEqual(ALL);
    expect(rig.remembered.get("c1/eth0")).toEqual(rig.sandbox("c1/eth0"));
    expect(rig.sandbox("c1/eth0")).toMatchObject({
      network: "net",
      pod: { namespace: "ns", name: "web", uid: "u" },
      addedAt: rig.clock.wall(),
    });
  });

  it.each([
    ["a key failed", (rig: PodsRig) => rig.fail("route/"), "IO_FAILURE cannot wire c1/eth0: route/10.0.0.2 is broken"],
    [
      "a host port failed",
      (rig: PodsRig) => rig.fail("port/"),
      "IO_FAILURE cannot wire c1/eth0: port/tcp/*/8080 is broken",
    ],
    [
      "a key waits for something",
      (rig: PodsRig) => (rig.scheduler.answer = () => ({ pending: ["route/10.0.0.2"] })),
      "IO_FAILURE cannot wire c1/eth0: route/10.0.0.2 waits for something that is not there",
    ],
    [
      "the name is taken in the pod",
      (rig: PodsRig) => {
        rig.scheduler.answer = (txn) => {
          const [first] = [...(txn.changes ?? [])].map(([key]) => key);
          const error = Object.assign(new Error("create veth: EEXIST"), { code: "EEXIST" });
          return { errors: new Map(first?.startsWith("link/") ? [[first, error]] : []) };
        };
      },
      "INTERFACE_EXISTS an interface eth0 exists in /run/netns/c1: create veth: EEXIST",
    ],
    [
      "the local database refused",
      (rig: PodsRig) => (rig.memory.refuse = new Error("disk full")),
      "IO_FAILURE the node's database refused the sandbox: disk full",
    ],
    [
      "the transaction could not be run",
      (rig: PodsRig) => (rig.scheduler.answer = () => Promise.reject(new Error("closed"))),
      "not a CniError: Error: closed",
    ],
  ])("is taken back, and answered after that, when %s", async (_what, prepare, expected) => {
    const rig = new PodsRig();
    prepare(rig);
    const job = rig.push("ADD", { config: portMappings(web) });
    const seen = ended(job).then((end) => ({ end, left: traces(rig, "c1/eth0") }));
    expect(await seen).toEqual({ end: expected, left: [] });
    rig.fail();
    rig.memory.refuse = undefined;
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toMatchObject({
      ips: [{ address: "10.0.0.2/32" }],
    });
    await rig.idle();
    expect([...rig.remembered.keys()]).toEqual(["c2/eth0"]);
  });

  it("that fails changes nothing for the others of its batch", async () => {
    const rig = new PodsRig();
    rig.fail("route/10.0.0.3");
    const jobs = ["c1", "c2", "c3"].map((id) => rig.push("ADD", { id }));
    expect(await Promise.all(jobs.map(ended))).toMatchObject([
      { ips: [{ address: "10.0.0.2/32" }] },
      "IO_FAILURE cannot wire c2/eth0: route/10.0.0.3 is broken",
      { ips: [{ address: "10.0.0.4/32" }] },
    ]);
    // One for the batch, one for the undo.
    expect(rig.scheduler.txns).toHaveLength(2);
    expect(rig.ids).toEqual(["c1/eth0", "c3/eth0"]);
    expect([...rig.remembered.keys()]).toEqual(["c1/eth0", "c3/eth0"]);
  });

  it("with the same data again answers the same, once the wiring was looked at", async () => {
    const rig = new PodsRig();
    const config = portMappings(web);
    const first = await rig.run("ADD", { config });
    expect(await rig.run("ADD", { config })).toEqual(first);
    expect(rig.wiring.checked).toHaveLength(1);
    expect(rig.wiring.alsoChecked).toEqual(["port/tcp/*/8080"]);
    expect(rig.scheduler.txns).toHaveLength(1);
    rig.wiring.problems.set("c1/eth0" as SandboxId, ["link hd1 is missing"]);
    expect(await rig.run("ADD", { config })).toBe(
      "CHECK_FAILED the wiring of c1/eth0 is not as it was added: link hd1 is missing",
    );
    expect(traces(rig, "c1/eth0")).toEqual(ALL);
  });

  it("with other data again is refused, and leaves the first as it is", async () => {
    const rig = new PodsRig();
    await rig.run("ADD");
    const before = rig.sandbox("c1/eth0");
    expect(await rig.run("ADD", { config: portMappings(web) })).toMatch(/^ALREADY_ADDED .*DEL it before/);
    expect(rig.sandbox("c1/eth0")).toEqual(before);
    expect(rig.scheduler.txns).toHaveLength(1);
  });

  it("for another namespace at the same path replaces the pod that went away without a DEL", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", { netnsId: "old", config: portMappings(web) });
    const [link] = rig.scheduler.items.keys();
    expect(await rig.run("ADD", { netnsId: "new" })).toMatchObject({ ips: [{ interface: 1 }] });
    expect(rig.sandbox("c1/eth0").row).toMatchObject({ netnsId: "new", hostPorts: [] });
    expect(rig.remembered.get("c1/eth0")?.row.netnsId).toBe("new");
    expect(rig.scheduler.items.get(link ?? "")).toMatch(/^new /);
    expect([...rig.scheduler.items.keys()].filter((key) => key.startsWith("port/"))).toEqual([]);
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toMatchObject({ ips: [{}] });
  });

  it("says so when there is no address, and holds nothing then", async () => {
    const rig = new PodsRig({ addresses: new FakeAddresses(1) });
    await rig.run("ADD", { id: "c1" });
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toMatch(/^NO_ADDRESS /);
    expect(traces(rig, "c2/eth0")).toEqual(["items"]); // those of c1
    await rig.run("DEL", { id: "c1" });
    expect(await rig.run("ADD", { id: "c3", config: portMappings(web) })).toMatchObject({ ips: [{}] });
  });

  it("refuses a host port that another pod has, by name, and frees it with that pod", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", { id: "c1", config: portMappings(web) });
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toBe(
      "INVALID_CONFIG host port 8080/tcp is taken: by the pod c1/eth0",
    );
    expect((rig.addresses as FakeAddresses).held.has("c2/eth0")).toBe(false);
    await rig.run("DEL", { id: "c1" });
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toMatchObject({ ips: [{}] });
  });

  it("takes mac, address and MTU as asked, the MTU no larger than what the network carries", async () => {
    const rig = new PodsRig();
    const config = { mtu: 1300, runtimeConfig: { mac: "C2:11:22:33:44:55", ips: ["10.0.0.77/24"] } };
    expect(await rig.run("ADD", { config })).toMatchObject({
      interfaces: [{}, { mac: "c2:11:22:33:44:55", mtu: 1300 }],
      ips: [{ address: "10.0.0.77/32" }],
    });
    expect(await rig.run("ADD", { id: "c2", config: { mtu: 9000 } })).toMatchObject({
      interfaces: [{}, { mtu: 1450 }],
    });
  });

  it("gives a pod's further interfaces routes that yield to the first, each its own", async () => {
    const rig = new PodsRig();
    for (const ifname of ["eth0", "net1", "net2"]) await rig.run("ADD", { ifname });
    expect([...rig.pods.sandboxes()].map((s) => s.row.routeMetric)).toEqual([undefined, 2048, 2049]);
    await rig.run("DEL", { ifname: "net1" });
    await rig.run("ADD", { ifname: "net3" });
    expect(rig.sandbox("c1/net3").row.routeMetric).toBe(2048);
  });

  it("yields to an interface that an earlier plugin of the chain has made, and appends to its result", async () => {
    const rig = new PodsRig();
    const prevResult = {
      cniVersion: "1.1.0",
      interfaces: [{ name: "lan0", sandbox: "/run/netns/c1" }],
      ips: [{ address: "192.0.2.2/24", interface: 0 }],
    };
    const result = (await rig.run("ADD", { config: { prevResult } })) as CniResult;
    expect(result.interfaces.map((i) => i.name)).toEqual(["lan0", expect.stringMatching(/^hd/), "eth0"]);
    expect(result.ips.map((ip) => ip.interface)).toEqual([0, 2]);
    expect(result.routes[0]?.priority).toBe(2048);
  });
});

describe("an ADD whose caller has gone", () => {
  it("is not begun if it still waits", async () => {
    const rig = new PodsRig();
    const abort = new AbortController();
    const job = rig.push("ADD", { signal: abort.signal });
    abort.abort("the runtime went away");
    expect(await ended(job)).toBe("TRY_AGAIN_LATER ADD was given up before it was done: the runtime went away");
    expect(rig.scheduler.txns).toEqual([]);
    expect(traces(rig, "c1/eth0")).toEqual([]);
  });

  it("is taken back if it was under way", async () => {
    const rig = new PodsRig();
    const abort = new AbortController();
    rig.scheduler.answer = (txn) => {
      if (txn.description?.startsWith("CNI")) abort.abort("deadline");
      return {};
    };
    expect(await rig.run("ADD", { signal: abort.signal })).toMatch(/^TRY_AGAIN_LATER .*deadline$/);
    expect(traces(rig, "c1/eth0")).toEqual([]);
  });
});

describe("DEL", () => {
  it("takes everything back, and does it again with success", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", { config: portMappings(web) });
    expect(await rig.run("DEL")).toBeUndefined();
    expect(traces(rig, "c1/eth0")).toEqual([]);
    expect(await rig.run("DEL")).toBeUndefined();
    expect(rig.memory.records.get("ipam/c1/eth0")).toBe("released");
  });

  it("of the unknown succeeds, and removes a record that could not be read", async () => {
    const memory = new FakeMemory();
    memory.records.set("sandbox/c9/eth0", "not JSON");
    const rig = new PodsRig({ memory });
    expect(await rig.run("DEL", { id: "c9" })).toBeUndefined();
    expect(memory.records.size).toBe(0);
  });

  it.each([
    [
      "a host port could not be removed",
      (rig: PodsRig) => rig.fail("port/"),
      /^TRY_AGAIN_LATER .*port\/tcp.* is broken$/,
    ],
    ["a key could not be removed", (rig: PodsRig) => rig.fail("link/"), /^TRY_AGAIN_LATER .*link\/hd.* is broken$/],
    [
      "the local database refused",
      (rig: PodsRig) => (rig.memory.refuse = new Error("disk full")),
      /^TRY_AGAIN_LATER .*disk full$/,
    ],
    [
      "the transaction could not be run",
      (rig: PodsRig) => (rig.scheduler.answer = () => Promise.reject(new Error("closed"))),
      /closed$/,
    ],
  ])("that fails because %s keeps everything for the next DEL", async (_what, prepare, expected) => {
    const rig = new PodsRig();
    await rig.run("ADD", { config: portMappings(web) });
    const before = rig.sandbox("c1/eth0");
    prepare(rig);
    expect(await rig.run("DEL")).toMatch(expected);
    rig.fail();
    rig.memory.refuse = undefined;
    await rig.heal();
    expect(rig.sandbox("c1/eth0")).toEqual(before);
    expect(rig.remembered.get("c1/eth0")).toEqual(before);
    expect((rig.addresses as FakeAddresses).held.get("c1/eth0")).toEqual(before.row.ips);
    expect(rig.memory.records.get("ipam/c1/eth0")).toBeUndefined();
    expect(await rig.run("ADD", { id: "c2", config: portMappings(web) })).toMatch(/host port 8080/);
    expect(await rig.run("DEL")).toBeUndefined();
    expect(traces(rig, "c1/eth0")).toEqual([]);
  });

  it("keeps its address until it is gone: an ADD of the same batch does not get it", async () => {
    const rig = new PodsRig({ addresses: new FakeAddresses(1) });
    await rig.run("ADD", { id: "c1", config: portMappings(web) });
    rig.fail("link/");
    const jobs = [rig.push("DEL", { id: "c1" }), rig.push("ADD", { id: "c2" })];
    expect(await Promise.all(jobs.map(ended))).toEqual([
      expect.stringMatching(/^TRY_AGAIN_LATER/),
      expect.stringMatching(/^NO_ADDRESS/),
    ]);
    await rig.idle();
    expect((rig.addresses as FakeAddresses).held.get("c1/eth0")).toEqual(["10.0.0.2"]);
  });
});

describe("GC", () => {
  const valid = (...list: [string, string][]) => ({
    "cni.dev/valid-attachments": list.map(([containerID, ifname]) => ({ containerID, ifname })),
  });

  it("removes what is stale in its own network only", async () => {
    const rig = new PodsRig();
    for (const id of ["c1", "c2", "c3"]) await rig.run("ADD", { id });
    await rig.run("ADD", { id: "c4", config: { name: "other" } });
    expect(await rig.run("GC", { config: valid(["c1", "eth0"], ["c2", "eth9"]) })).toBeUndefined();
    expect(rig.ids).toEqual(["c1/eth0", "c4/eth0"]);
    expect([...rig.remembered.keys()]).toEqual(["c1/eth0", "c4/eth0"]);
  });

  it("keeps what it could not remove, and only that", async () => {
    const rig = new PodsRig();
    for (const id of ["c1", "c2"]) await rig.run("ADD", { id });
    rig.fail("route/10.0.0.3");
    expect(await rig.run("GC", { config: valid() })).toBe(
      "TRY_AGAIN_LATER not everything could be removed: c2/eth0: route/10.0.0.3 is broken",
    );
    await rig.idle();
    expect(rig.ids).toEqual(["c2/eth0"]);
    expect([...rig.remembered.keys()]).toEqual(["c2/eth0"]);
    expect([...(rig.addresses as FakeAddresses).held.keys()]).toEqual(["c2/eth0"]);
  });

  it("shares no batch with anything", async () => {
    const rig = new PodsRig();
    const jobs = [
      rig.push("ADD", { id: "c1" }),
      rig.push("GC", { config: valid() }),
      rig.push("ADD", { id: "c2" }),
      rig.push("ADD", { id: "c3" }),
    ];
    await Promise.all(jobs.map(ended));
    expect(rig.ids).toEqual(["c2/eth0", "c3/eth0"]);
    expect(rig.scheduler.txns).toHaveLength(3);
  });
});

describe("CHECK", () => {
  const check = async (change: (result: Record<string, unknown>) => object = (r) => r) => {
    const rig = new PodsRig();
    const added = formatResult((await rig.run("ADD")) as CniResult, "1.1.0");
    return { rig, prevResult: change(structuredClone(added)) };
  };

  it("succeeds while the wiring is as it was added", async () => {
    const { rig, prevResult } = await check();
    expect(await rig.run("CHECK", { config: { prevResult } })).toBeUndefined();
    expect(rig.wiring.checked[0]).toMatchObject({ id: "c1/eth0", ips: ["10.0.0.2"] });
  });

  it("names what differs", async () => {
    const { rig, prevResult } = await check();
    rig.wiring.problems.set("c1/eth0" as SandboxId, ["route 0.0.0.0/0 is missing", "link is down"]);
    expect(await rig.run("CHECK", { config: { prevResult } })).toBe(
      "CHECK_FAILED the wiring of c1/eth0 is not as it was added: route 0.0.0.0/0 is missing; link is down",
    );
  });

  it("of what was not added says so", async () => {
    const { rig, prevResult } = await check();
    expect(await rig.run("CHECK", { id: "c9", config: { prevResult } })).toMatch(/^UNKNOWN_CONTAINER .*c9\/eth0/);
  });

  it("accepts a MAC address that a later plugin has set", async () => {
    const { rig, prevResult } = await check((r) => {
      const [node, pod] = r["interfaces"] as object[];
      return { ...r, interfaces: [node, { ...pod, mac: "02:00:00:00:00:99" }] };
    });
    expect(await rig.run("CHECK", { config: { prevResult } })).toBeUndefined();
    expect(rig.wiring.checked[0]?.mac).toBe("02:00:00:00:00:99");
  });

  it("fails for a result that does not list the pod's interface", async () => {
    const { rig, prevResult } = await check((r) => ({ ...r, interfaces: [], ips: [] }));
    expect(await rig.run("CHECK", { config: { prevResult } })).toMatch(/^CHECK_FAILED/);
  });
});

describe("batches", () => {
  it("hold 64 requests at most", async () => {
    const rig = new PodsRig();
    const jobs = Array.from({ length: 70 }, (_, i) => rig.push("ADD", { id: `c${i}` }));
    await Promise.all(jobs.map(ended));
    expect(rig.scheduler.txns.map((t) => t.description)).toEqual([
      "CNI ADD c0/eth0 and 63 more",
      "CNI ADD c64/eth0 and 5 more",
    ]);
  });

  it("never hold two requests about one interface", async () => {
    const rig = new PodsRig();
    const jobs = [rig.push("ADD", { id: "c1" }), rig.push("DEL", { id: "c1" }), rig.push("ADD", { id: "c1" })];
    await Promise.all(jobs.map(ended));
    expect(rig.scheduler.txns).toHaveLength(3);
    expect(rig.ids).toEqual(["c1/eth0"]);
  });

  it("that wait when the agent stops hear that they should try again", async () => {
    const rig = new PodsRig();
    const gate = Promise.withResolvers<void>();
    rig.scheduler.answer = () => gate.promise.then(() => ({}));
    const first = rig.push("ADD", { id: "c1" });
    await rig.idle();
    const rest = ["c1", "c2", "c3"].map((id) => rig.push("DEL", { id }));
    const closed = rig.controller.close();
    rest.push(rig.push("ADD", { id: "late" }));
    for (const job of rest) expect(await ended(job)).toMatch(/^TRY_AGAIN_LATER .* was not begun: the agent is being/);
    gate.resolve();
    await closed;
    expect(await ended(first)).toMatchObject({ ips: [{}] });
  });

  it("answer a failed ADD also when its undo comes too late to be done", async () => {
    const rig = new PodsRig();
    rig.fail("link/");
    const job = rig.push("ADD");
    let closed: Promise<void> | undefined;
    const { answer } = rig.scheduler;
    rig.scheduler.answer = (txn) => {
      closed = rig.controller.close();
      return answer(txn);
    };
    expect(await ended(job)).toMatch(/^IO_FAILURE/);
    await closed;
  });
});

describe("what the agent finds at its start", () => {
  it("is wired again by a resync, and keeps its addresses and host ports", async () => {
    const first = new PodsRig();
    await first.run("ADD", { config: portMappings(web) });
    const { memory } = first;
    const second = new PodsRig({ sandboxes: [...first.remembered.values()], memory });
    second.controller.push(resyncEvent("start", new Map()));
    await second.idle();
    expect([...second.scheduler.items]).toEqual([...first.scheduler.items]);
    expect(await second.run("ADD", { id: "c2", config: portMappings(web) })).toMatch(/host port 8080/);
    expect(await second.run("DEL")).toBeUndefined();
    expect(second.scheduler.items.size).toBe(0);
  });

  it("is removed when its namespace is gone, unless it was added anew since", async () => {
    const rig = new PodsRig();
    for (const id of ["c1", "c2"]) await rig.run("ADD", { id, netnsId: "old" });
    await rig.run("ADD", { id: "c2", netnsId: "new" });
    const lost = ["c1/eth0", "c2/eth0"].map((id) => ({ id: id as SandboxId, netnsId: "old" }));
    rig.controller.push(new LostSandboxesEvent(lost));
    await rig.idle();
    expect(rig.ids).toEqual(["c2/eth0"]);
    expect([...rig.remembered.keys()]).toEqual(["c2/eth0"]);
  });
});

describe("a job", () => {
  it("is told apart by container and interface, in a line for people", () => {
    const args = "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=u";
    expect(makeJob("ADD", { id: "0123456789abcdef", args }).describe()).toBe("ADD 0123456789ab/eth0 (ns/web-0)");
    const config = { "cni.dev/valid-attachments": [] };
    expect(makeJob("GC", { config }).describe()).toBe("GC of network net");
  });
});
