import { EmbeddedStore } from "../../stores/embedded/embedded-store.ts";
import { serveEmbedded } from "../../stores/embedded/server.ts";

/** Serves an embedded store on a Unix socket until SIGTERM or SIGINT: the lab's own store process. */
export async function serveStore(dir: string, socket: string): Promise<void> {
  const store = await EmbeddedStore.open({ dir });
  const server = await serveEmbedded(store, socket);
  await new Promise<void>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve());
  });
  await server.close();
  await store.close();
}
