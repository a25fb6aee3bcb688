import { z } from "zod";
import { toError } from "../../base/errors/errors.ts";
import { familyOf, isSpecialIp, parseIp } from "../../base/ip/address.ts";
import { parseNetwork } from "../../base/ip/cidr.ts";
import { listenAddress, logConfig, storeConfig } from "./common-parts.ts";

/** `10.244.0.0/16`, without bits behind the prefix. */
const network = z.string().superRefine((text, context) => {
  try {
    parseNetwork(text);
  } catch (e) {
    context.addIssue({ code: "custom", message: toError(e).message });
  }
});

/** IFNAMSIZ less its NUL. */
const linkName = z.string().regex(/^[^\s/]{1,15}$/, "must be a link's name: 1 to 15 characters");

/** At most one a family, and none that is not an address of a link to others. */
function checkNodeIPs(ips: readonly string[], context: z.RefinementCtx): void {
  const families = new Set<number>();
  for (const [i, ip] of ips.map(parseIp).entries()) {
    const issue = (message: string) => context.addIssue({ code: "custom", path: [i], message });
    if (isSpecialIp(ip)) issue(`${ip} is a special address (loopback, link-local, multicast or unspecified)`);
    if (families.has(familyOf(ip))) issue(`${ip} is a second IPv${familyOf(ip)} address; one a family`);
    families.add(familyOf(ip));
  }
}

const pool = z.strictObject({
  cidr: network.describe("Addresses of all pods of the cluster, one family."),
  nodePrefix: z.int().min(1).max(128).describe("Prefix length of the subnet that each node gets from the pool."),
});

const afPacketUplink = z.strictObject({
  kind: z
    .literal("af-packet")
    .describe("Shares the kernel's link, which is found from network.nodeIPs or the default routes."),
});

const afXdpUplink = z.strictObject({
  kind: z.literal("af-xdp").describe("Reads the link's queues in the kernel's place, by AF_XDP sockets."),
  link: linkName.optional().describe("The link; found as with af-packet if absent."),
  mode: z
    .enum(["auto", "copy", "zero-copy"])
    .default("auto")
    .describe("Whether VPP and the driver share packets' memory; auto: where the driver can."),
  queues: z
    .union([z.literal("all"), z.int().min(1).max(1024)], { error: "must be all or between 1 and 1024" })
    .default("all")
    .describe("Receive queues, from the first one on; what arrives at others is lost."),
  program: z
    .string()
    .startsWith("/")
    .max(255)
    .optional()
    .describe("Path of an eBPF object with a map xsks_map; libxdp's own, which takes all packets, if absent."),
});

const dpdkUplink = z.strictObject({
  kind: z.literal("dpdk").describe("Has the PCI device itself; the kernel loses it, and gets it back."),
  pci: z
    .string()
    .regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/, "must be as in lspci -D, in small letters: 0000:02:00.0")
    .describe("PCI address of the device."),
  driver: z
    .enum(["auto", "vfio-pci", "uio_pci_generic"])
    .default("auto")
    .describe("The kernel's driver that hands the device to VPP; auto: whichever is loaded."),
  queues: z.int().min(1).max(64).default(1).describe("Receive queues."),
});

interface VppSection {
  readonly attach?: string | undefined;
  readonly dhcp: { readonly enabled: boolean };
  readonly uplink: { readonly kind: string };
}

function checkUplink({ attach, dhcp, uplink: { kind } }: VppSection, context: z.RefinementCtx): void {
  const issue = (message: string) => context.addIssue({ code: "custom", path: ["uplink", "kind"], message });
  if (kind === "dpdk" && attach !== undefined) {
    issue("a VPP at vpp.attach has its DPDK devices from those who started it");
  }
  // The kernel could not go on with the link until there is a lease.
  if (kind !== "af-packet" && dhcp.enabled) issue("vpp.dhcp needs af-packet");
}

