import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { callPlugin } from "../../support/agent-node/cni.ts";
import { AgentNode, type CniAnswer, podSnapshot, type TestPod, whyNoNetns } from "../../support/agent-node.ts";
import { runPlugin } from "../../unit/cni-binary/plugin.ts";

const why = whyNoNetns();
const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

/** What a runtime may get wrong, on the way that it takes: the executable, the socket, the agent. */
describe.skipIf(why !== undefined)(`bad input${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;
  let before: Snapshot;
  /** Was added before, and has its network afterwards. */
  let kept: TestPod;
  let pod: TestPod;

  beforeAll(async () => {
    node = await AgentNode.start();
    kept = await node.wiredPod();
    pod = await node.pod();
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  /** A refusal must leave nothing, neither on the node nor in the pod, and must disturb nobody. */
  async function refused(call: () => Promise<CniAnswer>): Promise<{ code: number; words: string }> {
    const inPod = await podSnapshot(pod);
    const answer = await call();
    expect(answer).toMatchObject({ exitCode: 1, result: undefined, stderr: "" });
    expect(await node.differencesTo(before)).toEqual([]);
    expect(await podSnapshot(pod)).toEqual(inPod);
    expect(await kept.check()).toEqual(silent);
    const { code = 0, msg = "", details = "" } = answer.error ?? {};
    return { code, words: `${msg}: ${details}` };
  }

  const text = (conf: string) => () =>
    callPlugin({ command: "ADD", containerId: pod.containerId, netns: pod.path, ifname: "eth0", conf });
  const conf = (more: Record<string, unknown>) => () => pod.call("ADD", { conf: more });

  describe("the configuration", () => {
    it.each([
      ["that is not JSON", "CNI says hello", 6, "byte 0 of standard input"],
      ["that ends too early", '{"cniVersion":"1.1.0","name":', 6, "it ends too early"],
      ["that is a list", "[]", 6, "it does not start with {"],
      ["that is empty", "", 6, "there is no input"],
    ])("%s is refused with the place", async (_what, stdin, code, words) => {
      expect(await refused(text(stdin))).toEqual({ code, words: expect.stringContaining(words) });
    });

    it("of 10 MB is refused, whether it is blank or a configuration", async () => {
      const padded = JSON.stringify(node.conf({ args: { pad: "x".repeat(10_000_000) } }));
      for (const stdin of [" ".repeat(10_000_000), padded]) {
        const start = performance.now();
        const answer = await refused(text(stdin));
        expect(answer).toEqual({ code: 6, words: expect.stringContaining("larger than 1 MiB") });
        expect(performance.now() - start).toBeLessThan(10_000);
      }
    });

    it.each([
      ["an unknown field", { colour: "blue" }, 2, 'colour = "blue"'],
      ["an unknown field below", { ipam: { range: "x" } }, 2, 'ipam.range = "x"'],
      ["an unknown capability", { runtimeConfig: { infinibandGUID: "x" } }, 2, 'runtimeConfig.infinibandGUID = "x"'],
      ["no name", { name: undefined }, 7, "name is missing"],
      ["a name that cannot be one", { name: "a/b" }, 7, 'name is "a/b"'],
      ["no type", { type: undefined }, 7, "type: "],
      ["an MTU of text", { mtu: "1400" }, 7, "mtu: "],
      ["an MTU below the minimum", { mtu: 1279 }, 7, "mtu: "],
      ["a masquerade of text", { ipMasq: "yes" }, 7, "ipMasq: "],
      ["DNS servers that are none", { dns: { nameservers: [53] } }, 7, "dns.nameservers[0]: "],
      [
        "a host port out of range",
        { runtimeConfig: { portMappings: [{ hostPort: 0, containerPort: 1 }] } },
        7,
        "[0].hostPort: ",
      ],
      [
        "a rate of text",
        { runtimeConfig: { bandwidth: { ingressRate: "1M", ingressBurst: 1 } } },
        7,
        "bandwidth.ingressRate: ",
      ],
      ["a MAC of a group", { runtimeConfig: { mac: "01:00:5e:00:00:01" } }, 7, "runtimeConfig.mac: "],
      ["addresses that are none", { runtimeConfig: { ips: ["10.244.1"] } }, 7, "runtimeConfig.ips[0]: "],
      ["a result of no kind", { prevResult: { ips: "all" } }, 7, "prevResult.ips: "],
      ["a version of a number", { cniVersion: 1.1 }, 6, "cniVersion"],
      ["no version", { cniVersion: undefined }, 1, "cniVersion is absent, which means 0.1.0"],
      ["an old version", { cniVersion: "0.2.0" }, 1, 'cniVersion is "0.2.0"; Heddle supports 0.3.0'],
      ["a version to come", { cniVersion: "2.0.0" }, 1, 'cniVersion is "2.0.0"'],
    ])("with %s is refused by name", async (_what, more, code, words) => {
      expect(await refused(conf(more))).toEqual({ code, words: expect.stringContaining(words) });
    });
  });

  describe("the environment", () => {
    const variables = () => ({
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    });

    async function run(env: Record<string, string>): Promise<CniAnswer> {
      const { exitCode, stdout, stderr } = await runPlugin({ env, stdin: JSON.stringify(node.conf()) });
      return { exitCode, result: undefined, error: JSON.parse(stdout) as NonNullable<CniAnswer["error"]>, stderr };
    }

    it.each(["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] as const)(
      "without %s, or with it empty, is refused by name",
      async (name) => {
        const { [name]: _left, ...others } = variables();
        for (const env of [others, { ...others, [name]: "" }]) {
          expect(await refused(() => run(env))).toEqual({
            code: 4,
            words: expect.stringContaining(`${name} is missing`),
          });
        }
      },
    );

    it.each([
      ["CNI_COMMAND", "add"],
      ["CNI_COMMAND", "UPDATE"],
      ["CNI_CONTAINERID", "a/b"],
      ["CNI_CONTAINERID", "../../etc"],
      ["CNI_CONTAINERID", ".."],
      ["CNI_CONTAINERID", "a\nb"],
      ["CNI_CONTAINERID", "a\u0001"],
      ["CNI_CONTAINERID", "a\u001b[31m"],
      ["CNI_CONTAINERID", "-rf"],
      ["CNI_CONTAINERID", "c".repeat(256)],
      ["CNI_IFNAME", "a/b"],
      ["CNI_IFNAME", ".."],
      ["CNI_IFNAME", "."],
      ["CNI_IFNAME", "e".repeat(16)],
      ["CNI_IFNAME", "e".repeat(400)],
      ["CNI_IFNAME", "eth\u0007"],
      ["CNI_IFNAME", "eth\n0"],
      ["CNI_IFNAME", "eth 0"],
      ["CNI_NETNS", "run/netns/x"],
      ["CNI_ARGS", "IgnoreUnknown=0;COLOUR=blue"],
      ["CNI_ARGS", "no pair"],
    ])("with a %s of %j is refused by name", async (name, value) => {
      const answer = await refused(() => run({ ...variables(), [name]: value }));
      expect(answer).toEqual({ code: 4, words: expect.stringContaining(`${name} is invalid`) });
    });

    it("whose container ID has as many as 255 characters, or more than 16, is none to refuse", async () => {
      for (const containerId of ["c".repeat(255), "0123456789abcdef0"]) {
        const call = { containerId, netns: pod.path, ifname: "e".repeat(15) };
        expect(await node.cni("ADD", call)).toMatchObject({ exitCode: 0 });
        expect(await node.cni("DEL", call)).toEqual(silent);
      }
      expect(await node.differencesTo(before)).toEqual([]);
    });
  });

  describe("the socket", () => {
    /** What the agent answers to bytes that no plugin of ours sends. */
    const answerTo = (bytes: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const chunks: Buffer[] = [];
        const socket = connect(node.cniSocket);
        socket.on("data", (chunk: Buffer) => chunks.push(chunk));
        socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
        socket.on("error", (e) => (chunks.length > 0 ? undefined : reject(e)));
        socket.end(bytes);
      });

    it.each([
      ["no HTTP", "hello\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["another path", "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 404 /],
      [
        "no command",
        "POST /cni HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        /"code":4,.*CNI_COMMAND/,
      ],
      [
        "a body beyond the bound",
        `POST /cni HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10000000\r\n\r\n${" ".repeat(10_000_000)}`,
        /^HTTP\/1\.1 413 /,
      ],
    ])("answers %s, and serves on", async (_what, bytes, expected) => {
      expect(await answerTo(bytes)).toMatch(expected);
      expect(await kept.check()).toEqual(silent);
      expect(await node.differencesTo(before)).toEqual([]);
    });
  });
});

describe.skipIf(why !== undefined)(
  `more operations than the agent holds at once${why ? ` (skipped: ${why})` : ""}`,
  () => {
    let node: AgentNode;

    beforeAll(async () => {
      node = await AgentNode.start({ config: { cni: { maxConcurrent: 1 }, scheduler: { opTimeoutSeconds: 30 } } });
    });

    afterAll(() => node?.close());

    it("hear that they should try again later, and succeed then", async () => {
      const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] };
      const [first, second] = [await node.pod(), await node.pod()];
      node.nftGate.shut();
      const add = first.call("ADD", { runtimeConfig });
      await node.nftGate.held();
      const busy = { msg: "the Heddle agent is busy", details: expect.stringContaining("1 requests are in hand") };
      expect(await second.call("ADD")).toMatchObject({ exitCode: 1, error: { code: 11, ...busy } });
      expect(await second.call("DEL")).toMatchObject({ exitCode: 1, error: { code: 11, ...busy } });
      expect(await node.cni("STATUS")).toMatchObject({ exitCode: 1, error: { code: 50, ...busy } });
      node.nftGate.open();
      expect(await add).toMatchObject({ exitCode: 0 });
      await second.add();
      await node.removePod(first);
      await node.removePod(second);
    });
  },
);
