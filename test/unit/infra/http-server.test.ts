import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type ClientRequest, request as httpRequest, type RequestOptions } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HttpServer, type HttpServerOptions, ListenError, type Route } from "../../../src/infra/http/http-server.ts";

let dir = "";
let servers: HttpServer[] = [];
const errors: string[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hd-http-"));
  servers = [];
  errors.length = 0;
});
afterEach(async () => {
  await Promise.all(servers.map((s) => s.close()));
  rmSync(dir, { recursive: true });
});

const socket = () => join(dir, "run", "cni.sock");

async function open(routes: Record<string, Route>, more: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const server = await HttpServer.open({
    listen: { socket: socket() },
    routes: new Map(Object.entries(routes)),
    onError: (error, request) => errors.push(`${request}: ${error.message}`),
    ...more,
  });
  servers.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly text: string;
}

function send(
  method: string,
  path: string,
  body: Buffer | string = "",
  more: RequestOptions = {},
): { answer: Promise<Answer>; request: ClientRequest } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = httpRequest({ socketPath: socket(), method, path, agent: false, ...more }, (res) => {
    const chunks: Buffer[] = [];
    res.on("data", (chunk: Buffer) => chunks.push(chunk));
    res.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      resolve({ status: res.statusCode ?? 0, type: res.headers["content-type"], text });
    });
  });
  request.on("error", reject);
  promise.catch(() => {}); // not every test waits for it
  request.end(body);
  return { answer: promise, request };
}

const ask = (method: string, path: string, body?: Buffer | string): Promise<Answer> => send(method, path, body).answer;

describe("a route", () => {
  it("gets method, path, query, headers and body", async () => {
    const echo: Route = ({ method, path, query, headers, body }) => ({
      status: 200,
      body: { method, path, q: query.get("q"), h: headers["x-h"], body: Buffer.from(body).toString() },
    });
    await open({ "POST /echo": echo });
    const { answer } = send("POST", "/echo?q=1", "hello", { headers: { "x-h": "2" } });
    expect(JSON.parse((await answer).text)).toEqual({ method: "POST", path: "/echo", q: "1", h: "2", body: "hello" });
  });

  it.each([
    [{ status: 200, body: { a: 1 } }, "application/json", '{"a":1}'],
    [{ status: 200, body: "text" }, "text/plain; charset=utf-8", "text"],
    [{ status: 200, body: Buffer.from("raw"), contentType: "application/x" }, "application/x", "raw"],
    [{ status: 204 }, "application/json", ""],
  ])("answers with %j", async (given, type, text) => {
    await open({ "GET /": () => given });
    expect(await ask("GET", "/")).toEqual({ status: given.status, type, text });
  });

  it("that ends in a slash takes what is below it, the longest first", async () => {
    const say =
      (name: string): Route =>
      ({ path }) => ({ status: 200, body: `${name} ${path}` });
    await open({ "GET /a/": say("a"), "GET /a/b/": say("b"), "GET /a/b/c": say("c") });
    const paths = ["/a/x", "/a/b/x/y", "/a/b/c", "/a/", "/a", "/"];
    const texts = await Promise.all(paths.map(async (p) => ask("GET", p)));
    expect(texts.map((t) => (t.status === 200 ? t.text : t.status))).toEqual([
      ...["a /a/x", "b /a/b/x/y", "c /a/b/c", "a /a/"],
      ...[404, 404],
    ]);
  });

  it("that does not exist is answered with those that do", async () => {
    await open({ "GET /status": () => ({ status: 200 }) });
    const answer = await ask("POST", "/status", "x".repeat(100_000));
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text)).toEqual({ error: "no POST /status", routes: ["GET /status"] });
  });

  it("that throws is answered with 500 and reported", async () => {
    await open({
      "GET /": () => {
        throw new Error("no", { cause: new Error("because") });
      },
    });
    expect(await ask("GET", "/")).toMatchObject({ status: 500, text: '{"error":"no: because"}' });
    expect(errors).toEqual(["GET /: no"]);
  });
});

