import { parseIp } from "../../../src/base/ip/address.ts";
import { aclDescriptors } from "../../../src/dataplane/vpp/acl/acl.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { cnatTranslationDescriptor } from "../../../src/dataplane/vpp/cnat/translation.ts";
import { vppRouteDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { type ServiceNodeContext, ServiceRenderer } from "../../../src/dataplane/vpp/services/renderer.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import type { Descriptor, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/index.ts";
import { CNAT_TRANSLATION_PREFIX } from "../../../src/models/vpp/cnat.ts";
import { VPP_ROUTE_PREFIX } from "../../../src/models/vpp/l3.ts";
import type { ServiceInput } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { VPP_BINARY } from "../../../test/support/vpp/real-vpp.ts";
import { atMost, type Figure } from "../../figure.ts";
import { withBareVpp } from "../../rig/bare-vpp.ts";
import { median, quantile, rounded } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";

const SERVICES = 10_000;
const ENDPOINTS = 3;
const CIDR = "10.96.0.0/16";
const NODE: ServiceNodeContext = {
  servesServices: true,
  addresses: ["192.168.0.1"],
  gateways: ["10.244.1.1"],
  podCIDRs: ["10.244.1.0/24"],
  clusterCIDRs: ["10.244.0.0/16"],
  uplinks: ["uplink-eth0"],
};
const ALL = `VPP: ${SERVICES} services of ${ENDPOINTS} endpoints from nothing`;
const ONE = `VPP: one endpoint of ${SERVICES} services changed, p99`;

/** From what the engine says to VPP's last reply: rendered, planned, sent. The host's own part is the kernel's figure. */
export const vppServices: BareCase = {
  name: "vpp-services",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    const targets = [atMost(500), atMost(5)] as const;
    if (VPP_BINARY === undefined || process.getuid?.() !== 0) {
      const none = { unit: "ms", value: Number.NaN, samples: 0 };
      return [
        { name: ALL, target: targets[0], ...none },
        { name: ONE, target: targets[1], ...none },
      ];
    }
    progress(`${SERVICES} services in VPP`);
    const rounds: number[] = [];
    const changes: number[] = [];
    const wrong: string[] = [];
    for (let round = 0; round < (quick ? 1 : 5); round++) {
      await withBareVpp(async ({ socket, apiDirectory }) => {
        await using client = await VppClient.open({ socket, apiDirectory, name: "bench" });
        using session = VppSession.of(client);
        const scheduler = createScheduler();
        for (const descriptor of descriptors(session)) scheduler.register(descriptor);
        await scheduler.transact({ changes: [], resync: "full" });
        const engine = new ServiceEngine(CONFIG);
        engine.apply(cluster());
        const renderer = new ServiceRenderer(() => NODE);
        const rows = engine.rows();
        const from = performance.now();
        const items = [...renderer.renderServices(rows)].filter(({ key }) => isVpp(key));
        const { errors } = await scheduler.transact({ changes: items.map(({ key, value }) => [key, value]) });
        rounds.push(performance.now() - from);
        for (let i = 0; i < (quick ? 50 : 400); i++) {
          const begin = performance.now();
          const rendered = renderer.renderServiceChanges(engine.apply([slice(i * 7, ENDPOINTS + 1 - (i % 2))]));
          const touched = [...rendered].filter(({ key }) => isVpp(key));
          const one = await scheduler.transact({ changes: touched.map(({ key, value }) => [key, value]) });
          changes.push(performance.now() - begin);
          if (one.errors.size > 0) wrong.push(`a change failed: ${[...one.errors.keys()].join()}`);
        }
        const found = (await client.dump("cnat_translation_dump", {})).length;
        if (errors.size > 0 || found !== SERVICES) wrong.push(`${errors.size} failed, VPP has ${found}`);
        await scheduler.close();
      });
    }
    return [
      {
        name: ALL,
        unit: "ms",
        value: median(rounds),
        target: targets[0],
        samples: rounds.length,
        wrong,
        notes: { rounds: rounds.map((ms) => Math.round(ms)).join(" ") },
      },
      {
        name: ONE,
        unit: "ms",
        value: quantile(changes, 0.99),
        target: targets[1],
        samples: changes.length,
        notes: { median: rounded(median(changes)) },
      },
    ];
  },
};

const CONFIG = {
  node: "n1",
  podCidrs: NODE.podCIDRs,
  nodePortAddresses: "primary",
  nodeExternalIps: "ignore",
} as const;

const isVpp = (key: Key): boolean => key.startsWith(CNAT_TRANSLATION_PREFIX) || key.startsWith(VPP_ROUTE_PREFIX);

function descriptors(session: VppSession): readonly Descriptor<never>[] {
  const { acl } = aclDescriptors(session);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of any values: the scheduler knows them by their keys
  return [
    acl,
    cnatTranslationDescriptor(session),
    vppRouteDescriptor(session),
  ] as unknown as readonly Descriptor<never>[];
}

function* cluster(): Iterable<ServiceInput> {
  const at = { namespace: "", name: "k" } as const;
  yield { kind: "servicecidr", at, object: { ...at, uid: "", cidrs: [CIDR] } };
  for (let i = 0; i < SERVICES; i++) {
    yield service(i);
    yield slice(i, ENDPOINTS);
  }
}

function service(i: number): ServiceInput {
  const at = { namespace: "bench", name: `s${i}` };
  return {
    kind: "service",
    at,
    object: {
      ...at,
      uid: "",
      created: i,
      type: "ClusterIP",
      clusterIps: [parseIp(`10.96.${(i >> 8) + 1}.${i & 0xff}`)],
      externalIps: [],
      loadBalancerIps: [],
      sourceRanges: [],
      ports: [{ name: "", protocol: "TCP", port: 80 }],
      internalTrafficPolicy: "Cluster",
      externalTrafficPolicy: "Cluster",
      publishNotReady: false,
    },
  };
}

function slice(i: number, endpoints: number): ServiceInput {
  const at = { namespace: "bench", name: `s${i}-1` };
  return {
    kind: "endpointslice",
    at,
    object: {
      ...at,
      uid: "",
      service: `s${i}`,
      ports: [{ name: "", protocol: "TCP", port: 8080 }],
      endpoints: Array.from({ length: endpoints }, (_, e) => ({
        addresses: [parseIp(`10.244.${(i * ENDPOINTS + e) % 200}.${2 + ((i + e) % 250)}`)],
        ready: true,
        serving: true,
        terminating: false,
      })),
    },
  };
}
