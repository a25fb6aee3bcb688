import { describe, expect, it } from "vitest";
import type { HttpAnswer, HttpRequest } from "../../../src/infra/http/http-server.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import { CniError } from "../../../src/pods/cni/errors.ts";
import type { CniResult } from "../../../src/pods/cni/result.ts";
import { type CniJob, isCniEvent } from "../../../src/pods/jobs.ts";
import { CniServer } from "../../../src/pods/server.ts";
import { FakeQueue, turns } from "../../support/controller/fakes.ts";
import { FakeWiring } from "../../support/pods/pods-rig.ts";

const RESULT: CniResult = {
  interfaces: [{ name: "eth0", sandbox: "/run/netns/c1" }],
  ips: [{ address: "10.0.0.2/32", interface: 0 }],
  routes: [],
  dns: {},
};

interface Call {
  readonly command?: string;
  readonly netns?: string;
  readonly config?: object;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

function setUp(options: { unavailable?: string; exhausted?: string; timeoutMs?: number } = {}) {
  const wiring = new FakeWiring();
  wiring.namespaces.set("/run/netns/c1", "ns-c1");
  wiring.namespaces.set("/proc/1/ns/net", "own");
  const queue = new FakeQueue();
  const registry = new Registry();
  const server = new CniServer({
    queue,
    wiring,
    ownNetns: "own",
    unavailable: () => options.unavailable,
    exhausted: () => options.exhausted,
    timeoutMs: options.timeoutMs ?? 60_000,
    log: silentLog,
    registry,
  });
  const call = ({ command = "ADD", netns = "/run/netns/c1", config, body, headers, signal }: Call = {}) => {
    const http: HttpRequest = {
      method: "POST",
      path: "/cni",
      query: new URLSearchParams(),
      headers: {
        "x-cni-command": command,
        "x-cni-containerid": "c1",
        "x-cni-netns": netns,
        "x-cni-ifname": "eth0",
        "x-cni-path": "/opt/cni/bin",
        ...headers,
      },
      body: Buffer.from(body ?? JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "heddle", ...config })),
      signal: signal ?? new AbortController().signal,
    };
    return server.handle(http);
  };
  const jobs = async (): Promise<readonly CniJob[]> => {
    await turns(2);
    return queue.pushed.flatMap((e) => (isCniEvent(e) ? e.jobs : []));
  };
  return { call, jobs, wiring, registry };
}

/** Status, CNI error code and message. */
const shown = ({ status, body }: HttpAnswer): string => {
  const { code, msg, details } = body as { code: number; msg: string; details: string };
  return `${status} ${code} ${msg}: ${details}`;
};

