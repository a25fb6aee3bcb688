import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { kill9 } from "../../support/kill.ts";
import { addEnv, answering, type Behaviour, buildPlugin, FakeAgent, httpAnswer, output, runPlugin } from "./plugin.ts";

beforeAll(buildPlugin, 60_000);

const nowhere = '{"cniVersion":"0.4.0","cniSocket":"/nonexistent/hd.sock"}';

describe("input the agent never sees", () => {
  it.each([
    ["", "byte 0 of standard input: there is no input"],
    ["   ", "byte 3 of standard input: it ends too early"],
    ["not json", "byte 0 of standard input: it does not start with {"],
    ["[1]", "byte 0 of standard input: it does not start with {"],
    ['{"a":1', "byte 6 of standard input: it ends too early"],
    ['{"a":1,}', "byte 7 of standard input: no key where one is expected"],
    ['{"a":01}', "byte 6 of standard input: neither , nor } after a value"],
    ['{"a":"\n"}', "byte 6 of standard input: a control character in a string"],
    ['{"a":"\\x"}', "byte 7 of standard input: an unknown escape in a string"],
    ['{"a":"\\u00g0"}', "byte 10 of standard input: \\u without four hexadecimal digits"],
    ['{"a":tru}', "byte 5 of standard input: no value where one is expected"],
    ['{"a":1} {', "byte 8 of standard input: something follows the object"],
    [`{"a":${"[".repeat(200)}`, "byte 132 of standard input: it is nested too deeply"],
  ])("%j is refused with code 6 and the place", async (stdin, details) => {
    const run = await runPlugin({ env: addEnv, stdin });
    expect(run.exitCode).toBe(1);
    const msg = "the network configuration is not a JSON object";
    expect(output(run)).toEqual({ cniVersion: "1.1.0", code: 6, msg, details });
  });

  it("is refused with code 6 beyond 1 MiB, and read to its end so that the runtime sees the answer", async () => {
    const stdin = Buffer.alloc(10_000_000, " ");
    const run = await runPlugin({ env: addEnv, stdin });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ code: 6, msg: "the network configuration is larger than 1 MiB" });
  });

  it.each([
    ["cniVersion", "5", 6],
    ["cniVersion", "null", 6],
    ["cniSocket", "5", 7],
    ["cniSocket", '"run/cni.sock"', 7],
    ["cniSocket", '""', 7],
    ["cniSocket", '"/a\\u0000b"', 7],
    ["cniSocket", `"/${"a".repeat(107)}"`, 7],
    ["cniTimeoutSeconds", '"5"', 7],
    ["cniTimeoutSeconds", "0", 7],
    ["cniTimeoutSeconds", "-1", 7],
    ["cniTimeoutSeconds", "1e9", 7],
    ["cniTimeoutSeconds", "true", 7],
  ])("is refused when %s is %s", async (key, value, code) => {
    const run = await runPlugin({ env: addEnv, stdin: `{"${key}":${value}}` });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ code, msg: expect.stringContaining(key) });
  });

  it.each(["add", "REMOVE", "ADD ", '\u0007"\\'])("is refused with code 4 for the command %j", async (CNI_COMMAND) => {
    const run = await runPlugin({ env: { ...addEnv, CNI_COMMAND }, stdin: nowhere });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ cniVersion: "0.4.0", code: 4, msg: "CNI_COMMAND is invalid" });
    expect(output(run).details).toContain(CNI_COMMAND);
  });

  it("is refused with code 4 when the variables are longer than the agent's server takes", async () => {
    const run = await runPlugin({ env: { ...addEnv, CNI_ARGS: "A=".padEnd(20_000, "x") }, stdin: nowhere });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ code: 4, msg: "CNI_ARGS is invalid" });
  });
});

