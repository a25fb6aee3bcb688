import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { KubeClient } from "../../../src/ksr/kube/client.ts";
import { loadCredentials } from "../../../src/ksr/kube/credentials.ts";
import { makeCertificates, type TestCertificates } from "../../support/etcd.ts";
import { FakeApiServer } from "../../support/k8s/fake-api-server.ts";

let dir: string;
let certs: TestCertificates;
let other: TestCertificates;
let api: FakeApiServer;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hd-ksr-tls-"));
  await mkdir(join(dir, "other"));
  certs = makeCertificates(dir);
  other = makeCertificates(join(dir, "other"));
  const [key, cert, ca] = await Promise.all(
    [certs.serverKey, certs.serverCert, certs.ca].map((f) => readFile(f, "utf8")),
  );
  api = await FakeApiServer.open({ key: key ?? "", cert: cert ?? "", ca: ca ?? "" });
});
afterEach(async () => {
  await api.close();
  await rm(dir, { recursive: true });
});

const PODS = { path: "/api/v1/pods", signal: new AbortController().signal };

async function clientWith(user: object, cluster: object): Promise<KubeClient> {
  const file = join(dir, "kubeconfig");
  await writeFile(file, api.kubeconfig(user, cluster));
  return new KubeClient({ credentials: await loadCredentials(file), clock: systemClock });
}

describe("TLS towards the API server", () => {
  it("by files that the kubeconfig names, relative to itself", async () => {
    const user = { "client-certificate": "client.crt", "client-key": "client.key" };
    const client = await clientWith(user, { "certificate-authority": "ca.crt" });
    await expect(client.json(PODS)).resolves.toMatchObject({ items: [] });
  });

  it("by certificates in the kubeconfig", async () => {
    const base64 = async (file: string) => (await readFile(file)).toString("base64");
    const user = {
      "client-certificate-data": await base64(certs.clientCert),
      "client-key-data": await base64(certs.clientKey),
    };
    const client = await clientWith(user, { "certificate-authority-data": await base64(certs.ca) });
    await expect(client.json(PODS)).resolves.toMatchObject({ items: [] });
  });

  it("a client certificate that is renewed in its file counts for the next connection", async () => {
    const user = { "client-certificate": "mine.crt", "client-key": "mine.key" };
    const use = async (from: TestCertificates) => {
      await writeFile(join(dir, "mine.crt"), await readFile(from.clientCert));
      await writeFile(join(dir, "mine.key"), await readFile(from.clientKey));
    };
    await use(other); // of an authority that the server doesn't know
    const client = await clientWith(user, { "certificate-authority": "ca.crt" });
    await expect(client.json(PODS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await use(certs);
    await expect(client.json(PODS)).resolves.toMatchObject({ items: [] });
  });

  it("a server with a certificate of another authority gets nothing", async () => {
    const user = { "client-certificate": "client.crt", "client-key": "client.key" };
    const client = await clientWith(user, { "certificate-authority": "other/ca.crt" });
    await expect(client.json(PODS)).rejects.toThrow(/certificate/);
    expect(api.requests).toEqual([]);
  });
});
