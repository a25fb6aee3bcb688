import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { PolicyNode } from "../../support/policy/policy-node.ts";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";
import { until } from "../../support/until.ts";

const isWhole = process.env["HEDDLE_TEST_ALL"] === "1";
const KILLS = isWhole ? 40 : 4;

/** What is tried of either policy: a client and a stranger, on both ports. */
const TRIED = [
  ["client", 7000],
  ["client", 8000],
  ["stranger", 7000],
  ["stranger", 8000],
] as const;

/** Which of {@link TRIED} reach the server by a policy. */
const CLIENTS = [true, false, false, false];
const STRANGERS = [false, false, false, true];
const ALL = TRIED.map(() => true);

onEachDataplane("policies, when something fails", (dataplane) => {
  const random = Random.fromEnvironment();
  let node: PolicyNode;
  beforeAll(async () => {
    report(`seed ${random.seed}; repeat with HEDDLE_SEED=${random.seed}`);
    node = await PolicyNode.start({}, dataplane);
    await node.putNamespace("default");
    for (const app of ["server", "client", "stranger"]) await node.addPod(app, { labels: { app } });
    await until("all reach the server", async () => same(await tried(), ALL));
    await put(CLIENTS);
    await isInForce(CLIENTS);
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  const put = (wanted: readonly boolean[]) =>
    node.putPolicy({
      name: "server",
      podSelector: { matchLabels: { app: "server" } },
      ingress: TRIED.filter((_, i) => wanted[i]).map(([app, port]) => ({
        peers: [{ podSelector: { matchLabels: { app } } }],
        ports: [{ port }],
      })),
    });
  const tried = (): Promise<boolean[]> =>
    Promise.all(TRIED.map(async ([from, port]) => (await node.probe(from, "server", { port })).ok));
  const isInForce = (wanted: readonly boolean[]) =>
    until("the policy is in force", async () => same(await tried(), wanted), 10_000);

  it(`an agent killed during a change leaves the old rules or the new, and has the new in force when it is back, ${KILLS} times`, async () => {
    let [old, next] = [CLIENTS, STRANGERS];
    const left = { old: 0, new: 0 };
    for (let i = 0; i < KILLS; i++) {
      await put(next);
      await delay(random.next() * 40);
      await node.node.agent.end("SIGKILL");
      const found = await tried();
      expect([old, next]).toContainEqual(found);
      left[same(found, next) ? "new" : "old"]++;
      await node.node.startAgent();
      await isInForce(next);
      [old, next] = [next, old];
    }
    report(`${dataplane}: killed agents had left the old rules ${left.old} times, the new ones ${left.new} times`);
    await put(CLIENTS);
    await isInForce(CLIENTS);
  });

  it("without its store a node keeps what is in force, and isolates pods that are new until the store is back", async () => {
    await node.loseStore();
    await put(STRANGERS);
    await node.addPod("late", { labels: { app: "client" } });
    expect(await tried()).toEqual(CLIENTS);
    expect((await node.probe("late", "server")).ok).toBe(false);
    expect((await node.probe("client", "late")).ok).toBe(false);
    expect((await node.probe("node", "late")).ok).toBe(true);
    expect(await node.status()).toMatchObject({ isolatedPods: [{ pod: "default/late", reason: "no-object" }] });

    await node.node.agent.end("SIGKILL");
    await node.node.startAgent();
    expect(await tried(), "the agent has started without a store").toEqual(CLIENTS);
    expect((await node.probe("client", "late")).ok).toBe(false);

    await node.findStore();
    await isInForce(STRANGERS);
    await until("the new pod is reached", async () => (await node.probe("client", "late")).ok, 10_000);
    expect(await node.status()).toMatchObject({ isolatedPods: [] });
    await put(CLIENTS);
    await isInForce(CLIENTS);
  });

  it("a policy that cannot be read closes the pods that it may be about, and no others, and status names it", async () => {
    await node.putNamespace("other");
    for (const name of ["one", "two"]) await node.addPod(name, { namespace: "other" });
    await until("they reach each other", async () => (await node.probe("one", "two")).ok);
    await node.putUnreadablePolicy("broken");
    await isInForce(TRIED.map(() => false));
    expect((await node.probe("one", "two")).ok).toBe(true);
    expect((await node.probe("node", "server")).ok).toBe(true);
    expect(JSON.stringify(await node.status())).toContain("broken");
    await node.deletePolicy("broken");
    await isInForce(CLIENTS);
    expect(JSON.stringify(await node.status())).not.toContain("broken");
  });

  if (dataplane === "vpp") {
    it(`a VPP killed during a change comes back with the new rules, and lets through nothing that neither allows, ${KILLS} times`, async () => {
      let [old, next] = [CLIENTS, STRANGERS];
      for (let i = 0; i < KILLS; i++) {
        await put(next);
        await delay(random.next() * 60);
        const { pid } = node.node.vpp;
        node.node.vpp.kill("SIGKILL");
        const neither = TRIED.map((_, j) => !old[j] && !next[j]);
        await until(
          "another VPP has the policy in force",
          async () => {
            const found = await tried();
            expect(found.filter((ok, j) => ok && neither[j])).toEqual([]);
            return node.node.vpp.pid !== pid && same(found, next);
          },
          15_000,
        );
        [old, next] = [next, old];
      }
    });
  }
});

const same = (a: readonly boolean[], b: readonly boolean[]): boolean => a.every((x, i) => x === b[i]);
