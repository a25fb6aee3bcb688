import { beforeEach, expect, it } from "vitest";
import { minutes, seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import type { VppApi } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { FlowFilter } from "../../../../../src/dataplane/vpp/flow-filter/filter.ts";
import { SessionJudge } from "../../../../../src/dataplane/vpp/policy/rejudge.ts";
import type { ConnectionJudge, PodPolicyRow } from "../../../../../src/policy/api.ts";

const A = parseIp("10.1.0.2");
const B = parseIp("10.1.0.3");
const FAR = parseIp("10.2.0.2");
const row = (id: string, ip: string) => ({ id, ips: [ip] }) as unknown as PodPolicyRow;
const ROWS = [row("a", A), row("b", B)];

/** A VPP with these sessions, each as the packet that began it; and entries of the classifier, by table and content. */
class Vpp {
  generation = 1;
  sessions: string[] = [];
  /** Ports at B that A had a packet to in the last 30 s. */
  lately: number[] = [];
  /** How often all sessions were shown. */
  shown = 0;
  readonly entries = new Set<string>();
  #tables = 0;
  readonly api = {
    cli: async (command: string) => {
      if (!command.startsWith("show")) return "";
      if (command.endsWith("1")) this.shown++;
      const lines = this.sessions.map((s) => `    0: l3 ${s} | sess id 1 thread id 0 epoch 8001`);
      return `Sessions active: add 1 - deact 0 = ${lines.length}\n${command.endsWith("1") ? lines.join("\n") : ""}\n`;
    },
    dumpEach: async (_name: string, _input: object, each: (element: unknown) => void) => {
      const swapped = (port: number) => ((port & 0xff) << 8) | (port >> 8);
      for (const port of this.lately) {
        const tuple = { addr: [B, A], port: [swapped(port), swapped(40_000)], ip_proto: 6 };
        each({ session: { tuple, flags: 16 } });
      }
    },
    request: async (name: string, input: { is_add: boolean; table_index: number; match: Uint8Array }) => {
      if (name === "classify_add_del_table") return { new_table_index: this.#tables++ };
      const entry = `${input.table_index} ${Buffer.from(input.match).toString("hex")}`;
      if (input.is_add) this.entries.add(entry);
      else if (!this.entries.delete(entry)) throw new Error(`no entry ${entry}`);
      return {};
    },
  } as unknown as VppApi;

  /** Another one: nothing is there. */
  restart(): void {
    this.generation++;
    this.sessions = [];
    this.entries.clear();
  }
}

const session = (from: string, to: string, port: number, proto = 6) =>
  `${from} -> ${to} l4 lsb_of_sw_if_index 2 proto ${proto} l4_is_input 1 l4_slow_path 0 l4_flags 0x01 port 40000 -> ${port}`;

let vpp: Vpp;
let clock: ManualClock;
let denied: Set<string>;
let judge: SessionJudge;
const asked: ConnectionJudge = (id, direction, { peer, port }) => ({
  verdict: denied.has(`${id} ${direction} ${peer} ${port}`) ? "deny" : "accept",
});
const round = (...changed: string[]) => judge.rejudge({ rows: ROWS, changed: new Set(changed) }, asked, () => false);

beforeEach(() => {
  vpp = new Vpp();
  clock = new ManualClock();
  denied = new Set();
  judge = new SessionJudge(vpp, new FlowFilter(vpp), clock);
  vpp.sessions = [session(A, B, 80), session(A, B, 81), session(FAR, B, 80), session(B, FAR, 53, 17)];
});

it("a flow that either end denies is dropped both ways, and let go when it is allowed again", async () => {
  expect(await round("b")).toEqual({ judged: 4, stopped: 0, resumed: 0 });
  denied = new Set([`b ingress ${A} 80`, `b egress ${FAR} 53`]);
  expect(await round("b")).toMatchObject({ stopped: 2, resumed: 0 });
  expect(vpp.entries.size).toBe(4);
  expect(await round("b")).toMatchObject({ stopped: 0, resumed: 0 });
  denied = new Set([`b egress ${FAR} 53`]);
  expect(await round("b")).toMatchObject({ stopped: 0, resumed: 1 });
  expect(vpp.entries.size).toBe(2);
});

it("a flow that is allowed again is let go without a look at sessions", async () => {
  const resume = (...changed: string[]) => judge.resume({ rows: ROWS, changed: new Set(changed) }, asked, () => false);
  denied = new Set([`b ingress ${A} 80`, `b egress ${FAR} 53`]);
  await round("b");
  const { shown } = vpp;
  denied = new Set([`b egress ${FAR} 53`]);
  expect(await resume("c")).toBe(0);
  expect(await resume("a")).toBe(1);
  expect(await resume("b")).toBe(0);
  expect(vpp.entries.size).toBe(2);
  expect(vpp.shown).toBe(shown);
  expect(await round("b")).toMatchObject({ stopped: 0, resumed: 0 });
});

it("flows of pods that nothing has changed for are left alone", async () => {
  denied = new Set([`b ingress ${FAR} 80`]);
  expect(await round("a")).toMatchObject({ judged: 2, stopped: 0 });
});

it("another VPP drops what the one before it dropped, before it has seen a packet of it", async () => {
  denied = new Set([`b ingress ${A} 80`]);
  await round("b");
  vpp.restart();
  expect(await round()).toEqual({ judged: 1, stopped: 0, resumed: 0 });
  expect(vpp.entries.size).toBe(2);
});

it("a flow that has had no session for ten minutes is over", async () => {
  denied = new Set([`b ingress ${A} 80`]);
  await round("b");
  vpp.sessions = [];
  clock.advance(minutes(10));
  await round();
  expect(vpp.entries.size).toBe(2);
  clock.advance(seconds(1));
  expect(await round()).toMatchObject({ resumed: 0 });
  expect(vpp.entries.size).toBe(0);
});

it("of many flows VPP shows all only now and then: those since, and what was there, are dropped when they are denied", async () => {
  vpp.sessions = Array.from({ length: 1500 }, (_, port) => session(A, B, port + 1));
  expect(await round("b")).toMatchObject({ judged: 1500 });
  // One is new, and all others are silent.
  vpp.lately = [2000];
  vpp.sessions.push(session(A, B, 2000));
  denied = new Set([`b ingress ${A} 7`, `b ingress ${A} 2000`]);
  clock.advance(seconds(24));
  expect(await round("b")).toEqual({ judged: 1501, stopped: 2, resumed: 0 });
  expect(vpp.shown).toBe(1);
  clock.advance(seconds(1));
  await round("b");
  expect(vpp.shown).toBe(2);
});

it("of another VPP's flows nothing is known", async () => {
  vpp.sessions = Array.from({ length: 1500 }, (_, port) => session(A, B, port + 1));
  await round("b");
  vpp.restart();
  vpp.sessions = Array.from({ length: 1200 }, (_, port) => session(A, B, port + 1));
  expect(await round("b")).toMatchObject({ judged: 1200 });
  expect(vpp.shown).toBe(2);
});
