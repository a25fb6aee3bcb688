import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { packageFile } from "../base/files/package-file.ts";
import { type VppPaths, vppPaths } from "../dataplane/vpp/supervisor/startup-conf.ts";
import { LabError } from "./errors.ts";
import type { NodeRecord } from "./state/state.ts";

/** sizeof(sockaddr_un.sun_path) − 1 for the closing NUL, unix(7). */
const MAX_SOCKET_PATH = 107;

/** Where a lab keeps what, under its state directory. */
export class LabPaths {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  get state(): string {
    return join(this.dir, "lab.json");
  }
  get nodes(): string {
    return join(this.dir, "nodes");
  }
  get store(): string {
    return join(this.dir, "store");
  }
  get storeLog(): string {
    return join(this.dir, "store.log");
  }
  get storeSocket(): string {
    return join(this.dir, "store.sock");
  }
  /** Of the objects that stand in for a Kubernetes API. */
  get manifests(): string {
    return join(this.dir, "manifests");
  }
  get ksrConfig(): string {
    return join(this.dir, "ksr.yaml");
  }
  get ksrLog(): string {
    return join(this.dir, "ksr.log");
  }
  node(name: string): NodePaths {
    return new NodePaths(join(this.nodes, name));
  }
  /** Everything that `down` removes from the directory, the ledger last. */
  owned(): string[] {
    const { nodes, manifests, ksrConfig, ksrLog, store, storeLog, storeSocket, state } = this;
    return [nodes, manifests, ksrConfig, ksrLog, store, storeLog, storeSocket, state];
  }

  /** Rejects a directory so deep that the sockets in it could not be bound. */
  assertSocketsFit(nodes: readonly Pick<NodeRecord, "dataplane" | "name">[]): void {
    const sockets = nodes.flatMap(({ name, dataplane }) => {
      const { cniSocket, vpp } = this.node(name);
      return dataplane === "vpp" ? [cniSocket, vpp.api, vpp.cli, vpp.stats] : [cniSocket];
    });
    for (const path of [this.storeSocket, ...sockets]) {
      if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
        throw new LabError("USAGE", `the state directory is too deep: ${path} is longer than ${MAX_SOCKET_PATH} bytes`);
      }
    }
  }
}

export class NodePaths {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }
  get config(): string {
    return join(this.dir, "agent.yaml");
  }
  get log(): string {
    return join(this.dir, "agent.log");
  }
  get stateDir(): string {
    return join(this.dir, "state");
  }
  get runDir(): string {
    return join(this.dir, "run");
  }
  get cniSocket(): string {
    return join(this.runDir, "cni.sock");
  }
  /** Of the VPP that the node's agent runs, if that is its dataplane. */
  get vpp(): VppPaths {
    return vppPaths(join(this.runDir, "vpp"));
  }
  get cniConf(): string {
    return join(this.dir, "cni", "10-heddle.conflist");
  }
  /** Results of ADD by container id, as libcni keeps them, for CHECK and DEL. */
  get cniCache(): string {
    return join(this.dir, "cni-cache");
  }
}

/** The programs that a lab runs. */
export interface Executables {
  /** `[program, ...args]`; ` --config FILE` is appended. */
  readonly agent: readonly string[];
  /** `[program, ...args]`; ` --config FILE` is appended. */
  readonly ksr: readonly string[];
  /** The CNI plugin. */
  readonly cni: string;
  readonly probe: string;
  /** `[program, ...args]` of this tool, for the process that serves an embedded store. */
  readonly heddlectl: readonly string[];
}

const root = (): string => dirname(packageFile("package.json") ?? "/package.json");

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Built executables where there are some, else the sources. Overrides are for tests. */
export function findExecutables(overrides: Partial<Executables> = {}): Executables {
  const base = root();
  const bin = (name: string): string => join(base, "dist", "bin", name);
  const program = (name: string, main: string): readonly string[] =>
    isExecutable(bin(name)) ? [bin(name)] : [process.execPath, join(base, main)];
  return {
    agent: overrides.agent ?? program("heddle-agent", "cmd/vswitch-agent/main.ts"),
    ksr: overrides.ksr ?? program("heddle-ksr", "cmd/ksr/main.ts"),
    cni: overrides.cni ?? bin("heddle"),
    probe: overrides.probe ?? bin("hdprobe"),
    heddlectl: overrides.heddlectl ?? program("heddlectl", "cmd/heddlectl/main.ts"),
  };
}

/** Looks a program up as a shell would, `sbin` directories included. */
export function which(name: string, path = process.env["PATH"] ?? ""): string | undefined {
  if (name.includes("/")) return isExecutable(name) ? name : undefined;
  const dirs = [...path.split(delimiter).filter((d) => d !== ""), "/usr/sbin", "/sbin", "/usr/local/bin"];
  return dirs.map((d) => join(d, name)).find((p) => isExecutable(p));
}
