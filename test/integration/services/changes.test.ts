import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { whyNoNetns } from "../../support/lab/toy.ts";
import { sent } from "../../support/restart-lab.ts";
import { type EndpointSpec, ServiceLab } from "../../support/services/service-lab.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";

const FAMILIES = [4, 6] as const;
const FLOW_PORT = 6100;

const whyNot = whyNoNetns();
describe.skipIf(whyNot !== undefined)(`services that change, linux${whyNot ? ` (skipped: ${whyNot})` : ""}`, () => {
  let lab: ServiceLab;
  const nodeIp = (node: string, family: 4 | 6): string => lab.ips(node)[family === 4 ? 0 : 1] ?? "";

  beforeAll(async () => {
    lab = await ServiceLab.up("linux", { a: "n1", b: "n1", c: "n2", d: "n2" });
  });
  afterEach(() => lab.clear());
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("datagrams of a client that always uses one port go elsewhere when their endpoint is gone, or the service", async () => {
    const ports = [{ port: 80, protocol: "UDP", nodePort: 30_103 }];
    const targets = [{ protocol: "UDP" }];
    const ips = await lab.make("dns", { type: "NodePort", ports }, []);
    for (const family of FAMILIES) {
      const other = { 4: 6, 6: 4 }[family] as 4 | 6;
      lab.endpoints("dns", other, [], targets);
      lab.endpoints("dns", family, [{ pod: "c" }], targets);
      const ask = (at: "cluster" | "node") => {
        const to = at === "cluster" ? ips[family] : nodeIp("n1", family);
        const from = at === "cluster" ? "a" : "outside";
        return lab.hit(from, to, {
          kind: "udp",
          port: at === "cluster" ? 80 : 30_103,
          sourcePort: 41_000,
          timeoutMs: 100,
        });
      };
      await until("c answers", async () => (await ask("cluster")) === "c saw a" && (await ask("node")) === "c saw n1");
      lab.endpoints("dns", family, [{ pod: "b" }], targets);
      await until("b answers", async () => (await ask("cluster")) === "b saw a" && (await ask("node")) === "b saw n1");
      lab.endpoints("dns", family, [], targets);
      await until("it refuses", async () => (await ask("cluster")) === "ECONNREFUSED");
    }
    lab.endpoints("dns", 4, [{ pod: "c" }], targets);
    const ask = () => lab.hit("a", ips[4], { kind: "udp", sourcePort: 41_001, timeoutMs: 100 });
    await until("c answers", async () => (await ask()) === "c saw a");
    lab.delete("Service", "dns");
    await until("nobody answers", async () => (await ask()) === "ETIMEDOUT");
  });

  it("connections outlive the endpoints beside theirs, the drain of their own, and the agent; new ones go to who is ready", async () => {
    const at = { port: 80, name: "" };
    const targets = [{ port: FLOW_PORT }];
    const ips = await lab.make("long", { ports: [at] }, []);
    const has = async (...endpoints: readonly EndpointSpec[]) => {
      for (const family of FAMILIES) lab.endpoints("long", family, endpoints, targets);
      await lab.settled();
    };
    await has({ pod: "c" });
    const [a, c] = [lab.pod("a").netns, lab.pod("c").netns];
    await using four = await Flow.through(a, c, { address: ips[4], port: 80 }, FLOW_PORT);
    const carry = async () => {
      await four.carries();
      expect(four.errors).toEqual([]);
    };
    await has({ pod: "b" }, { pod: "c" }, { pod: "d" });
    await carry();
    await has({ pod: "c" });
    await carry();
    const prober = await lab.nodes.lab.prober();
    await prober.serve(lab.pod("d").netns, FLOW_PORT);
    await has({ pod: "d" }, { pod: "c", ready: false, serving: true, terminating: true });
    await carry();
    for (let i = 0; i < 8; i++) expect(await lab.hit("a", ips[4])).toBe("d saw a");
    const since = Date.now();
    await lab.nodes.lab.restart("n1");
    await carry();
    expect(await lab.hit("a", ips[4])).toBe("d saw a");
    const history = await lab.nodes.get<RecordedTxn[]>("n1", `/scheduler/history?since=${since}`);
    expect(sent(history).map(({ op, key }) => `${op} ${key}`)).toEqual([]);
  });

  it("an agent that was killed in the middle of changes ends where the objects are", async () => {
    const ips = await lab.make("killed", {}, [{ pod: "b" }]);
    for (const [i, pod] of ["c", "d", "b", "c"].entries()) {
      lab.endpoints("killed", 4, [{ pod }]);
      await delay(7 * i);
      await lab.nodes.lab.restart("n1");
      await lab.soon("a", ips[4], new RegExp(`^${pod} saw a$`));
    }
  });
});
