import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type EtcdOptions, freePort, makeCertificates, noEtcd, type TestCertificates, TestEtcd } from "../etcd.ts";
import { until } from "../until.ts";
import type { ApiObject } from "./fake-api-server.ts";

const NAME = "kube-apiserver";
const ETCDCTL = "/usr/bin/etcdctl";
const candidates = process.env["HEDDLE_KUBE_APISERVER"]
  ? [process.env["HEDDLE_KUBE_APISERVER"]]
  : [`/opt/kube/bin/${NAME}`, ...(process.env["PATH"] ?? "").split(delimiter).map((dir) => join(dir, NAME))];

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
const binary = candidates.find(isExecutable);

/** Why tests with a real kube-apiserver can't run here; undefined if they can. */
export const noKubeApiServer: string | undefined =
  binary === undefined
    ? `no ${NAME} (HEDDLE_KUBE_APISERVER, ${candidates[0]}, PATH)`
    : isExecutable(ETCDCTL)
      ? noEtcd
      : `${ETCDCTL} (Debian's etcd-client) is not installed`;

/** An answer of the API server. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: { readonly [member: string]: unknown };
}

export interface ApiCall {
  readonly method?: "DELETE" | "GET" | "PATCH" | "POST" | "PUT";
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Who asks; the administrator if absent. */
  readonly token?: string;
}

/** A real kube-apiserver with RBAC on an etcd of its own, both on the loopback. Nothing else of a cluster runs. */
export class KubeApiServer implements AsyncDisposable {
  readonly etcd: TestEtcd;
  readonly port: number;
  readonly #dir: string;
  readonly #certificates: TestCertificates;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #output = "";

  private constructor(dir: string, etcd: TestEtcd, port: number, args: readonly string[]) {
    this.#dir = dir;
    this.#certificates = makeCertificates(dir, "admin/O=system:masters");
    execFileSync("openssl", ["genrsa", "-traditional", "-out", "accounts.key", "2048"], { cwd: dir, stdio: "ignore" });
    this.etcd = etcd;
    this.port = port;
    this.#args = args;
  }

