import { type End, FAMILIES, type Family, OUTSIDE, PROTOCOLS, type Protocol, type World } from "./world.ts";

/** A way from one end to another that policies can have a say in: one end is a pod. */
export interface Pair {
  readonly from: End;
  readonly to: End;
}

/** A connection that may be tried. */
export interface Cell extends Pair {
  readonly protocol: Protocol;
  readonly port: number;
  readonly family: Family;
}

export interface ExpectedCell extends Cell {
  readonly allowed: boolean;
}

/** `x/a>y/b/TCP/80/4` */
export const cellKey = (c: Cell): string => `${c.from}>${c.to}/${c.protocol}/${c.port}/${c.family}`;
export const pairKey = (p: Pair): string => `${p.from}>${p.to}`;

/** A line that means nothing. */
export class ExpectationError extends Error {}

/** Every pair of which one end is a pod at least. */
export function allPairs(world: World): Pair[] {
  const pods = world.pods.map((p) => p.id);
  const others = [...world.nodes.map((n) => n.name), OUTSIDE];
  return [
    ...pods.flatMap((from) => [...pods, ...others].map((to) => ({ from, to }))),
    ...others.flatMap((from) => pods.map((to) => ({ from, to }))),
  ];
}

type Traffic = Omit<Cell, keyof Pair>;

const allTraffic = (world: World): Traffic[] =>
  PROTOCOLS.flatMap((protocol) =>
    world.ports.flatMap((port) => FAMILIES.map((family): Traffic => ({ protocol, port, family }))),
  );

/** In the order of {@link allPairs}. */
export function allCells(world: World): Cell[] {
  const traffic = allTraffic(world);
  return allPairs(world).flatMap((pair) => traffic.map((t) => ({ ...pair, ...t })));
}

/**
 * What lines such as `* -> x/a: denied` and `x/b, y/* -> x/a tcp 80: allowed` say of every cell. Everything is allowed that no
 * line is about; of several lines the last counts. See test/policies/README.md. Throws {@link ExpectationError}.
 */
export function expectationsOf(world: World, text: string): ExpectedCell[] {
  const lines = text
    .split("\n")
    .map((l) => l.replace(/#.*/, "").trim())
    .filter((l) => l !== "")
    .map((l) => parseLine(world, l));
  if (lines.length === 0) throw new ExpectationError("nothing is expected");
  const used = new Set<Line>();
  const traffic = allTraffic(world);
  const cells = allPairs(world).flatMap((pair) => {
    const about = lines.filter((l) => l.coversPair(pair));
    for (const line of about) used.add(line);
    return traffic.map((t): ExpectedCell => {
      const last = about.findLast((l) => l.coversTraffic(t));
      return { ...pair, ...t, allowed: last?.allowed ?? true };
    });
  });
  const idle = lines.find((l) => !used.has(l));
  if (idle) throw new ExpectationError(`"${idle.text}" is about no pair`);
  return cells;
}

interface Line {
  readonly text: string;
  readonly allowed: boolean;
  coversPair(pair: Pair): boolean;
  coversTraffic(traffic: Traffic): boolean;
}

const TRAFFIC = /^(tcp|udp|sctp|\d+|ipv[46])$/;

function parseLine(world: World, text: string): Line {
  const parts = /^(?<from>.+) -> (?<to>.+): (?<verdict>allowed|denied)$/.exec(text)?.groups;
  if (!parts) throw new ExpectationError(`"${text}" is not "FROM -> TO [TRAFFIC]: allowed|denied"`);
  const words = (part: string | undefined): string[] => (part ?? "").split(/[\s,]+/).filter((w) => w !== "");
  const to = words(parts["to"]);
  const split = to.findIndex((w) => TRAFFIC.test(w));
  const traffic = split < 0 ? [] : to.slice(split);
  const from = endMatcher(world, words(parts["from"]), text);
  const target = endMatcher(world, split < 0 ? to : to.slice(0, split), text);
  return {
    text,
    allowed: parts["verdict"] === "allowed",
    // That a pod reaches itself is meant only where a line says so.
    coversPair: (p) =>
      (p.from !== p.to || target.saysItself) && from.covers(p.from, p.to) && target.covers(p.to, p.from),
    coversTraffic: trafficMatcher(world, traffic, text),
  };
}

interface EndMatcher {
  readonly saysItself: boolean;
  covers(end: End, other: End): boolean;
}

function endMatcher(world: World, words: readonly string[], text: string): EndMatcher {
  const at = words.indexOf("except");
  const named = at < 0 ? words : words.slice(0, at);
  const excepted = at < 0 ? [] : words.slice(at + 1);
  const isWhole = named.length > 0 && (at < 0 || excepted.length > 0);
  if (!isWhole) throw new ExpectationError(`"${text}": an end is missing`);
  const [meant, not] = [named, excepted].map((list) => list.map((w) => wordMatcher(world, w, text)));
  return {
    saysItself: named.includes("itself"),
    covers: (end, other) => !!meant?.some((m) => m(end, other)) && !not?.some((m) => m(end, other)),
  };
}

/** One word for one or several ends; `other` is what stands at the other side of the arrow. */
function wordMatcher(world: World, word: string, text: string): (end: End, other: End) => boolean {
  const pods = new Map(world.pods.map((p) => [p.id, p]));
  const nodes = new Set(world.nodes.map((n) => n.name));
  const pod = (end: End) => pods.get(end);
  const isNode = (end: End) => nodes.has(end);
  const isOwnNode = (end: End, other: End) => pod(other)?.node === end;
  switch (word) {
    case "*":
      return (end, other) => !isOwnNode(end, other);
    case "pods":
      return (end) => pod(end) !== undefined;
    case "nodes":
      return isNode;
    case "own-node":
      return isOwnNode;
    case "other-node":
      return (end, other) => isNode(end) && !isOwnNode(end, other);
    case "itself":
      return (end, other) => end === other;
    case OUTSIDE:
      return (end) => end === OUTSIDE;
  }
  if (isNode(word) || pod(word)) return (end) => end === word;
  const [namespace = "", name = "", more] = word.split("/");
  const fits = (wanted: string, real: string | undefined) => wanted === "*" || wanted === real;
  const matches = (end: End) => fits(namespace, pod(end)?.namespace) && fits(name, pod(end)?.name);
  if (name === "" || more !== undefined || !world.pods.some((p) => matches(p.id))) {
    throw new ExpectationError(`"${text}": what is ${word}?`);
  }
  return (end) => pod(end) !== undefined && matches(end);
}

function trafficMatcher(world: World, words: readonly string[], text: string): (t: Traffic) => boolean {
  const wrong = words.find((w) => !TRAFFIC.test(w) || (/^\d/.test(w) && !world.ports.includes(Number(w))));
  if (wrong !== undefined) throw new ExpectationError(`"${text}": what traffic is ${wrong}?`);
  const oneOf = (kind: RegExp, value: (t: Traffic) => string) => {
    const wanted = words.filter((w) => kind.test(w));
    return (t: Traffic) => wanted.length === 0 || wanted.includes(value(t));
  };
  const protocol = oneOf(/^(tcp|udp|sctp)$/, (t) => t.protocol.toLowerCase());
  const port = oneOf(/^\d+$/, (t) => String(t.port));
  const family = oneOf(/^ipv/, (t) => `ipv${t.family}`);
  return (t) => protocol(t) && port(t) && family(t);
}
