import { list, mapping } from "../convert/members.ts";
import type { Resource } from "../resources.ts";
import { type KubeClient, KubeError } from "./client.ts";

/** Whether the cluster has a resource. Rejects with {@link KubeError} when the server doesn't say. */
export async function isServed(client: KubeClient, resource: Resource, signal: AbortSignal): Promise<boolean> {
  try {
    // {"kind": "APIResourceList", "resources": [{"name": "servicecidrs", "namespaced": false, "verbs": […]}, …]}
    const { resources } = mapping(await client.json({ path: resource.group, signal }));
    return list(resources).some((r) => mapping(r)["name"] === resource.plural);
  } catch (e) {
    if (e instanceof KubeError && e.code === "NOT_FOUND") return false; // not even the group
    throw e;
  }
}
