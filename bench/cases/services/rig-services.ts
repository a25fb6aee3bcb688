import { setTimeout as delay } from "node:timers/promises";
import { decodeK8s } from "../../../src/models/k8s/codecs.ts";
import type { ApiObject } from "../../../test/support/k8s/fake-api-server.ts";
import type { AgentNode } from "../../rig/agent-node.ts";
import type { ReflectedObject } from "../../rig/objects.ts";
import type { Rig } from "../../rig/rig.ts";
import { clusterOf, LARGE, sliceOf, stored } from "./objects.ts";

/** To ask for status costs an agent with 10,000 services a tenth of a second. */
const POLL_MS = 1500;
const GIVE_UP_MS = 60_000;
/** What has been planned is in force. */
const REST_MS = 1000;

/** The services that a rig's agents know: as many as are wanted, the first of which leads to pods that answer. */
export class RigServices {
  readonly #rig: Rig;
  readonly #node: AgentNode;
  readonly #addresses: readonly string[];
  #objects: readonly ReflectedObject[] = [];
  #count = 0;

  /** `node`: whose agent is waited for. */
  constructor(rig: Rig, node: AgentNode, addresses: readonly string[]) {
    this.#rig = rig;
    this.#node = node;
    this.#addresses = addresses;
  }

  /** Makes and removes services until there are so many; returns when all is in force. @throws unless it is in time */
  async become(count: number): Promise<void> {
    if (count === this.#count) return;
    const wanted = count === 0 ? [] : this.#cluster(count);
    const [more, less] = [wanted.slice(this.#objects.length), this.#objects.slice(wanted.length)];
    await this.#rig.objects.write(more);
    await this.#rig.objects.erase(less);
    this.#objects = wanted;
    this.#count = count;
    for (const end = performance.now() + GIVE_UP_MS; ; ) {
      await delay(POLL_MS);
      // An agent that has much to do answers late.
      const { services, missing } = await this.#node.services().catch(() => ({ services: Number.NaN, missing: [] }));
      if (services === count && missing.length === 0) break;
      const known = `the agent has ${services} services, ${missing.length} items not in place`;
      if (performance.now() > end) throw new Error(known);
    }
    await delay(REST_MS);
  }

  /** What is about the node is the rig's own. */
  #cluster(count: number): ReflectedObject[] {
    const objects: ApiObject[] = [];
    for (const [plural, object] of clusterOf({ ...LARGE, services: count })) {
      if (plural !== "nodes") objects.push(object);
    }
    return objects.map((object) => {
      const isFirst = object.kind === "EndpointSlice" && object.metadata["uid"] === "slice-0";
      return reflected(isFirst ? sliceOf(0, this.#addresses) : object);
    });
  }
}

/** An object as the rig's store takes it. */
function reflected(object: ApiObject): ReflectedObject {
  return decodeK8s(...stored(object)) as ReflectedObject;
}
