import type { Descriptor, KeyValue } from "../../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../../src/kvscheduler/scheduler.ts";
import { InterfaceTable, interfaceKey, interfaces } from "../southbound.ts";
import { passName, Samples, type Took, tidy, timed, type Workload } from "./workload.ts";

interface BridgeDomain {
  readonly name: string;
  readonly interfaces: readonly string[];
}

const MEMBERS = "bench/member/";

/**
 * One transaction of a bridge domain and its interfaces: the bridge domain derives one member for each interface, which
 * depends on that. So N members are 2 N + 1 operations, as in the original's benchmark. Milliseconds.
 */
export const bridge: Workload = async (quick) => {
  const out = new Samples();
  for (let pass = 0; pass < (quick ? 2 : 40); pass++) {
    tidy();
    out.took(passName("bridge-1000", pass, quick), await attach(1000, out));
  }
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    tidy();
    out.took("bridge-10000", await attach(10_000, out));
  }
  return out;
};

async function attach(members: number, out: Samples): Promise<Took> {
  const table = new InterfaceTable();
  const attached = new Set<string>();
  const scheduler = createScheduler();
  for (const d of [table.descriptor, bridgeDomains, bridgeMembers(attached)]) scheduler.register(d);
  const changes: [string, unknown][] = interfaces(members);
  changes.push(["bench/bd/bd-1", { name: "bd-1", interfaces: interfaces(members).map(([, v]) => v.name) }]);
  const took = await timed(() => scheduler.transact({ changes }));
  out.expect(attached.size === members, `bridge-${members}: ${attached.size} members`);
  await scheduler.close();
  return took;
}

const bridgeDomains: Descriptor<BridgeDomain, number> = {
  name: "bridge-domain",
  keyPrefixes: ["bench/bd/"],
  equivalent: () => true, // the members are values of their own
  validate: (_key, value) => {
    if (value.name === "") throw new Error("no name");
  },
  create: async () => 1,
  delete: async () => undefined,
  derived: (_key, value): KeyValue[] =>
    value.interfaces.map((name) => ({ key: `${MEMBERS}${value.name}/${name}`, value: { name } })),
};

function bridgeMembers(attached: Set<string>): Descriptor<{ readonly name: string }, undefined> {
  return {
    name: "bridge-member",
    keyPrefixes: [MEMBERS],
    create: async (key) => {
      attached.add(key);
    },
    delete: async (key) => {
      attached.delete(key);
    },
    dependencies: (_key, value) => [{ label: "interface", key: interfaceKey(value.name) }],
  };
}
