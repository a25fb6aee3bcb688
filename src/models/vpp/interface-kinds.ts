import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkDevice, checkInteger, checkIp } from "./checks.ts";

/* Tunnels, bonds and devices: kinds of interfaces beside those of interface.ts, which says what all have in common. */

interface Named {
  readonly name: string;
  readonly mtu: number;
}

/** Between two addresses. */
interface PointToPoint extends Named {
  readonly local: string;
  readonly remote: string;
  /** VRF that the outer packets are routed in. */
  readonly vrf: number;
}

/** RFC 2784, with the key of RFC 2890. */
export interface GreValue extends PointToPoint {
  readonly kind: "gre";
  /** Whether it carries IP packets or Ethernet frames (transparent Ethernet bridging). */
  readonly carries: "ethernet" | "ip";
  /** 0: packets have no key. Both ends have the same. */
  readonly key: number;
}

/** IP in IP: RFC 2003, RFC 2473. */
export interface IpipValue extends PointToPoint {
  readonly kind: "ipip";
}

/** One end for any number of peers, which are items of their own. */
export interface WireguardValue extends Named {
  readonly kind: "wireguard";
  /** Address that packets are sent from. */
  readonly local: string;
  /** UDP port. */
  readonly port: number;
  /** Secret: 32 bytes, Base64, as `wg genkey` prints them. */
  readonly privateKey: string;
}

/** Has no header of its own: everything is in what protects it, a tunnel of two SAs. */
export interface IpsecInterfaceValue extends Named {
  readonly kind: "ipsec";
}

/** Several interfaces as one; the members are items of their own. */
export interface BondValue extends Named {
  readonly kind: "bond";
  /** Its members have it too, as long as they are members. */
  readonly mac: string;
  readonly mode: "active-backup" | "broadcast" | "lacp" | "round-robin" | "xor";
  /** What chooses the member for a packet: for `lacp` and `xor`, and only for these. */
  readonly balance?: "l2" | "l23" | "l34";
}

/** Made by VPP at its start: a device named in startup.conf. It is used, not made; and put down, not removed. */
export interface PhysicalValue extends Named {
  readonly kind: "physical";
  /** VPP's name: `GigabitEthernet0/8/0`. */
  readonly device: string;
}

/**
 * A kernel device whose receive queues VPP reads by AF_XDP sockets: the kernel gets nothing of what arrives there, and keeps
 * the device. VPP tells the device, and nothing of the other options: the interface's name in VPP has a digest of them.
 */
export interface AfXdpValue extends Named {
  readonly kind: "af-xdp";
  /** Canonical text; one that the device does not receive for is of no use. */
  readonly mac: string;
  /** Up already, in `netns` or VPP's own network namespace. */
  readonly device: string;
  /** From the first one on. What arrives at others stays with the kernel, so mostly `all`. */
  readonly rxQueues: number | "all";
  /** Whether VPP and the driver share packets' memory; `auto`: where the driver can. */
  readonly mode: "auto" | "copy" | "zero-copy";
  /** Path of an eBPF object with a map `xsks_map`, in place of libxdp's own program, which takes all packets. */
  readonly program?: string;
  /** Path or name of the network namespace that the device is in. */
  readonly netns?: string;
  /** What must be in place as long as it is: the device, to begin with. Not read back. */
  readonly requires?: readonly Key[];
}

export type FurtherInterfaceValue =
  | AfXdpValue
  | BondValue
  | GreValue
  | IpipValue
  | IpsecInterfaceValue
  | PhysicalValue
  | WireguardValue;

/** Checks what a kind has beside a name, MTU and MAC address. Throws `InvalidValueError`. */
export function validateFurtherInterface(value: FurtherInterfaceValue): void {
  switch (value.kind) {
    case "gre":
      checkInteger(value.key, "key", 0, 0xffff_ffff);
      return checkEnds(value);
    case "ipip":
      return checkEnds(value);
    case "wireguard":
      checkIp(value.local, "local");
      checkWireguardKey(value.privateKey, "privateKey");
      return checkInteger(value.port, "port", 1, 0xffff);
    case "ipsec":
      return;
    case "af-xdp":
      return checkAfXdp(value);
    case "bond": {
      const chooses = value.mode === "lacp" || value.mode === "xor";
      return check(chooses === (value.balance !== undefined), "balance", `is for lacp and xor, not for ${value.mode}`);
    }
    case "physical":
      // 64 bytes in the API; local0 is VPP's own.
      check(/^[!-~]{1,63}$/.test(value.device) && value.device !== "local0", "device", `${value.device} is no device`);
  }
}

/** VPP takes a packet's buffer of 2 KiB and what is in front of it for a chunk of an XDP ring: one page. */
const MAX_XDP_MTU = 3000;

function checkAfXdp({ device, rxQueues, mtu, program, netns }: AfXdpValue): void {
  checkDevice(device);
  checkInteger(mtu, "mtu", 68, MAX_XDP_MTU);
  // 65,535 is VPP's word for all.
  if (rxQueues !== "all") checkInteger(rxQueues, "rxQueues", 1, 1024);
  if (program !== undefined) checkPath(program, "program", 255);
  if (netns !== undefined) check(/^[!-~]{1,63}$/.test(netns), "netns", `${netns} names no network namespace`);
}

function checkPath(path: string, field: string, max: number): void {
  check(path.startsWith("/") && Buffer.byteLength(path) <= max, field, `an absolute path of at most ${max} bytes`);
}

function checkEnds({ local, remote, vrf }: PointToPoint): void {
  checkIp(remote, "remote", checkIp(local, "local"));
  check(local !== remote, "remote", "is the local address");
  for (const [field, address] of Object.entries({ local, remote })) {
    check(address !== "0.0.0.0" && address !== "::", field, `${address} is nobody's address`);
  }
  checkInteger(vrf, "vrf", 0, 0xffff_fffe);
}

/** A key in WireGuard's text form: 32 bytes, Base64. The error does not tell it. */
export function checkWireguardKey(text: string, field: string): void {
  const bytes = Buffer.from(text, "base64");
  check(bytes.length === 32 && bytes.toString("base64") === text, field, "is not 32 bytes in canonical Base64");
}
