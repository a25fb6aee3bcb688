import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { findExecutables, which } from "../../../src/lab/paths.ts";
import { logTail } from "../../../src/lab/process/daemon.ts";
import { type ExecResult, exec, execOk } from "../../../src/lab/process/exec.ts";
import { until } from "../until.ts";
import { janitor } from "./janitor.ts";

/** Why containerd can't be tried here; undefined if it can. */
export function whyNoContainerd(): string | undefined {
  const missing = ["containerd", "containerd-shim-runc-v2", "runc", "ctr", "busybox"].filter(
    (p) => which(p) === undefined,
  );
  return missing.length > 0 ? `needs ${missing.join(", ")} (Debian: containerd, runc, busybox-static)` : undefined;
}

const IMAGE = "heddle.test/busybox:1";
const APPLETS = ["sh", "sleep", "ping", "nc", "ip", "cat", "true"];

/**
 * Debian's containerd with a root, state and mount namespace of its own: in there /etc, /opt, /run and /var/lib are empty
 * but for what the test puts there, so that `ctr run --cni` finds our configuration in the usual places and this machine's
 * are left alone.
 */
export class Containerd implements AsyncDisposable {
  readonly #dir: string;
  /** Namespace of containerd, also the parent of its containers' cgroups. */
  readonly #namespace: string;
  readonly #child: ChildProcess;
  readonly #runs = new Set<ChildProcess>();

  private constructor(dir: string, namespace: string, child: ChildProcess) {
    this.#dir = dir;
    this.#namespace = namespace;
    this.#child = child;
  }

  /** `dir` is somebody else's to remove. `conflist` becomes /etc/cni/net.d/10-heddle.conflist. */
  static async start(dir: string, namespace: string, conflist: object): Promise<Containerd> {
    for (const name of ["root", "cni"]) mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, "cni", "10-heddle.conflist"), JSON.stringify(conflist));
    copyFileSync(findExecutables().cni, join(dir, "cni", "heddle"));
    writeFileSync(
      join(dir, "config.toml"),
      `version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.tracing"]\n`,
    );
    const script = `set -e
for at in /etc /opt /run /var/lib; do mount -t tmpfs tmpfs $at; done
mkdir -p /etc/cni/net.d /opt/cni/bin
cp ${dir}/cni/10-heddle.conflist /etc/cni/net.d/
cp ${dir}/cni/heddle /opt/cni/bin/
exec containerd --config ${dir}/config.toml --root ${dir}/root --state /run/containerd --address ${dir}/c.sock \\
  >>${dir}/containerd.log 2>&1`;
    const child = spawn(which("unshare") ?? "", ["--mount", "--propagation", "private", "sh", "-c", script], {
      stdio: "ignore",
    });
    janitor.process(child);
    const containerd = new Containerd(dir, namespace, child);
    try {
      await until("containerd answers", async () => {
        if (child.exitCode !== null) throw new Error(`containerd ended: ${logTail(join(dir, "containerd.log"))}`);
        return (await containerd.ctr("version")).code === 0;
      });
      await containerd.#importImage();
      return containerd;
    } catch (e) {
      await containerd.close();
      throw e;
    }
  }

  #ctrCommand(...words: readonly string[]): string[] {
    const inside = ["nsenter", `--mount=/proc/${this.#child.pid}/ns/mnt`, "--"];
    return [...inside, "ctr", "--address", join(this.#dir, "c.sock"), "--namespace", this.#namespace, ...words];
  }

  /** `ctr …` to its end, whatever comes of it. */
  ctr(...words: readonly string[]): Promise<ExecResult> {
    return exec(this.#ctrCommand(...words), { timeoutMs: 20_000 });
  }

  /** `ctr run --cni` in the foreground: it executes ADD, waits for the container's end, then executes DEL. */
  run(id: string, ...command: readonly string[]): { readonly id: string; readonly ended: Promise<ExecResult> } {
    const words = ["run", "--rm", "--cni", "--snapshotter", "native", IMAGE, id, ...command];
    const [file = "", ...args] = this.#ctrCommand(...words);
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#runs.add(child);
    janitor.process(child);
    const [stdout, stderr]: [string[], string[]] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk.toString()));
    const ended = new Promise<ExecResult>((resolve) =>
      child.on("close", (code) => {
        this.#runs.delete(child);
        janitor.processEnded(child);
        resolve({ code, stdout: stdout.join(""), stderr: stderr.join("") });
      }),
    );
    return { id, ended };
  }

  /** Runs a command in a running container. */
  exec(id: string, ...command: readonly string[]): Promise<ExecResult> {
    return this.ctr("task", "exec", "--exec-id", `e${process.hrtime.bigint()}`, id, ...command);
  }

  /** An image of one layer, busybox, in the OCI layout (image-spec, image-layout.md), as a tar archive. */
  async #importImage(): Promise<void> {
    const layout = join(this.#dir, "image");
    const bin = join(this.#dir, "rootfs", "bin");
    const blobs = join(layout, "blobs", "sha256");
    for (const dir of [bin, blobs]) mkdirSync(dir, { recursive: true });
    cpSync(which("busybox") ?? "", join(bin, "busybox"));
    for (const applet of APPLETS) symlinkSync("busybox", join(bin, applet));
    const layerFile = join(this.#dir, "layer.tar");
    await execOk(["tar", "-C", join(this.#dir, "rootfs"), "-cf", layerFile, "."]);
    const add = (mediaType: string, content: Buffer) => {
      const digest = createHash("sha256").update(content).digest("hex");
      writeFileSync(join(blobs, digest), content);
      return { mediaType, digest: `sha256:${digest}`, size: content.length };
    };
    const json = (value: unknown) => Buffer.from(JSON.stringify(value));
    const layer = add("application/vnd.oci.image.layer.v1.tar", readFileSync(layerFile));
    const config = add(
      "application/vnd.oci.image.config.v1+json",
      json({
        architecture: process.arch === "x64" ? "amd64" : process.arch,
        os: "linux",
        config: { Env: ["PATH=/bin"] },
        rootfs: { type: "layers", diff_ids: [layer.digest] },
      }),
    );
    const manifestType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = add(manifestType, json({ schemaVersion: 2, mediaType: manifestType, config, layers: [layer] }));
    const annotations = { "io.containerd.image.name": IMAGE };
    writeFileSync(join(layout, "index.json"), json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }));
    writeFileSync(join(layout, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
    const archive = join(this.#dir, "image.tar");
    await execOk(["tar", "-C", layout, "-cf", archive, "."]);
    await execOk(this.#ctrCommand("image", "import", "--snapshotter", "native", archive));
  }

  async close(): Promise<void> {
    const tasks = (await this.ctr("task", "ls", "-q")).stdout.split("\n").filter((id) => id !== "");
    for (const id of tasks) await this.ctr("task", "rm", "--force", id);
    for (const run of this.#runs) run.kill("SIGKILL");
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
      await ended;
    }
    janitor.processEnded(this.#child);
    this.#removeCgroups();
  }

  /** runc leaves the directory above its containers' cgroups. */
  #removeCgroups(): void {
    for (const controller of readdirSync("/sys/fs/cgroup")) {
      try {
        rmdirSync(join("/sys/fs/cgroup", controller, this.#namespace));
      } catch {
        // it made none there
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
