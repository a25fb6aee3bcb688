import { join } from "node:path";
import type { InterfaceOwner } from "../../../src/dataplane/api.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { VppStatistics } from "../../../src/dataplane/vpp/stats/statistics.ts";
import { renderMetrics } from "../../../src/kvscheduler/introspect/metrics.ts";
import { VPP_BINARY } from "../../../test/support/vpp/real-vpp.ts";
import { atMost, type Figure } from "../../figure.ts";
import { withBareVpp } from "../../rig/bare-vpp.ts";
import { median, quantile, rounded } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";

const INTERFACES = 500;
const WARM_UP = 50;
const NO_MAC = "00:00:00:00:00:00";
const NAME = `VPP's statistics as metrics, ${INTERFACES} interfaces`;

/** What a scrape costs the agent: the segment read and written as Prometheus' text, all interfaces being pods'. */
export const vppStats: BareCase = {
  name: "vpp-stats",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    const target = atMost(5);
    if (VPP_BINARY === undefined || process.getuid?.() !== 0) {
      return [{ name: NAME, unit: "ms", value: Number.NaN, target, samples: 0 }];
    }
    progress(`VPP's statistics with ${INTERFACES} interfaces`);
    return withBareVpp(async ({ socket, apiDirectory, directory }) => {
      await using client = await VppClient.open({ socket, apiDirectory, name: "bench" });
      const owners = new Map<string, InterfaceOwner>();
      const names = new Map<number, string>();
      for (let i = 0; i < INTERFACES; i++) {
        const input = { mac_address: NO_MAC, is_specified: true, user_instance: i };
        names.set((await client.request("create_loopback_instance", input)).sw_if_index, `hd${i}`);
        owners.set(`hd${i}`, { namespace: "bench", pod: `pod-${i}`, interface: "eth0" });
      }
      using statistics = new VppStatistics({
        socket: join(directory, "stats.sock"),
        nameOf: (index) => names.get(index),
      });
      const times: number[] = [];
      let text = "";
      for (let i = -WARM_UP; i < (quick ? 50 : 500); i++) {
        const from = performance.now();
        text = renderMetrics(await statistics.families(owners));
        if (i >= 0) times.push(performance.now() - from);
      }
      const series = text.match(/^heddle_vpp_interface_drops_total\{.*pod="/gm)?.length ?? 0;
      return [
        {
          name: NAME,
          unit: "ms",
          value: median(times),
          target,
          samples: times.length,
          wrong: series === INTERFACES ? [] : [`${series} interfaces are in the text`],
          notes: { p99: rounded(quantile(times, 0.99)), "bytes of text": text.length },
        },
      ];
    });
  },
};
