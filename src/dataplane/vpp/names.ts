/* Names of a node's own interfaces in VPP. A pod's has the name of its link. */

/** Holds the node's gateway addresses, which all others borrow. */
export const GATEWAY_INTERFACE = "gateway";
/** The way to the host. */
export const HOST_INTERFACE = "host";
/** The overlay's bridge domain routes by it. */
export const BVI_INTERFACE = "bvi";
/** By the first, what goes to other nodes leaves VPP for the kernel, and comes back as packets by the second. */
export const SEGMENT_OUT_INTERFACE = "segment-out";
export const SEGMENT_IN_INTERFACE = "segment-in";

export const uplinkInterface = (link: string): string => `uplink-${link}`;
/** The tunnel to a node. */
export const tunnelInterface = (nodeId: number): string => `vxlan-${nodeId}`;

/** By these the host is the next hop for what VPP does not want for itself; nobody holds them. */
export const HOST_HOP = { 4: "169.254.1.2", 6: "fe80::2" } as const;
/** The next hop of what is to be cut into packets. */
export const SEGMENT_HOP = { 4: "169.254.1.3", 6: "fe80::3" } as const;
/** Ethernet addresses inside VPP: 02, "hedgw", "hedso", "hedsi". */
export const GATEWAY_LOOPBACK_MAC = "02:68:65:64:67:77";
export const SEGMENT_OUT_MAC = "02:68:65:64:73:6f";
export const SEGMENT_IN_MAC = "02:68:65:64:73:69";

/** Of a wire's end that is no pod's interface. */
export const wireInterface = (wire: string, end: number): string => `wire-${wire}-${end}`;

/** The overlay's bridge domain. */
export const OVERLAY_BRIDGE = 1;
/** The table of routes for what was cut: without it, packets would be sent to be cut again. */
export const SEGMENT_VRF = 1;

/** VPP's numbers of ABF policies, which it has one space of for both families. */
export const ABF_POLICIES = {
  outside: { 4: 1, 6: 2 },
  segments: { 4: 3, 6: 4 },
  services: { 4: 5, 6: 6 },
  serviceReplies: { 4: 7, 6: 8 },
  serviceGuard: { 4: 9, 6: 10 },
  pings: 11,
  egressIn: { 4: 12, 6: 13 },
  egressOut: { 4: 14, 6: 15 },
  firstOfPods: 16,
  /** Behind those of pods: two for each node that something is led to. */
  firstOfGateways: 0x9000_0000,
} as const;