  /** `args` are more of its command line. */
  static async start(args: readonly string[] = [], etcd?: EtcdOptions): Promise<KubeApiServer> {
    const dir = await mkdtemp(join(tmpdir(), "hd-kube-"));
    const server = new KubeApiServer(dir, await TestEtcd.start(etcd), await freePort(), args);
    try {
      await server.start();
      return server;
    } catch (e) {
      await server.close();
      throw e;
    }
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Returns when it is ready. */
  async start(): Promise<void> {
    const { ca, serverCert, serverKey } = this.#certificates;
    const accounts = join(this.#dir, "accounts.key");
    const options = {
      "etcd-servers": this.etcd.endpoint,
      "bind-address": "127.0.0.1",
      "secure-port": this.port,
      "tls-cert-file": serverCert,
      "tls-private-key-file": serverKey,
      "client-ca-file": ca,
      "authorization-mode": "RBAC",
      "service-account-issuer": "https://kubernetes.default.svc",
      "service-account-key-file": accounts,
      "service-account-signing-key-file": accounts,
      "service-cluster-ip-range": "10.96.0.0/16,fd00:96::/112",
      // Its own addresses are of no use here; there are no controllers that make accounts for pods.
      "endpoint-reconciler-type": "none",
      "disable-admission-plugins": "ServiceAccount",
      // A client is not told to go elsewhere, and its watches are not ended, when it stops.
      "shutdown-delay-duration": "0s",
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(binary ?? NAME, [...args, ...this.#args], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, GOMAXPROCS: "2" },
    });
    this.#child = child;
    this.#output = "";
    child.stderr.on("data", (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-8000)));
    const isReady = async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${NAME} ended: ${this.#output}`);
      const answer = await this.call({ path: "/readyz" }).catch(() => undefined);
      return answer?.status === 200;
    };
    await until(`${NAME} is ready`, isReady, 110_000).catch((e: unknown) => {
      throw new Error(this.#output, { cause: e });
    });
  }

  /** SIGKILL; returns when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async close(): Promise<void> {
    await this.kill();
    await this.etcd.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Content of a kubeconfig file; the administrator's unless there is another user. */
  kubeconfig(user?: object, server = this.url): string {
    const { ca, clientCert, clientKey } = this.#certificates;
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server, "certificate-authority": ca } }],
      users: [{ name: "u", user: user ?? { "client-certificate": clientCert, "client-key": clientKey } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "kube-system" } }],
      "current-context": "x",
    });
  }

  /** Any answer counts as one. */
  async call({ method = "GET", path, body, contentType, token }: ApiCall): Promise<ApiAnswer> {
    const { ca, clientCert, clientKey } = this.#certificates;
    const who = token === undefined ? { cert: readFileSync(clientCert), key: readFileSync(clientKey) } : {};
    const sent = request(`${this.url}${path}`, {
      method,
      agent: false,
      ca: readFileSync(ca),
      ...who,
      headers: {
        accept: "application/json",
        ...(body !== undefined && { "content-type": contentType ?? "application/json" }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
    let text = "";
    for await (const chunk of response) text += String(chunk);
    const parsed: unknown = text.startsWith("{") ? JSON.parse(text) : { text };
    return { status: response.statusCode ?? 0, body: parsed as ApiAnswer["body"] };
  }

  /** As {@link call}; fails unless it was done. */
  async done(call: ApiCall): Promise<ApiAnswer["body"]> {
    const { status, body } = await this.call(call);
    if (status >= 200 && status < 300) return body;
    throw new Error(`${call.method ?? "GET"} ${call.path}: ${status} ${String(body["message"] ?? body["text"])}`);
  }

  /** Server-side apply: makes it, or makes it so. `dryRun` only tries. */
  async apply(object: ApiObject, dryRun = false): Promise<ApiAnswer["body"]> {
    const query = `?fieldManager=test&force=true${dryRun ? "&dryRun=All&fieldValidation=Strict" : ""}`;
    const contentType = "application/apply-patch+yaml"; // JSON is YAML
    return this.done({ method: "PATCH", path: pathOf(object) + query, body: object, contentType });
  }

  async delete(object: ApiObject): Promise<void> {
    await this.done({ method: "DELETE", path: `${pathOf(object)}?gracePeriodSeconds=0` });
    if (object.kind !== "Namespace") return;
    // What a controller does otherwise: nothing is in it any more.
    const left = await this.done({ path: pathOf(object) });
    const body = { ...left, spec: { finalizers: [] } };
    await this.done({ method: "PUT", path: `${pathOf(object)}/finalize`, body });
  }

  /** A token of a service account, as the kubelet gets it for a pod. */
  async tokenOf(namespace: string, name: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 600 } };
    const { status } = (await this.done({ method: "POST", path, body })) as { status?: { token?: string } };
    if (status?.token === undefined) throw new Error("no token");
    return status.token;
  }

  /** Has etcd forget its history, as the API server has it do every five minutes. */
  compact(): void {
    const etcdctl = (...args: string[]) =>
      execFileSync(ETCDCTL, ["--endpoints", this.etcd.endpoint, ...args], {
        env: { ...process.env, ETCDCTL_API: "3" },
        encoding: "utf8",
      });
    const status = JSON.parse(etcdctl("endpoint", "status", "-w", "json")) as [
      { Status: { header: { revision: number } } },
    ];
    etcdctl("compaction", "--physical", String(status[0].Status.header.revision));
  }

  async writeKubeconfig(file: string, user?: object, server?: string): Promise<string> {
    await writeFile(file, this.kubeconfig(user, server), { mode: 0o600 });
    return file;
  }
}

const PLURALS: Readonly<Record<string, string>> = {
  ClusterNetworkPolicy: "clusternetworkpolicies",
  NetworkPolicy: "networkpolicies",
};
const WITHOUT_NAMESPACE: ReadonlySet<string> = new Set([
  "ClusterNetworkPolicy",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "Namespace",
  "Node",
  "PriorityClass",
  "ServiceCIDR",
]);

/** Where an object is to be found. */
export function pathOf({ apiVersion = "", kind = "", metadata }: ApiObject): string {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  const within = WITHOUT_NAMESPACE.has(kind) ? "" : `/namespaces/${metadata.namespace ?? "default"}`;
  return `${group}${within}/${plural}/${metadata.name}`;
}
