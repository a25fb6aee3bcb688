import { isIP } from "node:net";

// Addresses by hand: the oracle shares no code with what it judges.

/** An address as a string of bits, 32 or 128 of them. */
export function bitsOf(address: string): string {
  if (isIP(address) === 4) {
    return address
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("");
  }
  let text = address;
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.slice(1).map(Number);
    text = `${text.slice(0, dotted.index)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  }
  const [head = "", tail] = text.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => "0");
  return [...left, ...middle, ...right].map((g) => Number.parseInt(g, 16).toString(2).padStart(16, "0")).join("");
}

/** The bits that the network fixes; undefined if the text is no network. */
export function networkBits(cidr: string): { readonly total: number; readonly fixed: string } | undefined {
  const [address = "", length = "", more] = cidr.split("/");
  const family = isIP(address);
  if (more !== undefined || family === 0 || !/^\d{1,3}$/.test(length) || /^0\d/.test(length)) return undefined;
  if (address.includes("%") || address.toLowerCase().startsWith("::ffff:")) return undefined;
  const bits = bitsOf(address);
  if (Number(length) > bits.length) return undefined;
  return { total: bits.length, fixed: bits.slice(0, Number(length)) };
}

export function isInside(address: string, cidr: string): boolean {
  const network = networkBits(cidr);
  const bits = bitsOf(address);
  return network !== undefined && network.total === bits.length && bits.startsWith(network.fixed);
}
