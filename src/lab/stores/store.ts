import { mkdirSync } from "node:fs";
import { LabError } from "../errors.ts";
import { underlayPlan } from "../net/plan.ts";
import { type Executables, type LabPaths, which } from "../paths.ts";
import type { DaemonSpec } from "../process/daemon.ts";
import type { StoreChoice, StoreRecord } from "../state/state.ts";

const ETCD_URL = `http://${underlayPlan.router.v4}:2379`;

export interface ChosenStore {
  readonly record: StoreRecord;
  /** Path of the etcd program, when that is the store. */
  readonly etcd?: string;
  /** What to tell the person when it is not what they would expect. */
  readonly note?: string;
}

/**
 * Decides which store runs. One that was asked for and can't run is an error; `auto` takes etcd where it is installed.
 * The program is `etcd` from the PATH, or what HEDDLE_ETCD names.
 */
export function chooseStore(choice: StoreChoice, paths: LabPaths, env: NodeJS.ProcessEnv = process.env): ChosenStore {
  const embedded: StoreRecord = { kind: "embedded", endpoints: [paths.storeSocket] };
  if (choice === "embedded") return { record: embedded };
  const wanted = env["HEDDLE_ETCD"] ?? "etcd";
  const etcd = which(wanted, env["PATH"]);
  if (etcd !== undefined) return { record: { kind: "etcd", endpoints: [ETCD_URL] }, etcd };
  const missing = `no etcd was found (${wanted}; Debian: apt-get install etcd-server)`;
  if (choice === "etcd") throw new LabError("CANNOT_RUN", `${missing}; --store embedded needs none`);
  return { record: embedded, note: `${missing}: using the embedded store` };
}

/** Role of the store's process in the ledger. */
export const storeRole = (store: StoreRecord): string => (store.kind === "etcd" ? "etcd" : "store-serve");

/** The process that serves the store. */
export function storeDaemon(
  labId: string,
  chosen: Pick<ChosenStore, "record" | "etcd">,
  paths: LabPaths,
  fabric: string,
  executables: Executables,
): DaemonSpec {
  mkdirSync(paths.store, { recursive: true, mode: 0o700 });
  const common = { labId, role: storeRole(chosen.record), logFile: paths.storeLog };
  if (chosen.record.kind === "embedded") {
    const argv = [...executables.heddlectl, "lab", "store-serve", "--dir", paths.store, "--socket", paths.storeSocket];
    return { ...common, argv };
  }
  const peer = "http://127.0.0.1:2380"; // the fabric's own loopback; etcd insists on one even when it is alone
  return {
    ...common,
    netns: fabric,
    // Debian's etcd 3.4 refuses to start on architectures it has not been tested on unless told so.
    ...(process.arch === "arm64" ? { env: { ETCD_UNSUPPORTED_ARCH: "arm64" } } : {}),
    argv: [
      chosen.etcd ?? "etcd",
      ...flags({
        name: "hd",
        "data-dir": paths.store,
        "listen-client-urls": ETCD_URL,
        "advertise-client-urls": ETCD_URL,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": `hd=${peer}`,
        logger: "zap",
        "log-outputs": "stderr",
      }),
    ],
  };
}

const flags = (values: Readonly<Record<string, string>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