describe("an operation", () => {
  it("is queued, and answered with its result in the version asked for", async () => {
    const { call, jobs } = setUp();
    const answer = call({ config: { cniVersion: "0.4.0" } });
    const [job] = await jobs();
    expect(job).toMatchObject({ netnsId: "ns-c1", sandbox: "c1/eth0" });
    job?.resolve(RESULT);
    expect(await answer).toMatchObject({
      status: 200,
      contentType: "application/json",
      body: { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.0.0.2/32" }] },
    });
  });

  it("without a result is answered with nothing", async () => {
    const { call, jobs } = setUp();
    const answer = call({ command: "DEL" });
    (await jobs())[0]?.resolve();
    expect(await answer).toEqual({ status: 200, body: "" });
  });

  it("that fails is answered with the error's code, message and details", async () => {
    const { call, jobs } = setUp();
    const answer = call();
    (await jobs())[0]?.reject(new CniError("NO_ADDRESS", "no address for the pod", "10.0.0.0/24 is full"));
    expect(await answer).toMatchObject({
      status: 500,
      body: { cniVersion: "1.1.0", code: 103, msg: "no address for the pod", details: "10.0.0.0/24 is full" },
    });
  });

  it("that meets a defect of ours says so", async () => {
    const { call, jobs } = setUp();
    const answer = call();
    (await jobs())[0]?.reject(new TypeError("x is not a function"));
    expect(shown(await answer)).toMatch(/^500 999 internal error .*x is not a function$/);
  });

  it.each([
    ["is not JSON", { body: "{" }, /^500 6 /],
    ["is of a version we do not speak", { config: { cniVersion: "9.9.9" } }, /^500 1 /],
    ["lacks a name", { config: { name: "" } }, /^500 7 /],
    ["has no container", { headers: { "x-cni-containerid": "" } }, /^500 4 .*CNI_CONTAINERID/],
    [
      "has a namespace that does not exist",
      { netns: "/run/netns/none" },
      /^500 8 CNI_NETNS \/run\/netns\/none does not/,
    ],
    ["has the node's own namespace", { netns: "/proc/1/ns/net" }, /^500 8 .*the node's own namespace/],
    [
      "follows a plugin that has made the interface",
      { config: { prevResult: { interfaces: [{ name: "eth0", sandbox: "/run/netns/c1" }] } } },
      /^500 100 an earlier plugin of the chain has made eth0/,
    ],
  ])("that %s is refused before it is queued", async (_what, request: Call, expected) => {
    const { call, jobs } = setUp();
    expect(shown(await call(request))).toMatch(expected);
    expect(await jobs()).toEqual([]);
  });

  it("in something that is not a namespace is refused with the reason", async () => {
    const { call, wiring } = setUp();
    wiring.namespaces.set("/run/netns/c1", new Error("/run/netns/c1 is not a network namespace"));
    expect(shown(await call())).toMatch(
      /^500 8 CNI_NETNS \/run\/netns\/c1 cannot be used: .*is not a network namespace/,
    );
  });

  it("is counted by command and outcome", async () => {
    const { call, jobs, registry } = setUp();
    const answer = call();
    (await jobs())[0]?.resolve(RESULT);
    await answer;
    await call({ netns: "/run/netns/none" });
    const text = await registry.metrics();
    expect(text).toContain('heddle_cni_requests_total{command="ADD",result="ok"} 1');
    expect(text).toContain('heddle_cni_requests_total{command="ADD",result="INVALID_NETNS"} 1');
  });
});

describe("commands that need no queue", () => {
  it("VERSION tells the versions", async () => {
    const { call } = setUp();
    const { body } = await call({ command: "VERSION", body: "" });
    expect(body).toMatchObject({ cniVersion: "1.1.0", supportedVersions: expect.arrayContaining(["0.3.0", "1.1.0"]) });
  });

  it.each([
    [{}, "200"],
    [{ unavailable: "the store says no" }, "500 50 this node cannot add pods now: the store says no"],
    [{ exhausted: "10.0.0.0/24 is full" }, "500 50 this node cannot add pods now: 10.0.0.0/24 is full"],
  ])("STATUS of a node with %j is %s", async (options, expected) => {
    const answer = await setUp(options).call({ command: "STATUS" });
    expect(answer.status === 200 ? "200" : shown(answer)).toBe(expected);
  });
});

describe("a node that cannot add pods", () => {
  it("says try again later to ADD, and still serves DEL", async () => {
    const { call, jobs } = setUp({ unavailable: "no identity" });
    expect(shown(await call())).toBe("500 11 this node cannot add pods now: no identity");
    const answer = call({ command: "DEL" });
    (await jobs())[0]?.resolve();
    expect((await answer).status).toBe(200);
  });

  it("tries an ADD even when it expects to run out of addresses", async () => {
    const { call, jobs } = setUp({ exhausted: "full" });
    const answer = call();
    (await jobs())[0]?.resolve(RESULT);
    expect((await answer).status).toBe(200);
  });
});

describe("the same operation asked twice at once", () => {
  it("is done once, and both hear of it", async () => {
    const { call, jobs } = setUp();
    const answers = [call(), call()];
    const [job, ...more] = await jobs();
    expect(more).toEqual([]);
    job?.resolve(RESULT);
    expect((await Promise.all(answers)).map((a) => a.status)).toEqual([200, 200]);
    const third = call();
    const [, next] = await jobs();
    next?.resolve(RESULT);
    expect((await third).status).toBe(200);
  });

  it("is not the same if anything differs", async () => {
    const { call, jobs } = setUp();
    const answers = [call(), call({ config: { mtu: 1400 } }), call({ command: "DEL" })];
    const all = await jobs();
    expect(all).toHaveLength(3);
    for (const job of all) job.resolve(RESULT);
    await Promise.all(answers);
  });

  it("is given up only when all who asked have gone", async () => {
    const { call, jobs } = setUp();
    const [first, second] = [new AbortController(), new AbortController()];
    const answers = [call({ signal: first.signal }), call({ signal: second.signal })];
    const [job] = await jobs();
    first.abort(new Error("gone"));
    expect((await answers[0])?.status).toBe(500);
    expect(job?.signal.aborted).toBe(false);
    second.abort(new Error("gone as well"));
    expect((await answers[1])?.status).toBe(500);
    expect(job?.signal.aborted).toBe(true);
    expect(job?.signal.reason).toEqual(new Error("gone as well"));
  });

  it("serves who stays although the other has gone", async () => {
    const { call, jobs } = setUp();
    const gone = new AbortController();
    const answers = [call({ signal: gone.signal }), call()];
    const [job] = await jobs();
    gone.abort(new Error("gone"));
    job?.resolve(RESULT);
    expect((await answers[1])?.status).toBe(200);
  });

  it("is done anew for one who asks when it has been given up", async () => {
    const { call, jobs } = setUp();
    const gone = new AbortController();
    const first = call({ signal: gone.signal });
    await jobs();
    gone.abort(new Error("gone"));
    await first;
    const second = call();
    const [given, anew] = await jobs();
    expect([given?.signal.aborted, anew?.signal.aborted]).toEqual([true, false]);
    // The end of the one that was given up must not make the other one forgotten.
    given?.reject(new Error("undone"));
    await turns();
    const third = call();
    expect(await jobs()).toHaveLength(2);
    anew?.resolve(RESULT);
    expect([(await second).status, (await third).status]).toEqual([200, 200]);
  });
});

describe("the deadline", () => {
  it("is that of the server", async () => {
    const { call, jobs } = setUp({ timeoutMs: 5 });
    const answer = call();
    const [job] = await jobs();
    expect(shown(await answer)).toMatch(/^500 11 ADD did not finish within 0.005 s/);
    expect(job?.signal.aborted).toBe(true);
  });

  it("is a little less than what the executable waits, if that is shorter", async () => {
    const { call } = setUp();
    const answer = await call({ headers: { "x-cni-timeout-ms": "10" } });
    expect(shown(answer)).toMatch(/^500 11 ADD did not finish within 0.0095 s/);
  });

  it("of nonsense is that of the server", async () => {
    const { call } = setUp({ timeoutMs: 5 });
    for (const text of ["x", "-1", "0", ""]) {
      expect(shown(await call({ headers: { "x-cni-timeout-ms": text } }))).toMatch(/within 0.005 s/);
    }
  });

  it("that has passed already when the caller is gone ends the operation at once", async () => {
    const { call, jobs } = setUp();
    const answer = await call({ signal: AbortSignal.abort(new Error("gone before")) });
    expect(shown(answer)).toMatch(/^500 999 .*gone before/);
    expect((await jobs())[0]?.signal.aborted).toBe(true);
  });
});
