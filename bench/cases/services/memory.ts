import { setTimeout as delay } from "node:timers/promises";
import { atMost, type Figure } from "../../figure.ts";
import { rounded } from "../../stats.ts";
import type { Case, CaseContext } from "../case.ts";
import { largePolicies, withLocalPods } from "../policy/pods.ts";
import { LARGE } from "./objects.ts";
import { RigServices } from "./rig-services.ts";

/** What an agent needs for a large cluster with many services, while it compares the kernel with it, and when it has started again. */
export const servicesMemory: Case = {
  name: "services-memory",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const node = rig.first;
    progress(`an agent with ${LARGE.services} services and policies`);
    const notes: Record<string, string> = {};
    const most: number[] = [];
    const observe = async (what: string, seconds: number): Promise<void> => {
      let highest = 0;
      for (let i = 0; i < (quick ? 2 : seconds * 4); i++) {
        await delay(250);
        highest = Math.max(highest, node.memory().now);
      }
      notes[what] = rounded(highest);
      most.push(highest);
    };
    const wrong = await withLocalPods(rig, quick, async () => {
      const services = new RigServices(rig, node, []);
      const policies = largePolicies();
      await rig.objects.write(policies);
      await observe("with policies", 10);
      await services.become(LARGE.services);
      await observe("with services", 15);
      notes["most until then"] = rounded(node.memory().peak);
      for (let i = 0; i < (quick ? 1 : 3); i++) await node.compare();
      await observe("after comparisons", 10);
      notes["most until then, too"] = rounded(node.memory().peak);
      await node.kill();
      await node.start();
      await observe("started again", 15);
      notes["most since"] = rounded(node.memory().peak);
      await services.become(0);
      await rig.objects.erase(policies);
    });
    return [
      {
        name: `agent's memory with ${LARGE.services} services beside 10,000 pods and 1,000 policies`,
        unit: "MiB",
        value: Math.max(...most),
        target: atMost(350),
        samples: most.length,
        wrong,
        notes,
      },
    ];
  },
};
