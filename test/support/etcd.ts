import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const ETCD = "/usr/bin/etcd";

/** Why tests with a real etcd can't run here; undefined if they can. */
export const noEtcd: string | undefined = existsSync(ETCD)
  ? undefined
  : `${ETCD} (Debian's etcd-server) is not installed`;

/** Files (PEM) of a throw-away authority, a server and a client. */
export interface TestCertificates {
  readonly ca: string;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly clientCert: string;
  readonly clientKey: string;
}

export interface EtcdOptions {
  /** Network namespace (a name under /var/run/netns) in which it runs. */
  readonly netns?: string;
  /** Address it listens on; 127.0.0.1 if absent. */
  readonly address?: string;
  /** For clients; a free one if absent. */
  readonly clientPort?: number;
  /** Serves TLS, and wants client certificates of the same authority. */
  readonly tls?: TestCertificates;
}

/** A single etcd in a process of its own, with its data in a temporary directory. */
export class TestEtcd implements AsyncDisposable {
  readonly #options: EtcdOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), "hdetcd-"));
  readonly #address: string;
  readonly clientPort: number;
  readonly #peerPort: number;
  #process: ChildProcess | undefined;
  #output = "";

  private constructor(options: EtcdOptions, clientPort: number, peerPort: number) {
    this.#options = options;
    this.#address = options.address ?? "127.0.0.1";
    this.clientPort = clientPort;
    this.#peerPort = peerPort;
  }

  get dataDir(): string {
    return join(this.#dir, "data");
  }

  get endpoint(): string {
    return `${this.#options.tls ? "https" : "http"}://${this.#address}:${this.clientPort}`;
  }

  /** Of the running process. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    const { tls, netns } = this.#options;
    const peer = `http://${this.#address}:${this.#peerPort}`;
    const client = this.endpoint;
    const args = ["--name", "test", "--data-dir", this.dataDir, "--log-level", "warn"];
    args.push("--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer);
    args.push("--initial-advertise-peer-urls", peer, "--initial-cluster", `test=${peer}`);
    if (tls) {
      args.push("--cert-file", tls.serverCert, "--key-file", tls.serverKey);
      args.push("--trusted-ca-file", tls.ca, "--client-cert-auth");
    }
    const [command, ...rest] = netns === undefined ? [ETCD, ...args] : ["ip", "netns", "exec", netns, ETCD, ...args];
    const child = spawn(command, rest, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    this.#output = "";
    child.stderr.on("data", (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-4000)));
    let exited = false;
    child.once("exit", () => (exited = true));
    for (const end = performance.now() + 60_000; ; ) {
      if (exited) throw new Error(`etcd ended: ${this.#output}`);
      if (await this.#healthy()) return;
      if (performance.now() > end) throw new Error(`etcd not healthy within 60 s: ${this.#output}`);
    }
  }

  /** By curl, so that nothing of what is tested takes part. */
  async #healthy(): Promise<boolean> {
    const { tls } = this.#options;
    const files = tls ? ["--cacert", tls.ca, "--cert", tls.clientCert, "--key", tls.clientKey] : [];
    const curl = ["-sf", "-m", "2", "--retry", "0", ...files, `${this.endpoint}/health`];
    const netns = this.#options.netns;
    const [command, ...args] =
      netns === undefined ? ["curl", ...curl] : ["ip", "netns", "exec", netns, "curl", ...curl];
    try {
      return (await promisify(execFile)(command, args)).stdout.includes("true");
    } catch {
      return false;
    }
  }

  /** SIGKILL; returns when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** While it is down. */
  wipe(): void {
    rmSync(join(this.#dir, "data"), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  static async start(options: EtcdOptions = {}): Promise<TestEtcd> {
    const etcd = new TestEtcd(options, options.clientPort ?? (await freePort()), await freePort());
    try {
      await etcd.start();
      return etcd;
    } catch (e) {
      await etcd.close();
      throw e;
    }
  }
}

export const startEtcd = (options?: EtcdOptions): Promise<TestEtcd> => TestEtcd.start(options);

/** A port of the loopback that was free just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Makes certificates by openssl in `dir`. The server's holds for 127.0.0.1; the client's common name is `client`. */
export function makeCertificates(dir: string, client = "root"): TestCertificates {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "ignore" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority");
  const issue = (name: string, commonName: string, extensions: string) => {
    writeFileSync(join(dir, `${name}.ext`), extensions);
    openssl("req", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${commonName}`);
    const ca = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...ca,
      "-out",
      `${name}.crt`,
      "-days",
      "2",
      "-extfile",
      `${name}.ext`,
    );
  };
  issue("server", "etcd", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
  issue("client", client, "extendedKeyUsage=clientAuth\n");
  const file = (name: string) => join(dir, name);
  return {
    ca: file("ca.crt"),
    serverCert: file("server.crt"),
    serverKey: file("server.key"),
    clientCert: file("client.crt"),
    clientKey: file("client.key"),
  };
}
