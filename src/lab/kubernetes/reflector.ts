import { stringify } from "yaml";
import type { Executables, LabPaths } from "../paths.ts";
import type { DaemonSpec } from "../process/daemon.ts";
import { writeAtomically } from "../state/ledger.ts";
import type { LabState, StoreRecord } from "../state/state.ts";

/** The reflector listens there, in the fabric's namespace. */
export const KSR_REST = "127.0.0.1:9192";
export const KSR_ROLE = "ksr";

/** The `store` section of a program of the lab. */
export const storeSection = ({ kind, endpoints }: StoreRecord): Record<string, unknown> =>
  kind === "etcd" ? { kind, endpoints } : { kind, socket: endpoints[0] };

/** The process that reflects the lab's manifests into its store. */
export function ksrDaemon(state: LabState, fabric: string, paths: LabPaths, executables: Executables): DaemonSpec {
  const config = { manifests: paths.manifests, store: storeSection(state.store), rest: KSR_REST };
  writeAtomically(paths.ksrConfig, stringify(config));
  return {
    labId: state.id,
    role: KSR_ROLE,
    netns: fabric,
    argv: [...executables.ksr, "--config", paths.ksrConfig],
    logFile: paths.ksrLog,
  };
}
