import { setImmediate as nextTurn } from "node:timers/promises";
import { type Clock, seconds } from "../../../base/clock/clock.ts";
import { familyOf, type IpAddress, tryParseIp } from "../../../base/ip/address.ts";
import type { Element, VppApi } from "../binapi/index.ts";
import type { FilteredFlow } from "../flow-filter/codec.ts";

/** There is no message that tells of the ACL plugin's sessions. */
const SHOW = "show acl-plugin sessions";
/** VPP holds everybody up for 5 to 20 µs for each session it shows, so more than these are not asked for often. */
const FEW = 1000;
/** More are not shown: VPP ends itself when the text, of 440 bytes for each, does not fit into its 16 MiB for messages. */
const MAX_SHOWN = 15_000;
/** Somewhat less than the 30 s that CNAT remembers a flow without a packet. */
const KNOWN_FOR = seconds(25);
/** 150,000 sessions are told in 0.3 s, and much later where nobody has time. */
const PATIENCE = seconds(20);
/** Lines, or elements, between two turns of the event loop. */
const SLICE = 2000;

/**
 * How long the plugin remembers flows that are silent, in seconds: its own 600 and 120 would have it remember every question
 * to a name server for ten minutes. (The kernel's connection tracking has 120 and 120.)
 */
export const SESSION_TIMEOUTS = ["udp idle 60", "tcp transient 60"].map(
  (what) => `set acl-plugin session timeout ${what}`,
);

export interface Vpp {
  readonly api: VppApi;
  /** Another one: another VPP, maybe. */
  readonly generation: number;
}

export interface Flows {
  readonly flows: readonly FilteredFlow[];
  /** There are too many sessions: flows that have been silent for a while are missing. */
  readonly isPartial: boolean;
}

/**
 * Tells of flows that packets may go on by, as who began them sees them; of some more than once, and of some that have ended
 * lately. The ACL plugin knows them all. CNAT tells of them at a tenth of the cost for VPP, but only of those that had a packet
 * in the last 30 s: the others were there already when the plugin was asked less than that ago.
 */
export class FlowReader {
  readonly #vpp: Vpp;
  readonly #clock: Clock;
  /** What the plugin knew. */
  #shown: { readonly generation: number; readonly at: number; readonly flows: readonly FilteredFlow[] } | undefined;

  constructor(vpp: Vpp, clock: Clock) {
    this.#vpp = vpp;
    this.#clock = clock;
  }

  async read(): Promise<Flows> {
    const { api, generation } = this.#vpp;
    const count = parseCount(await api.cli(SHOW));
    const at = this.#clock.now();
    const shown = this.#shown;
    if (count > FEW && shown?.generation === generation && at - shown.at < KNOWN_FOR) {
      return { flows: [...shown.flows, ...(await translated(api))], isPartial: false };
    }
    this.#shown = undefined;
    if (count > MAX_SHOWN) return { flows: await translated(api), isPartial: true };
    const flows = await sliced(parseSessions(await api.cli(`${SHOW} verbose 1`)));
    this.#shown = { generation, at, flows };
    return { flows, isPartial: false };
  }
}

async function translated(api: VppApi): Promise<FilteredFlow[]> {
  const flows: FilteredFlow[] = [];
  const collect = (element: Element<"cnat_session_dump">) => {
    const flow = flowOfTranslation(element);
    if (flow) flows.push(flow);
  };
  await api.dumpEach("cnat_session_dump", {}, collect, { timeout: PATIENCE });
  return flows;
}

async function sliced(lines: Iterable<FilteredFlow | undefined>): Promise<FilteredFlow[]> {
  const flows: FilteredFlow[] = [];
  let count = 0;
  for (const flow of lines) {
    if (flow) flows.push(flow);
    if (++count % SLICE === 0) await nextTurn();
  }
  return flows;
}

/** `Sessions active: add 4 - deact 1 = 3` */
export function parseCount(text: string): number {
  return Number(/^Sessions active: .* = (\d+)\s*$/m.exec(text)?.[1] ?? 0);
}

/** Of the plugin's epochs, set in those of sessions that an input list began. */
const INPUT_EPOCH = 0x8000;

const SESSION =
  /l3 ([0-9a-f.:]+) -> ([0-9a-f.:]+) l4 .* proto (\d+) l4_is_input ([01]) .* port (\d+) -> (\d+) \| .* epoch ([0-9a-f]{4})\s*$/;

/**
 * What each line says of a flow. The plugin prints its table of both directions of all sessions (sess_mgmt_node.c); the epoch
 * says which of them began it:
 *
 *     0: l3 10.1.0.2 -> 10.1.0.3 l4 lsb_of_sw_if_index 2 proto 17 l4_is_input 1 … port 51193 -> 7000 | … epoch 8000
 */
export function* parseSessions(text: string): Iterable<FilteredFlow | undefined> {
  const parsed = new Map<string, IpAddress | undefined>();
  const address = (shown: string): IpAddress | undefined => {
    if (!parsed.has(shown)) parsed.set(shown, tryParseIp(shown));
    return parsed.get(shown);
  };
  for (let from = 0, to: number; from < text.length; from = to + 1) {
    to = text.indexOf("\n", from);
    if (to < 0) to = text.length;
    const match = SESSION.exec(text.slice(from, to));
    const [, sourceText = "", destinationText = "", protocol, isInput, first, second, epoch = ""] = match ?? [];
    const isBegun = (isInput === "1") === ((Number.parseInt(epoch, 16) & INPUT_EPOCH) !== 0);
    const [source, destination] = match && isBegun ? [address(sourceText), address(destinationText)] : [];
    if (source === undefined || destination === undefined) yield undefined;
    else {
      const ends = { family: familyOf(source), protocol: Number(protocol), source, destination };
      yield begun({ ...ends, first: Number(first), second: Number(second) });
    }
  }
}

/** CNAT_SESSION_IS_RETURN: what the answers look like, before they are translated back. */
const IS_RETURN = 16;
const ECHO: ReadonlyMap<number, number> = new Map([
  [1, 8],
  [58, 128],
]);

/** Both ports are in the packet's byte order; of an echo they are its identifier, which does not matter. */
export function flowOfTranslation({
  session: { flags, tuple },
}: Element<"cnat_session_dump">): FilteredFlow | undefined {
  const { addr, port, ip_proto: protocol } = tuple;
  const [destination, source] = addr;
  if ((flags & IS_RETURN) === 0 || source === undefined || destination === undefined) return undefined;
  const ends = { family: familyOf(source), protocol, source, destination };
  const echo = ECHO.get(protocol);
  if (echo !== undefined) return { ...ends, first: echo, second: 0 };
  const [second = 0, first = 0] = PORTS_OF.has(protocol) ? port.map(swapped) : [];
  return begun({ ...ends, first, second });
}

const swapped = (port: number): number => ((port & 0xff) << 8) | (port >> 8);

const PORTS_OF = new Set([6, 17]);
/** Where the kernel's ephemeral ports begin (net.ipv4.ip_local_port_range). */
const EPHEMERAL = 32_768;

/**
 * After VPP's restart a connection has a session of its next packet's direction, whichever it is. A server does not begin
 * one from its own port to an ephemeral one.
 */
function begun(flow: FilteredFlow): FilteredFlow {
  const { protocol, source, destination, first, second } = flow;
  if (!PORTS_OF.has(protocol) || first >= EPHEMERAL || second < EPHEMERAL) return flow;
  return { ...flow, source: destination, destination: source, first: second, second: first };
}
