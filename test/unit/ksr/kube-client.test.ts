import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis, seconds, systemClock } from "../../../src/base/clock/clock.ts";
import { KubeClient, KubeError } from "../../../src/ksr/kube/client.ts";
import { CredentialsError, loadCredentials } from "../../../src/ksr/kube/credentials.ts";
import { linesOf } from "../../../src/ksr/kube/lines.ts";
import { FakeApiServer } from "../../support/k8s/fake-api-server.ts";
import { pod } from "../../support/k8s/reflecting.ts";

let api: FakeApiServer;
let dir: string;

beforeEach(async () => {
  api = await FakeApiServer.open();
  dir = await mkdtemp(join(tmpdir(), "hd-kube-client-"));
});
afterEach(async () => {
  await api.close();
  await rm(dir, { recursive: true });
});

const never = new AbortController().signal;
const PODS = { path: "/api/v1/pods", signal: never };

async function clientFor(user: object): Promise<{ client: KubeClient; file: string }> {
  const file = join(dir, "config");
  await writeFile(file, api.kubeconfig(user));
  const credentials = await loadCredentials(file);
  return { client: new KubeClient({ credentials, clock: systemClock }), file };
}

describe("who we are to the API server", () => {
  it.each([
    ["as client-go has it", (): object => ({ token: "old", tokenFile: "token" })],
    [
      "as a pod's account has it",
      () => ({ "auth-provider": { name: "tokenFile", config: { tokenFile: join(dir, "token") } } }),
    ],
  ])("a token that was rotated in its file is read again when the old one is refused: %s", async (_, userOf) => {
    const tokenFile = join(dir, "token");
    const user = userOf();
    await writeFile(tokenFile, "first\n");
    api.tokens.add("first");
    const { client } = await clientFor(user);
    await client.json(PODS);
    api.tokens.delete("first");
    api.tokens.add("second");
    await writeFile(tokenFile, "second\n");
    await expect(client.json(PODS)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await expect(client.json(PODS)).resolves.toMatchObject({ items: [] });
  });

  it("so is a kubeconfig", async () => {
    api.tokens.add("second");
    const { client, file } = await clientFor({ token: "first" });
    await expect(client.json(PODS)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await writeFile(file, "{half"); // it is being written
    await expect(client.json(PODS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await writeFile(file, api.kubeconfig({ token: "second" }));
    await expect(client.json(PODS)).resolves.toMatchObject({ items: [] });
  });

  it.each([
    ["a file that isn't there", undefined],
    ["a file without a cluster", "{}"],
    ["no YAML", "a: [b"],
  ])("is a mistake in the configuration: %s", async (_, text) => {
    const file = join(dir, "config");
    if (text !== undefined) await writeFile(file, text);
    await expect(loadCredentials(file)).rejects.toThrow(CredentialsError);
  });

  it("without a kubeconfig, outside of a cluster, it says so", async () => {
    await expect(loadCredentials(undefined)).rejects.toThrow("no kubeconfig");
  });
});

describe("requests", () => {
  it.each([
    [{ status: 401 }, "UNAUTHENTICATED"],
    [{ status: 403 }, "FORBIDDEN"],
    [{ status: 404 }, "NOT_FOUND"],
    [{ status: 409 }, "CONFLICT"],
    [{ status: 410 }, "GONE"],
    [{ status: 400 }, "REFUSED"],
    [{ status: 429 }, "UNAVAILABLE"],
    [{ status: 502, text: "<html>" }, "UNAVAILABLE"],
    [{ drop: true }, "UNAVAILABLE"],
    [{ drop: true, afterBytes: 10 }, "UNAVAILABLE"],
  ] as const)("%j is told as %s", async (fault, code) => {
    const { client } = await clientFor({});
    api.fault = () => fault;
    const error = await client.json(PODS).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(KubeError);
    expect(error).toMatchObject({ code, message: expect.stringContaining("GET /api/v1/pods") });
  });

  it("end by their deadline, and at once when nobody waits any more", async () => {
    const { client } = await clientFor({});
    api.fault = () => ({ hang: true });
    await expect(client.json({ ...PODS, timeout: millis(20) })).rejects.toThrow("no answer within 20 ms");
    const gone = new AbortController();
    const waiting = client.json({ ...PODS, signal: gone.signal });
    gone.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  it("a watch that nothing is heard of counts as dead", async () => {
    const { client } = await clientFor({});
    const query = { watch: "true", resourceVersion: "1" };
    const reading = (async () => {
      for await (const _ of client.lines({ ...PODS, query }, millis(30))) expect.unreachable();
    })();
    await expect(reading).rejects.toThrow("nothing was heard of it for 30 ms");
  });

  it("a watch that is left ends its connection", async () => {
    const { client } = await clientFor({});
    api.put("pods", pod("a"));
    for await (const event of client.lines({ ...PODS, query: { watch: "true", resourceVersion: "1" } }, seconds(30))) {
      expect(event).toMatchObject({ type: "ADDED" });
      break;
    }
    await expect.poll(() => api.watching("pods")).toBe(0);
  });
});

describe("lines of a stream", () => {
  const text = '{"a":"é🐎"}\n\n{"b":1}\n{"c":2}\n{"cut off';
  it.each([1, 2, 3, 5, 8, 1000])("are the same when it comes in pieces of %i bytes", async (size) => {
    async function* pieces() {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }
    const lines: string[] = [];
    for await (const line of linesOf(pieces())) lines.push(line);
    expect(lines).toEqual(['{"a":"é🐎"}', '{"b":1}', '{"c":2}']);
  });

  it("that never end are refused", async () => {
    async function* endless() {
      for (;;) yield Buffer.alloc(8 * 1024 * 1024, 32);
    }
    const read = async () => {
      for await (const _ of linesOf(endless())) expect.unreachable();
    };
    await expect(read()).rejects.toThrow(RangeError);
  });
});
