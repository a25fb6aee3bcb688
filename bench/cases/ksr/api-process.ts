// An API server with the objects of a large cluster, in a process of its own: `api-process.ts PODS`, started with IPC. Sends
// its kubeconfig when it has everything; takes "expire": its history is forgotten, and its watches are told so.
import { FakeApiServer } from "../../../test/support/k8s/fake-api-server.ts";
import { clusterObjects } from "./cluster.ts";

const api = await FakeApiServer.open();
for (const [plural, object] of clusterObjects(Number(process.argv[2]))) api.put(plural, object);
process.on("message", () => {
  api.compact();
  api.expireWatches();
});
process.once("disconnect", () => process.exit());
process.send?.(api.kubeconfig());
