import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import type { Election } from "../../../src/ksr/election/api.ts";
import { LEADER_KEY, StoreElection } from "../../../src/ksr/election/store-election.ts";
import { KubeClient } from "../../../src/ksr/kube/client.ts";
import type { Credentials } from "../../../src/ksr/kube/credentials.ts";
import { LeaseElection } from "../../../src/ksr/kube/lease-election.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { fastClock } from "../../support/fast-clock.ts";
import { FakeApiServer } from "../../support/k8s/fake-api-server.ts";
import { credentialsFor } from "../../support/k8s/reflecting.ts";
import { until } from "../../support/until.ts";

/** A lease of 15 s lasts 1.5 s. */
const clock = fastClock(10);

/** One that takes part, and how often it led. */
class Candidate {
  readonly election: Election;
  leads = 0;
  leading = false;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(election: Election) {
    this.election = election;
    this.#running = election.run(async (signal) => {
      this.leads++;
      this.leading = true;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      this.leading = false;
    }, this.#end.signal);
  }

  async leave(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}

let candidates: Candidate[];
beforeEach(() => {
  candidates = [];
});
const take = (election: Election): Candidate => {
  const candidate = new Candidate(election);
  candidates.push(candidate);
  return candidate;
};

describe("election by a Lease of the Kubernetes API", () => {
  let api: FakeApiServer;
  let credentials: Credentials[];

  beforeEach(async () => {
    api = await FakeApiServer.open();
    credentials = [];
  });
  afterEach(async () => {
    for (const c of candidates) await c.leave();
    for (const c of credentials) c.close();
    await api.close();
  });

  async function candidate(identity: string): Promise<Candidate> {
    const own = await credentialsFor(api, { token: identity });
    credentials.push(own);
    const client = new KubeClient({ credentials: own, clock });
    return take(new LeaseElection({ client, clock, log: silentLog, namespace: "ns", name: "l", identity }));
  }
  const spec = () => api.get("leases", "l", "ns")?.["spec"] as Record<string, unknown> | undefined;
  /** Nothing that this one sends gets through. */
  const cutOff = (identity: string) => {
    api.fault = (request) => (request.authorization === `Bearer ${identity}` ? { drop: true } : undefined);
  };

  it.each(["older", "gone"])(
    "begins anew for a leader when the lease is %s, as when the API's data was restored",
    async (what) => {
      const empty = api.backup();
      const a = await candidate("a");
      await until("it leads", () => a.leads === 1 && spec()?.["holderIdentity"] === "a");
      const older = api.backup();
      const renewed = spec()?.["renewTime"];
      await until("it renews", () => spec()?.["renewTime"] !== renewed);
      (what === "gone" ? empty : older)();
      await until("it leads again", () => a.leads === 2);
      await until("the lease is its own", () => spec()?.["holderIdentity"] === "a");
    },
  );

  it("one leads, the other stands by and knows who leads", async () => {
    const a = await candidate("a");
    await until("a leads", () => a.leading);
    const b = await candidate("b");
    await until("b knows", () => b.election.leader === "a");
    expect(b.leading).toBe(false);
    expect(spec()).toMatchObject({ holderIdentity: "a", leaseDurationSeconds: 15 });
    expect(spec()?.["renewTime"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it("one that leaves gives the lease back, and the other leads at once", async () => {
    const a = await candidate("a");
    await until("a leads", () => a.leading);
    const b = await candidate("b");
    await until("b knows", () => b.election.leader === "a");
    await a.leave();
    expect(spec()).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1 });
    await until("b leads", () => b.leading);
    expect(spec()).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
  });

  it("one that is cut off stops leading before the other begins", async () => {
    const a = await candidate("a");
    await until("a leads", () => a.leading);
    const b = await candidate("b");
    await until("b knows", () => b.election.leader === "a");
    let both = false;
    cutOff("a");
    await until("b leads", () => {
      both ||= a.leading && b.leading;
      return b.leading;
    });
    expect(both).toBe(false);
    expect(a.election.problem).toMatch(/connection|hang up/);
    api.fault = () => undefined;
    await until("a knows", () => a.election.leader === "b");
    expect(a.election.problem).toBeUndefined();
  });

  it("keeps leading through failures that are shorter than its deadline", async () => {
    const a = await candidate("a");
    await until("a leads", () => a.leading);
    for (let i = 0; i < 3; i++) {
      let left = 1;
      api.fault = () => (left-- > 0 ? { status: 500 } : undefined);
      const renewed = spec()?.["renewTime"];
      await until("it is renewed again", () => spec()?.["renewTime"] !== renewed);
    }
    expect(a.leads).toBe(1);
  });

  it("of many that begin at once exactly one leads", async () => {
    const all = await Promise.all(["a", "b", "c", "d", "e"].map(candidate));
    await until("all know", () => all.every((c) => c.election.leader !== undefined && c.election.leader !== ""));
    expect(all.filter((c) => c.leading)).toHaveLength(1);
  });

  it("what somebody writes by hand into the lease is obeyed", async () => {
    const a = await candidate("a");
    await until("a leads", () => a.leading);
    const lease = api.get("leases", "l", "ns");
    if (!lease) throw new Error("no lease");
    api.put("leases", { ...lease, spec: { holderIdentity: "x", leaseDurationSeconds: 15, renewTime: "now" } });
    await until("a has stopped", () => !a.leading);
    await until("a leads again when x is silent", () => a.leading);
    expect(a.leads).toBe(2);
  });
});

describe("election by the store", () => {
  let dir: string;
  let store: EmbeddedStore;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "hd-election-"));
    store = await EmbeddedStore.open({ dir, clock: systemClock });
  });
  afterEach(async () => {
    for (const c of candidates) await c.leave();
    await store.close();
    await rm(dir, { recursive: true });
  });
  const candidate = (identity: string) => take(new StoreElection({ store, clock, log: silentLog, identity }));

  it("one leads, the other knows who, and leads when that leaves", async () => {
    const a = candidate("a");
    await until("a leads", () => a.leading);
    const b = candidate("b");
    await until("b knows", () => b.election.leader === "a");
    expect(b.leading).toBe(false);
    await a.leave();
    await until("b leads", () => b.leading);
    expect(a.leading).toBe(false);
  });

  it("of many that begin at once exactly one leads", async () => {
    const all = ["a", "b", "c", "d", "e"].map(candidate);
    await until("all know", () => all.every((c) => c.election.leader !== undefined));
    expect(all.filter((c) => c.leading)).toHaveLength(1);
    expect((await store.list(LEADER_KEY)).entries).toHaveLength(1);
  });
});
