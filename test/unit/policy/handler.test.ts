import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { EventOutcome, StoreEvent } from "../../../src/controller/api.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { policyBase } from "../../../src/dataplane/linux/policy/base.ts";
import { podPolicyKeys, renderPolicies, renderPolicyChanges } from "../../../src/dataplane/linux/policy/renderer.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import { nftElementKey } from "../../../src/models/nft.ts";
import type { LocalPod, PolicyWiring, RejudgeScope } from "../../../src/policy/api.ts";
import { PolicyHandler } from "../../../src/policy/handler.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import { FakeOutput } from "../../support/controller/fakes.ts";

const POD = { namespace: "x", name: "a", uid: "u" };
const LOCAL: LocalPod = { ...POD, id: "hd1", ips: [parseIp("10.0.0.1")] };

const entryOf = (key: string, value: Uint8Array): Entry => ({ key, value, revision: "1" });
const podEntry = (uid = "u"): Entry => {
  const { key, encode } = K8S_CODECS.pod;
  const object = {
    ...{ namespace: "x", name: "a", uid, created: 1, labels: {}, node: "n1", hostNetwork: false },
    ...{ phase: "Running" as const, terminating: false, ips: [parseIp("10.0.0.1")], ports: [] },
  };
  return entryOf(key(object), encode(object));
};
const namespaceEntry = (): Entry => {
  const { key, encode } = K8S_CODECS.namespace;
  const object = { namespace: "" as const, name: "x", uid: "n", labels: { "kubernetes.io/metadata.name": "x" } };
  return entryOf(key(object), encode(object));
};
const storeEvent = (...entries: readonly Entry[]): StoreEvent => ({
  kind: "store",
  changes: entries.map((entry) => ({ key: entry.key, old: undefined, new: entry })),
  describe: () => "the store",
});

const outcome = (failed: readonly Key[] = []): EventOutcome => ({
  txn: {
    seq: 1,
    errors: new Map(failed.map((key) => [key, new Error("VPP said no")])),
    pending: [],
    record: {} as RecordedTxn,
  },
  rememberError: undefined,
});

class Rig {
  locals: LocalPod[] = [LOCAL];
  readonly scopes: RejudgeScope[] = [];
  readonly wiring: PolicyWiring = {
    ...{ policyBase, renderPolicies, renderPolicyChanges, podPolicyKeys },
    rejudge: (scope) => {
      this.scopes.push(scope);
      return Promise.resolve({ judged: 0, stopped: 0, resumed: 0 });
    },
  };
  readonly handler = new PolicyHandler({
    wiring: this.wiring,
    engine: { node: "n1" },
    locals: () => this.locals,
    changesLocals: (event) => event.kind === "cni",
    clock: systemClock,
    log: silentLog,
  });

  resync(...entries: readonly Entry[]): FakeOutput {
    const event = resyncEvent("start", new Map(entries.map((entry) => [entry.key, entry])));
    const out = new FakeOutput();
    this.handler.resync(event, out);
    this.handler.finish(event, outcome());
    return out;
  }

  update(event: StoreEvent | { kind: "cni"; describe: () => string }, failed: readonly Key[] = []): FakeOutput {
    const out = new FakeOutput();
    this.handler.update(event, out);
    this.handler.finish(event, outcome(failed));
    return out;
  }
}

const egressOf = (out: FakeOutput): unknown => out.items.get(nftElementKey("pod_egress", "hd1"));

describe("PolicyHandler", () => {
  it("isolates a pod whose object is not known, and opens it when the object comes", () => {
    const rig = new Rig();
    expect(egressOf(rig.resync(namespaceEntry()))).toMatchObject({ data: expect.stringMatching(/^jump t/) as string });
    expect(rig.handler.status(() => true).isolatedPods).toEqual([{ pod: "x/a", reason: "no-object" }]);
    expect(egressOf(rig.update(storeEvent(podEntry())))).toMatchObject({ data: "continue" });
    expect(rig.handler.status(() => true).isolatedPods).toEqual([]);
  });

  it("tells when a pod is known, and not for an earlier one of its name", async () => {
    const rig = new Rig();
    rig.resync(namespaceEntry(), podEntry("an earlier one"));
    let isKnown = false;
    const known = rig.handler.whenKnown(POD, new AbortController().signal).then(() => (isKnown = true));
    await Promise.resolve();
    expect(isKnown).toBe(false);
    rig.update(storeEvent(podEntry()));
    await known;
  });

  it("gives up waiting with the signal", async () => {
    const rig = new Rig();
    rig.resync();
    const control = new AbortController();
    const known = rig.handler.whenKnown(POD, control.signal);
    control.abort(new Error("enough"));
    await expect(known).rejects.toThrow("enough");
  });

  it("has the connections of all pods judged again after a resync, and then only of those that are touched", () => {
    const rig = new Rig();
    rig.resync(namespaceEntry(), podEntry());
    expect([...(rig.scopes[0]?.changed ?? [])]).toEqual(["hd1"]);
    rig.update(storeEvent({ ...namespaceEntry(), revision: "2" }));
    expect(rig.scopes).toHaveLength(1);
  });

  it("follows the pods of the node", () => {
    const rig = new Rig();
    rig.resync(namespaceEntry(), podEntry());
    rig.locals = [];
    const gone = rig.update({ kind: "cni", describe: () => "DEL" });
    expect([...gone.items].filter(([, value]) => value !== undefined)).toEqual([]);
    expect(gone.items.has(nftElementKey("pod_egress", "hd1"))).toBe(true);
  });

  it("tells the same view for the same objects, whatever the order", () => {
    const [one, other] = [new Rig(), new Rig()];
    one.resync(namespaceEntry(), podEntry());
    other.resync(podEntry());
    expect(other.handler.status(() => true).view).not.toBe(one.handler.status(() => true).view);
    other.update(storeEvent(namespaceEntry()));
    expect(other.handler.status(() => true).view).toBe(one.handler.status(() => true).view);
  });

  it("tells a view when all that comes of it is in place, and until then what is missing", () => {
    const rig = new Rig();
    rig.resync(podEntry());
    const before = rig.handler.status(() => true).view;
    const key = nftElementKey("pod_egress", "hd1");
    rig.update(storeEvent(namespaceEntry()), [key, "somebody/else's"]);
    expect(rig.handler.status(() => false)).toMatchObject({ view: before, missing: [key] });
    const after = rig.handler.status(() => true);
    expect(after.missing).toEqual([]);
    expect(after.view).not.toBe(before);
  });

  it("names keys that mean nothing, and goes on with the others", () => {
    const rig = new Rig();
    rig.resync(namespaceEntry(), podEntry(), entryOf("/heddle/k8s/teapot/x", new Uint8Array()));
    expect(rig.handler.status(() => true).unreadableKeys).toEqual(["/heddle/k8s/teapot/x"]);
    expect(rig.handler.status(() => true).isolatedPods).toEqual([]);
  });
});
