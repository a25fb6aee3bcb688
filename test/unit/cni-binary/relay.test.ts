import { beforeAll, describe, expect, it } from "vitest";
import { environmentFromHeaders } from "../../../src/pods/cni/environment.ts";
import { CNI_VERSIONS } from "../../../src/pods/cni/versions.ts";
import { addEnv, answering, buildPlugin, FakeAgent, output, runPlugin } from "./plugin.ts";

beforeAll(buildPlugin, 60_000);

const result = '{"cniVersion":"1.0.0","interfaces":[],"ips":[],"routes":[],"dns":{}}';

describe("the request to the agent", () => {
  it("carries the configuration unchanged, byte by byte", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    const config = agent.config({ "x\u00e9\u{1f600}": [1, 2.5e-3, null, { a: '\\"' }] });
    await runPlugin({ env: addEnv, stdin: ` \n${config}\n` });
    expect(agent.received[0]?.body.toString()).toBe(` \n${config}\n`);
  });

  it("is one POST /cni that asks for the connection to be closed and says how long it waits", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    await runPlugin({ env: addEnv, stdin: agent.config({ cniTimeoutSeconds: 7 }) });
    const request = agent.received[0];
    expect(request?.requestLine).toBe("POST /cni HTTP/1.1");
    expect(request?.headers).toMatchObject({ connection: "close", "content-type": "application/json" });
    expect(Number(request?.headers["x-cni-timeout-ms"])).toBeGreaterThanOrEqual(7000);
    expect(Number(request?.headers["x-cni-timeout-ms"])).toBeLessThan(7100);
  });

  it("waits 220 s unless told otherwise, less than kubelet does", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(agent.received[0]?.headers["x-cni-timeout-ms"]).toBe("220000");
  });

  it("carries every variable whatever its characters, and an unset one not at all", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    const { CNI_PATH: _, ...env } = addEnv;
    const CNI_ARGS = 'A=\u00e9\u{1f600};B=%41 \t\r\n"x\u007f;C=:/?#';
    await runPlugin({ env: { ...env, CNI_ARGS, CNI_NETNS: "" }, stdin: agent.config() });
    expect(environmentFromHeaders(agent.received[0]?.headers ?? {})).toEqual({
      command: "ADD",
      containerId: "pod-1",
      netns: "",
      ifname: "eth0",
      args: CNI_ARGS,
    });
  });

  it("goes out whole when it is far larger than the socket's buffer", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    const head = agent.config({ pad: "" });
    const config = agent.config({ pad: "x".repeat(1024 * 1024 - head.length) });
    expect(config).toHaveLength(1024 * 1024);
    const run = await runPlugin({ env: addEnv, stdin: config });
    expect(run.exitCode).toBe(0);
    expect(agent.received[0]?.body.length).toBe(1024 * 1024);
  });

  it("finds the agent's socket by the last of repeated and escaped keys", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    const escaped = JSON.stringify(agent.socketPath).replaceAll("/", "\\u002f");
    const stdin = `{"cniSocket": "/nowhere", "nested": {"cniSocket": 5}, "cni\\u0053ocket": ${escaped}}`;
    const run = await runPlugin({ env: addEnv, stdin });
    expect(run.exitCode).toBe(0);
  });
});

describe("the agent's answer", () => {
  it("goes to standard output as it is, with exit code 0 for a result", async () => {
    await using agent = await FakeAgent.listen(answering("200 OK", result));
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run).toEqual({ exitCode: 0, stdout: result, stderr: "" });
  });

  it("goes to standard output as it is, with exit code 1 for an error", async () => {
    const error = '{"cniVersion":"1.0.0","code":7,"msg":"m","details":"d"}';
    await using agent = await FakeAgent.listen(answering("400 Bad Request", error, "application/json; charset=utf-8"));
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run).toEqual({ exitCode: 1, stdout: error, stderr: "" });
  });

  it.each(["DEL", "CHECK", "STATUS", "GC"])("may be empty on success of %s", async (CNI_COMMAND) => {
    await using agent = await FakeAgent.listen((socket) => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
    const run = await runPlugin({ env: { ...addEnv, CNI_COMMAND }, stdin: agent.config() });
    expect(run).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  });

  it("may arrive byte by byte", async () => {
    const text = `HTTP/1.1 200 OK\r\ncontent-type:application/json\r\nCONTENT-LENGTH: ${result.length}\r\n\r\n${result}`;
    await using agent = await FakeAgent.listen((socket) => {
      socket.setNoDelay();
      const next = (i: number): void => {
        if (i < text.length) socket.write(text.charAt(i), () => setImmediate(next, i + 1));
      };
      next(0);
    });
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run).toEqual({ exitCode: 0, stdout: result, stderr: "" });
  });

  it("ends with the connection when it has no Content-Length", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    await using agent = await FakeAgent.listen((socket) => socket.end(head + result));
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run).toEqual({ exitCode: 0, stdout: result, stderr: "" });
  });

  it("does not wait for the connection's end when it has a Content-Length", async () => {
    const length = result.length;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    await using agent = await FakeAgent.listen((socket) => socket.write(head + result));
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run.stdout).toBe(result);
  });

  it("may have megabytes", async () => {
    const large = JSON.stringify({ cniVersion: "1.0.0", ips: "x".repeat(3_000_000) });
    await using agent = await FakeAgent.listen(answering("200 OK", large));
    const run = await runPlugin({ env: addEnv, stdin: agent.config() });
    expect(run.stdout === large).toBe(true);
  });
});

const version = async (stdin: string) => await runPlugin({ env: { CNI_COMMAND: "VERSION" }, stdin });

describe("VERSION", () => {
  it.each([...CNI_VERSIONS, "0.1.0", "2.0.0"])(
    "is answered without the agent, with the asked version %s",
    async (asked) => {
      const run = await version(JSON.stringify({ cniVersion: asked }));
      expect(run.exitCode).toBe(0);
      expect(output(run)).toEqual({ cniVersion: asked, supportedVersions: [...CNI_VERSIONS] });
    },
  );

  it.each(["", "{}", '{"cniVersion":""}'])("is answered as 1.1.0 when asked with %j", async (stdin) => {
    expect(output(await version(stdin))).toEqual({ cniVersion: "1.1.0", supportedVersions: [...CNI_VERSIONS] });
  });

  it("ignores the other variables, which libcni sets to dummies", async () => {
    const env = { CNI_COMMAND: "VERSION", CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_CONTAINERID: "dummy" };
    const run = await runPlugin({ env, stdin: '{"cniVersion":"1.0.0"}' });
    expect(run.exitCode).toBe(0);
  });
});

describe("without CNI_COMMAND", () => {
  it("says on standard error what it is, and fails with code 4", async () => {
    const run = await runPlugin({ env: {} });
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toMatch(
      /^CNI heddle plugin v\d+\.\d+\.\d+\nCNI protocol versions supported: 0\.3\.0, .*1\.1\.0\n$/,
    );
    expect(output(run)).toMatchObject({ code: 4, msg: "CNI_COMMAND is missing" });
  });

  it("prints its version on standard output when asked", async () => {
    const run = await runPlugin({ env: {}, args: ["--version"] });
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain("CNI heddle plugin v");
  });
});