describe("an agent that is away", () => {
  it.each(["ADD", "DEL", "CHECK", "GC"])("makes %s answer code 11 and name the socket", async (CNI_COMMAND) => {
    const run = await runPlugin({ env: { ...addEnv, CNI_COMMAND }, stdin: nowhere });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ cniVersion: "0.4.0", code: 11, msg: "the Heddle agent is away" });
    expect(output(run).details).toContain("/nonexistent/hd.sock: connecting: No such file");
  });

  it("makes STATUS answer code 50", async () => {
    const run = await runPlugin({ env: { CNI_COMMAND: "STATUS" }, stdin: nowhere });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ code: 50, msg: "the Heddle agent is away" });
  });

  it("is recognised by a socket nobody listens on", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hd-cni-"));
    try {
      const socket = join(directory, "cni.sock");
      writeFileSync(socket, "");
      const run = await runPlugin({ env: addEnv, stdin: JSON.stringify({ cniSocket: socket }) });
      expect(output(run)).toMatchObject({ code: 11, details: expect.stringContaining("Connection refused") });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("an agent that fails in the middle", () => {
  const whole = httpAnswer("200 OK", '{"cniVersion":"1.0.0","ips":[]}');

  const cases: readonly (readonly [name: string, behaviour: Behaviour, code: number, details: string])[] = [
    ["closes without an answer", (socket) => socket.destroy(), 11, "closed the connection without an answer"],
    ["dies in the status line", (socket) => socket.end(whole.slice(0, 7)), 11, "its answer ends too early"],
    ["dies in the headers", (socket) => socket.end(whole.slice(0, 40)), 11, "its answer ends too early"],
    [
      "dies before the body",
      (socket) => socket.end(whole.slice(0, whole.indexOf("{"))),
      11,
      "its answer ends too early",
    ],
    ["dies in the body", (socket) => socket.end(whole.slice(0, -1)), 11, "its answer ends too early"],
    ["hangs", () => undefined, 11, "waiting for the answer; gave up after"],
    ["hangs in the body", (socket) => socket.write(whole.slice(0, -1)), 11, "waiting for the answer; gave up after"],
    ["speaks no HTTP", (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"), 5, "it is not HTTP/1.1"],
    ["speaks HTTP/2", (socket) => socket.end("HTTP/2 200\r\n\r\n"), 5, "it is not HTTP/1.1"],
    ["has no status", (socket) => socket.end("HTTP/1.1 OK\r\n\r\n"), 5, "no status"],
    ["has a bad length", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 5, "Content-Length"],
    [
      "has a huge length",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
      5,
      "Content-Length",
    ],
    [
      "sends chunks",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
      5,
      "an encoded body",
    ],
    ["sends a broken header", (socket) => socket.end("HTTP/1.1 200 OK\r\nabc\r\n\r\n"), 5, "a header without :"],
    ["sends too much", (socket) => socket.end(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(5 << 20)}`), 5, "larger than 4 MiB"],
    ["sends text", answering("200 OK", "hello", "text/plain"), 5, "status 200 without a result in JSON"],
    ["sends broken JSON", answering("200 OK", "{"), 5, "status 200 without a result in JSON; it begins with {"],
    ["has no result", answering("200 OK", ""), 5, "status 200 without a result in JSON"],
    [
      "has an error in HTML",
      answering("502 Bad Gateway", "<html>\u0001", "text/html"),
      5,
      "status 502 without a CNI error",
    ],
    ["has an error of code 0", answering("500 Oops", '{"code":0}'), 5, "status 500 without a CNI error in JSON"],
  ];

  it.each(cases)("%s: a clear error", async (_name, behaviour, code, details) => {
    await using agent = await FakeAgent.listen(behaviour);
    const run = await runPlugin({ env: addEnv, stdin: agent.config({ cniTimeoutSeconds: 0.2 }) });
    expect(run.exitCode).toBe(1);
    expect(output(run)).toMatchObject({ cniVersion: "1.0.0", code, details: expect.stringContaining(details) });
    expect(output(run).details).toContain(agent.socketPath);
  });

  it.each(cases)("%s: STATUS says that no ADD can be served", async (name, behaviour) => {
    // Only ADD needs a result.
    if (name === "has no result") return;
    await using agent = await FakeAgent.listen(behaviour);
    const stdin = agent.config({ cniTimeoutSeconds: 0.2 });
    expect(output(await runPlugin({ env: { CNI_COMMAND: "STATUS" }, stdin }))).toMatchObject({ code: 50 });
  });

  it.each([
    ["ADD", 11],
    ["DEL", 11],
    ["STATUS", 50],
  ])("that is busy makes %s answer code %i", async (CNI_COMMAND, code) => {
    await using agent = await FakeAgent.listen(answering("503 Service Unavailable", '{"error":"busy: 512 requests"}'));
    const run = await runPlugin({ env: { ...addEnv, CNI_COMMAND }, stdin: agent.config() });
    expect(run.exitCode).toBe(1);
    const details = expect.stringContaining("busy: 512 requests");
    expect(output(run)).toMatchObject({ code, msg: "the Heddle agent is busy", details });
  });

  it("is believed when it answers before it has read the request", async () => {
    const error = '{"cniVersion":"1.0.0","code":11,"msg":"busy","details":""}';
    await using agent = await FakeAgent.listen(() => undefined);
    // The answer goes out on connect; the megabyte that follows is never read.
    agent.onConnect((socket) => {
      socket.pause();
      socket.end(httpAnswer("429 Too Many Requests", error), () => socket.destroy());
    });
    const run = await runPlugin({ env: addEnv, stdin: agent.config({ pad: "x".repeat(900_000) }) });
    expect(run).toEqual({ exitCode: 1, stdout: error, stderr: "" });
  });
});

describe("a runtime that changes its mind", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "gets an answer after %s, and the agent sees the end",
    async (signal) => {
      const gone = Promise.withResolvers<void>();
      let pid = 0;
      await using agent = await FakeAgent.listen((socket) => {
        socket.on("close", () => gone.resolve());
        process.kill(pid, signal);
      });
      const run = await runPlugin({ env: addEnv, stdin: agent.config(), onStart: (p) => (pid = p) });
      expect(run.exitCode).toBe(1);
      expect(output(run)).toMatchObject({ code: 11, msg: "interrupted" });
      await gone.promise;
    },
  );

  it("that is killed closes the connection, which is how the agent learns of it", async () => {
    const gone = Promise.withResolvers<void>();
    let pid = 0;
    await using agent = await FakeAgent.listen((socket) => {
      socket.on("close", () => gone.resolve());
      kill9(pid);
    });
    const run = await runPlugin({ env: addEnv, stdin: agent.config(), onStart: (p) => (pid = p) });
    expect(run.exitCode).toBe(null);
    await gone.promise;
  });

  it("gets an answer when it never closes standard input and then ends the plugin", async () => {
    const run = await runPlugin({
      env: addEnv,
      // More than a pipe holds: once it has been taken, the plugin is reading.
      stdin: Buffer.alloc(4_000_000, " "),
      keepOpen: (pid) => process.kill(pid, "SIGTERM"),
    });
    expect(output(run)).toMatchObject({ code: 11, msg: "interrupted" });
  });
});