describe("bounds", () => {
  it("answer a body that is too large with 413, however large it is, and serve on", async () => {
    const seen: number[] = [];
    await open({ "POST /": ({ body }) => ({ status: 200, body: String(seen.push(body.length)) }) }, { maxBody: 1000 });
    expect((await ask("POST", "/", "x".repeat(1000))).status).toBe(200);
    expect(await ask("POST", "/", "x".repeat(1001))).toMatchObject({
      status: 413,
      text: '{"error":"the body is larger than 1000 bytes"}',
    });
    expect((await ask("POST", "/", Buffer.alloc(10 << 20))).status).toBe(413);
    expect((await ask("POST", "/", "y")).status).toBe(200);
    expect(seen).toEqual([1000, 1]);
  });

  it("answer one request too many with 503, and take the next when one has ended", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const entered = Promise.withResolvers<void>();
    await open(
      {
        "GET /": async () => {
          const gate = Promise.withResolvers<void>();
          if (gates.push(gate) === 2) entered.resolve();
          await gate.promise;
          return { status: 200 };
        },
      },
      { maxConcurrent: 2 },
    );
    const held = [ask("GET", "/"), ask("GET", "/")];
    await entered.promise;
    expect(await ask("GET", "/")).toMatchObject({ status: 503, text: expect.stringContaining("try again later") });
    for (const gate of gates) gate.resolve();
    expect((await Promise.all(held)).map((a) => a.status)).toEqual([200, 200]);
    const next = ask("GET", "/");
    while (gates.length < 3) await new Promise((resolve) => setImmediate(resolve));
    gates[2]?.resolve();
    expect((await next).status).toBe(200);
  });
});

describe("a client that goes away", () => {
  it("is noticed by the route's signal, and costs no place", async () => {
    const entered = Promise.withResolvers<AbortSignal>();
    const left = Promise.withResolvers<void>();
    await open(
      {
        "POST /": async ({ signal }) => {
          entered.resolve(signal);
          await left.promise;
          return { status: 200 };
        },
        "GET /": () => ({ status: 200 }),
      },
      { maxConcurrent: 1 },
    );
    const { request } = send("POST", "/", "x");
    request.on("error", () => {});
    const signal = await entered.promise;
    const aborted = new Promise<Error>((resolve) => {
      signal.addEventListener("abort", () => resolve(signal.reason as Error));
    });
    request.destroy();
    expect((await aborted).message).toBe("the client of POST / went away");
    left.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect((await ask("GET", "/")).status).toBe(200);
    expect(errors).toEqual([]);
  });

  it("before its body was read never reaches the route", async () => {
    let calls = 0;
    await open({ "POST /": () => ({ status: 200, body: String(++calls) }) }, { maxConcurrent: 1 });
    const client = connect(socket());
    await new Promise<void>((resolve) => {
      client.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc", () => resolve());
    });
    client.destroy();
    while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect((await ask("POST", "/", "x")).text).toBe("1");
  });

  it("that was answered aborts nothing", async () => {
    let signal: AbortSignal | undefined;
    await open({
      "GET /": (request) => {
        signal = request.signal;
        return { status: 200 };
      },
    });
    await ask("GET", "/");
    await new Promise((resolve) => setImmediate(resolve));
    expect(signal?.aborted).toBe(false);
  });
});

describe("the socket", () => {
  it("is its owner's alone, in a directory that is made", async () => {
    await open({});
    expect(statSync(socket()).mode & 0o777).toBe(0o600);
  });

  it("takes the place of one that nobody listens on", async () => {
    const dead = await open({});
    await dead.close();
    // What a killed process leaves: the file, and nobody behind it.
    const left = createServer().listen(socket());
    await new Promise<void>((resolve) => left.once("listening", () => resolve()));
    const stat = statSync(socket());
    await new Promise<void>((resolve) => left.close(() => resolve()));
    expect(stat.isSocket()).toBe(true);
    await open({ "GET /": () => ({ status: 200 }) });
    expect((await ask("GET", "/")).status).toBe(200);
  });

  it("is refused while another process listens on it, which goes on undisturbed", async () => {
    await open({ "GET /": () => ({ status: 200, body: "first" }) });
    await expect(open({})).rejects.toThrow(ListenError);
    await expect(open({})).rejects.toThrow(`another process listens on ${socket()}`);
    expect((await ask("GET", "/")).text).toBe("first");
  });

  it("never takes the place of a file that is not a socket", async () => {
    const file = join(dir, "precious");
    writeFileSync(file, "data");
    await expect(open({}, { listen: { socket: file } })).rejects.toThrow(`${file} exists and is not a socket`);
    expect(statSync(file).size).toBe(4);
  });

  it("is gone when the server has closed, after the requests in hand were answered", async () => {
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const server = await open({
      "GET /": async () => {
        entered.resolve();
        await gate.promise;
        return { status: 200 };
      },
    });
    const answer = ask("GET", "/");
    await entered.promise;
    const closed = server.close();
    gate.resolve();
    expect((await answer).status).toBe(200);
    await closed;
    expect(existsSync(socket())).toBe(false);
  });
});

describe("an address and port", () => {
  it("can be listened on, and one that is taken is refused by name", async () => {
    const first = await open({}, { listen: { host: "127.0.0.1", port: 0 } });
    const port = first.port ?? 0;
    expect(port).toBeGreaterThan(0);
    const second = open({}, { listen: { host: "127.0.0.1", port } });
    await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
  });
});
