// Our side of the comparison, in a process of its own: child.ts FILE
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { type Cidr, cidrContains, parseCidr } from "../../../../src/base/ip/cidr.ts";
import { PolicyRenderer } from "../../../../src/dataplane/vpp/policy/renderer.ts";
import { toNamespace, toPod } from "../../../../src/ksr/convert/cluster.ts";
import { toNetworkPolicy } from "../../../../src/ksr/convert/policies.ts";
import type { PolicyInput, PolicyItem } from "../../../../src/policy/api.ts";
import { PolicyEngine } from "../../../../src/policy/engine.ts";
import type { ComparedData, KubeObject } from "./objects.ts";

/** Of the changes: code is being compiled. What is from scratch has none: an agent that starts has none either. */
const WARM_UP = 1 / 3;

/** What is compared: the engine, and the renderer of VPP's lists, whose items nobody takes. */
class Side {
  readonly #engine = new PolicyEngine();
  readonly #renderer = new PolicyRenderer(() => ({
    addresses: [],
    podCIDRs: [],
    linkAddresses: [],
    uplinks: [],
    inner: [],
  }));

  /** From nothing, as when an agent starts. */
  begin(inputs: readonly PolicyInput[]): readonly PolicyItem[] {
    this.#engine.apply(inputs);
    return this.all();
  }

  change(inputs: readonly PolicyInput[]): readonly PolicyItem[] {
    return [...this.#renderer.renderPolicyChanges(this.#engine.apply(inputs), this.#engine)];
  }

  all(): readonly PolicyItem[] {
    return [...this.#renderer.renderPolicies(this.#engine.rows())];
  }
}

function inputsOf(object: KubeObject, node: Cidr): PolicyInput[] {
  switch (object.kind) {
    case "Namespace": {
      const namespace = toNamespace(object);
      return [{ kind: "namespace", at: namespace, object: namespace }];
    }
    case "NetworkPolicy": {
      const policy = toNetworkPolicy(object);
      return [{ kind: "networkpolicy", at: policy, object: policy }];
    }
    case "Pod": {
      const pod = toPod(object);
      const input: PolicyInput = { kind: "pod", at: pod, object: pod };
      if (!pod.ips.some((ip) => cidrContains(node, ip))) return [input];
      const { namespace, name, uid, ips } = pod;
      const id = `${namespace}/${name}`;
      return [input, { kind: "local", id, object: { id, namespace, name, uid, ips } }];
    }
  }
}

const [path = ""] = process.argv.slice(2);
const data = JSON.parse(readFileSync(path, "utf8")) as ComparedData;
const node = parseCidr(data.podCIDR);
const inputs = data.objects.flatMap((object) => inputsOf(object, node));
const changes = data.changes.map(({ case: name, before, after }) => {
  const input: PolicyInput = { kind: "pod", at: toPod(after ?? before), object: after && toPod(after) };
  return { name, inputs: [input] };
});

const side = new Side();
const cpu = process.cpuUsage();
const begun = side.begin(inputs);
const { user, system } = process.cpuUsage(cpu);
const samples: Record<string, number[]> = { scratch: [(user + system) / 1000] };

const inForce = new Map(begun.map(({ key, value }) => [key, value]));
const take = (items: readonly PolicyItem[]): void => {
  for (const { key, value } of items) {
    if (value === undefined) inForce.delete(key);
    else inForce.set(key, value);
  }
};
for (const [i, { name, inputs: changed }] of changes.entries()) {
  const begin = performance.now();
  const items = side.change(changed);
  const took = performance.now() - begin;
  if (i >= changes.length * WARM_UP) (samples[name] ??= []).push(took);
  take(items);
}
take(side.change([])); // lists that nothing uses any more go with the next change
const isSame = isDeepStrictEqual(inForce, new Map(side.all().map(({ key, value }) => [key, value])));
const wrong = isSame ? [] : ["what the changes led to is not what is rendered from scratch"];
process.stdout.write(`${JSON.stringify({ samples, wrong })}\n`);