export const agentConfigSchema = z.strictObject({
  nodeName: z.string().min(1).max(253).describe("Name of this node; the host name if absent.").optional(),
  dataplane: z
    .enum(["auto", "linux", "vpp"])
    .default("auto")
    .describe("auto takes VPP where a VPP answers, else Linux."),
  stateDir: z
    .string()
    .default("/var/lib/heddle")
    .describe("What the agent must remember: sandboxes, addresses, the mirror."),
  runDir: z.string().default("/run/heddle").describe("Sockets."),
  cniSocket: z.string().max(107).optional().describe("The CNI socket; cni.sock in runDir if absent."),
  rest: listenAddress.default("127.0.0.1:9191").describe("Address and port of REST and metrics."),
  log: logConfig,
  store: storeConfig.default({ kind: "embedded" }).describe("The store that the cluster's agents share."),
  network: z
    .strictObject({
      pools: z
        .array(pool)
        .min(1)
        .default([
          { cidr: "10.244.0.0/16", nodePrefix: 24 },
          { cidr: "fd10:244::/48", nodePrefix: 64 },
        ])
        .describe("Pools from which each node's pod subnets are cut; the same on all nodes."),
      podCIDRs: z
        .array(network)
        .optional()
        .describe("This node's pod subnets when something else hands them out (Node.spec.podCIDRs)."),
      overlay: z
        .enum(["vxlan", "none"])
        .default("vxlan")
        .describe("none: plain routes, for nodes on one L2 segment or a fabric that knows the pod subnets."),
      vxlan: z
        .strictObject({
          vni: z.int().min(1).max(16777215).default(4096).describe("VXLAN network identifier."),
          port: z.int().min(1).max(65535).default(4789).describe("UDP port."),
        })
        .prefault({})
        .describe("Parameters of the overlay; the same on all nodes."),
      mtu: z
        .union([z.literal("auto"), z.int().min(1280).max(65535)], { error: "must be auto or between 1280 and 65535" })
        .default("auto")
        .describe(
          "MTU of pod interfaces; auto: that of the underlay less what the overlay adds. At least 1280 (IPv6).",
        ),
      nodeIPs: z
        .array(z.union([z.ipv4(), z.ipv6()], { error: "must be an IPv4 or IPv6 address" }))
        .superRefine(checkNodeIPs)
        .optional()
        .describe("Addresses of this node on the underlay, one a family; found from the default routes if absent."),
      masquerade: z
        .strictObject({
          enabled: z.boolean().default(true).describe("Translate the source of pods' traffic that leaves the cluster."),
          exclude: z.array(network).default([]).describe("Destinations outside the pools that see pod addresses."),
        })
        .prefault({})
        .describe("Source translation."),
    })
    .prefault({})
    .describe("Addresses and paths."),
  vpp: z
    .strictObject({
      attach: z
        .string()
        .max(107)
        .optional()
        .describe("API socket of a VPP that somebody else runs; the agent starts one and keeps it running if absent."),
      statsSocket: z
        .string()
        .max(107)
        .optional()
        .describe("Statistics socket of the VPP at attach; stats.sock beside that if absent."),
      prefix: z
        .string()
        .optional()
        .describe("Where VPP is installed; HEDDLE_VPP_PREFIX, else /opt/vpp or the PATH's if absent."),
      mainCore: z.int().min(0).optional().describe("CPU of VPP's main thread; any if absent."),
      workers: z.array(z.int().min(0)).default([]).describe("CPUs of threads that forward beside the main one."),
      hugepages: z
        .enum(["none", "2M", "1G"])
        .default("none")
        .describe("Size of the huge pages that VPP's memory is in."),
      mainHeapMiB: z
        .int()
        .min(64)
        .max(65_536)
        .default(1024)
        .describe("VPP's main heap; it takes memory as it is used. VPP knows one connection for each 4 KiB of it."),
      maxPods: z.int().min(1).max(10_000).default(110).describe("Pods on this node that VPP gets packet buffers for."),
      podInterface: z
        .enum(["auto", "tap", "veth"])
        .default("auto")
        .describe(
          "What new pods get: a tap of VPP's, which needs /dev/vhost-net, or a veth pair; auto: a tap where the node has that.",
        ),
      dhcp: z
        .strictObject({
          enabled: z
            .boolean()
            .default(false)
            .describe("The uplink's IPv4 address, network and router come from a DHCP server, asked by VPP."),
          link: linkName.optional().describe("The link; if absent that of the default route when the agent takes it."),
          waitSeconds: z
            .number()
            .min(1)
            .max(86_400)
            .default(60)
            .describe("How long the first lease may take before the agent gives up."),
        })
        .prefault({})
        .describe("DHCP on the uplink; network.nodeIPs names an IPv6 address then, or nothing."),
      uplink: z
        .discriminatedUnion("kind", [afPacketUplink, afXdpUplink, dpdkUplink])
        .prefault({ kind: "af-packet" })
        .describe("How VPP has the link between nodes."),
    })
    .superRefine(checkUplink)
    .prefault({})
    .describe("The VPP dataplane."),
  policy: z
    .strictObject({
      enforce: z
        .boolean()
        .default(true)
        .describe(
          "Judge the packets of pods by NetworkPolicies. Needs heddle-ksr, which reflects them into the store.",
        ),
      waitSeconds: z
        .number()
        .min(0)
        .max(50)
        .default(5)
        .describe(
          "How long an ADD waits for its Pod object; after that the pod is wired, isolated until the object arrives.",
        ),
      failMode: z
        .enum(["closed", "open"])
        .default("closed")
        .describe(
          "What becomes of a pod whose object has not been seen: it is isolated, or open to all until the object arrives.",
        ),
      ownNodeEgress: z
        .enum(["allow", "judge"])
        .default("allow")
        .describe("Whether NetworkPolicies keep pods from reaching their own node."),
      deniedLog: z
        .strictObject({
          perSecond: z.int().min(0).max(1000).default(5).describe("Lines at most; 0 for no log."),
          repeatSeconds: z
            .number()
            .min(1)
            .max(86_400)
            .default(60)
            .describe("How long the same is not logged again: same pod, peer, protocol and port."),
          group: z
            .int()
            .min(1)
            .max(65_535)
            .default(18_500)
            .describe("Group of nfnetlink_log by which the kernel tells of them; nobody else's."),
        })
        .prefault({})
        .describe("The log of denied packets, on the Linux dataplane."),
    })
    .prefault({})
    .describe("NetworkPolicies."),
  services: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe("Serve the cluster's Services in kube-proxy's place. Needs heddle-ksr, as policies do."),
      nodePortAddresses: z
        .union([z.literal("primary"), z.array(network)], { error: "must be primary or a list of networks" })
        .default("primary")
        .describe("Where node ports are: at the node's first address of each family, or at those in these networks."),
      proxyName: z
        .string()
        .min(1)
        .max(63)
        .optional()
        .describe(
          "Serve only Services labelled with it (service.kubernetes.io/service-proxy-name), not those without.",
        ),
      nodeExternalIPs: z
        .enum(["ignore", "serve"])
        .default("ignore")
        .describe("What becomes of a Service's external IP that is a node's own address."),
      healthz: z
        .union([z.literal("off"), listenAddress], { error: "must be off or ADDRESS:PORT" })
        .default("0.0.0.0:10256")
        .describe("Where load balancers ask for the node: kube-proxy's /healthz and /livez."),
    })
    .prefault({})
    .describe("Services."),
  cni: z
    .strictObject({
      timeoutSeconds: z.number().min(1).max(600).default(60).describe("Bound of one CNI operation."),
      maxConcurrent: z
        .int()
        .min(1)
        .max(4096)
        .default(512)
        .describe("CNI requests held at once; more are told to try later."),
      sweepSeconds: z
        .number()
        .min(1)
        .max(86_400)
        .default(60)
        .describe("How often the pods' namespaces are looked for; the addresses of one that is missed twice return."),
    })
    .prefault({})
    .describe("The CNI server."),
  scheduler: z
    .strictObject({
      opTimeoutSeconds: z.number().min(0.1).max(300).default(2).describe("Deadline of one southbound operation."),
      history: z
        .strictObject({
          count: z.int().min(0).max(100_000).default(500).describe("Transactions kept in memory."),
          bytes: z.int().min(0).default(4_194_304).describe("Memory for them, as far as it can be estimated."),
          ageHours: z.number().positive().default(24).describe("How long they are kept."),
          file: z
            .strictObject({
              enabled: z.boolean().default(true).describe("Keep them on the disk, too: history in stateDir."),
              count: z.int().min(1).default(100_000).describe("Transactions kept on the disk."),
              bytes: z.int().min(65_536).default(16_777_216).describe("Room for them on the disk."),
              ageHours: z.number().positive().default(168).describe("How long they are kept on the disk."),
            })
            .prefault({})
            .describe("The history that survives a restart."),
        })
        .prefault({})
        .describe("Past transactions, as planned and as executed; all bounds hold, the oldest go first."),
    })
    .prefault({})
    .describe("The KVScheduler."),
  healing: z
    .strictObject({
      afterErrorSeconds: z.number().min(0.1).default(5).describe("Delay of the repair after something failed."),
      periodSeconds: z
        .number()
        .min(0)
        .default(60)
        .describe("Interval of the comparison with the dataplane; 0 for never."),
    })
    .prefault({})
    .describe("Repair of differences between what should be and what is."),
});

export type AgentConfig = z.infer<typeof agentConfigSchema>;
