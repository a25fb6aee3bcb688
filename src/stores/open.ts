import type { Clock } from "../base/clock/clock.ts";
import { type Store, StoreError } from "./api/store.ts";
import type { EtcdLog, EtcdStoreOptions } from "./etcd/etcd-store.ts";

/** As in the configuration file. */
export type StoreConfig =
  | {
      readonly kind: "etcd";
      readonly endpoints: readonly string[];
      readonly tls?: EtcdStoreOptions["tls"];
      readonly auth?: EtcdStoreOptions["auth"];
    }
  | { readonly kind: "embedded"; readonly socket?: string | undefined; readonly dir?: string | undefined };

export interface OpenStoreDeps {
  readonly clock: Clock;
  readonly log?: EtcdLog;
  /** Where an embedded store lies whose configuration names neither socket nor directory. */
  readonly defaultDir?: string;
}

/**
 * Opens the store that the configuration names. Needs no server to be there. Each implementation is loaded only when it
 * is chosen: etcd's client takes 130 ms and 37 MB.
 * @throws StoreError `INVALID` or `UNAUTHENTICATED` when the configuration can't be used; LocalDbError
 */
export async function openStore(config: StoreConfig, deps: OpenStoreDeps): Promise<Store> {
  const { clock, log } = deps;
  if (config.kind === "etcd") {
    const { EtcdStore } = await import("./etcd/etcd-store.ts");
    const { endpoints, tls, auth } = config;
    return EtcdStore.open({ endpoints, tls, auth, clock, ...(log && { log }) });
  }
  const { socket, dir = deps.defaultDir } = config;
  if (socket !== undefined && config.dir !== undefined) {
    throw new StoreError("INVALID", "embedded store: give the socket of a server or a directory, not both");
  }
  if (socket !== undefined) {
    const { EmbeddedClient } = await import("./embedded/client.ts");
    return EmbeddedClient.open({ socket, clock, onError: (err) => log?.warn({ err }, "embedded store client") });
  }
  if (dir === undefined) throw new StoreError("INVALID", "embedded store: neither socket nor dir is configured");
  const { EmbeddedStore } = await import("./embedded/embedded-store.ts");
  return EmbeddedStore.open({ dir, clock });
}
