/** What one node of VPP's graph recorded about a packet. */
export interface TraceNode {
  readonly node: string;
  /** Microseconds since VPP's start. */
  readonly at: number;
  /** What the node's own formatter printed, its lines without the common indentation. */
  readonly text: readonly string[];
}

/** `00:05:33:030845: cnat-input-ip4`: hours, minutes, seconds, microseconds */
const HEADER = /^(\d{2,}):(\d{2}):(\d{2}):(\d{6}): (.+)$/;

/**
 * One packet of VPP's tracer, as `trace_v2_dump` gives it:
 *
 *     00:00:53:057409: ethernet-input
 *       IP4: 8e:63:05:95:52:5e -> 02:fe:f8:2f:7f:4b
 *     00:00:53:057421: ip4-input
 *       …
 *
 * Lines before the first node are left out: `show trace` puts the packet's number there.
 */
export function parseTrace(text: string): TraceNode[] {
  const nodes: { node: string; at: number; text: string[] }[] = [];
  for (const line of text.split("\n")) {
    const header = HEADER.exec(line.trimEnd());
    if (header) {
      const [, h, m, s, us, node = ""] = header;
      nodes.push({ node, at: ((Number(h) * 60 + Number(m)) * 60 + Number(s)) * 1e6 + Number(us), text: [] });
    } else if (line.trim() !== "") nodes.at(-1)?.text.push(line.trimEnd());
  }
  return nodes.map(({ node, at, text: lines }) => {
    const indent = Math.min(...lines.map((line) => line.search(/\S/)));
    return { node, at, text: lines.map((line) => line.slice(indent)) };
  });
}

/** The outermost headers of a packet. */
export interface Flow {
  /** As VPP says it: `TCP`, `ICMP`, `ICMP6`, `IP6_HOP_BY_HOP_OPTIONS`. */
  readonly proto: string;
  readonly src: string;
  readonly dst: string;
  readonly ports?: { readonly src: number; readonly dst: number };
  /** TCP's flags, ICMP's type. */
  readonly detail?: string;
}

const ADDRESSES = /^\s*([A-Z][A-Za-z0-9_]*): ([0-9a-f.:]+) -> ([0-9a-f.:]+)$/;
const PORTS = /^\s*(?:TCP|UDP|SCTP): (\d+) -> (\d+)$/;
const TCP_FLAGS = /^\s*flags 0x[0-9a-f]+ ([A-Z ]+), tcp header/;
const ICMP_TYPE = /^\s*(?:ICMP|ICMP6) ([a-z0-9_ ]+?) checksum/;

/**
 * The headers in what a node printed, if it prints them:
 *
 *     TCP: 10.1.0.2 -> 10.96.0.1
 *       tos 0x00, ttl 64, length 60, checksum 0xcdc0 dscp CS0 ecn NON_ECN
 *       fragment id 0x5898, flags DONT_FRAGMENT
 *     TCP: 42630 -> 80
 *       seq. 0x63d3aef3 ack 0x00000000
 *       flags 0x02 SYN, tcp header: 40 bytes
 */
export function parseFlow(lines: readonly string[]): Flow | undefined {
  const start = lines.findIndex((line) => {
    const [, , src = "", dst = ""] = ADDRESSES.exec(line) ?? [];
    return isIp(src) && isIp(dst);
  });
  const [, proto, src, dst] = ADDRESSES.exec(lines[start] ?? "") ?? [];
  if (proto === undefined || src === undefined || dst === undefined) return undefined;
  const rest = lines.slice(start + 1);
  const first = (pattern: RegExp) => rest.map((line) => pattern.exec(line)).find((match) => match !== null);
  const ports = first(PORTS);
  const detail = (first(TCP_FLAGS) ?? first(ICMP_TYPE))?.[1]?.trim();
  return {
    proto,
    src,
    dst,
    ...(ports ? { ports: { src: Number(ports[1]), dst: Number(ports[2]) } } : {}),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** Not a MAC address, nor ports: `IP4: 8e:63:05:95:52:5e -> …` looks alike. */
const isIp = (text: string): boolean =>
  /^\d+\.\d+\.\d+\.\d+$/.test(text) || (text.includes(":") && !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text));

/** `TCP 10.1.0.2:42630 -> 10.96.0.1:80 SYN` */
export function flowText({ proto, src, dst, ports, detail }: Flow): string {
  const end = (ip: string, port: number | undefined): string => {
    if (port === undefined) return ip;
    return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  };
  const tail = detail === undefined ? "" : ` ${detail}`;
  return `${proto} ${end(src, ports?.src)} -> ${end(dst, ports?.dst)}${tail}`;
}
