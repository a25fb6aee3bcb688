import { EmbeddedStore } from "../../src/stores/embedded/embedded-store.ts";
import { serveEmbedded } from "../../src/stores/embedded/server.ts";

// Run as a process: embedded-server.ts SOCKET DIR HISTORY. Writes "ready" and serves until it is killed.
const [, , socket = "", dir = "", history = "1000"] = process.argv;
const store = await EmbeddedStore.open({ dir, historyLength: Number(history) });
await serveEmbedded(store, socket);
process.stdout.write("ready\n");
