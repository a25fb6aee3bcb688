import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { NetlinkProtocol, native } from "../../../src/dataplane/linux/netlink/native.ts";
import { nftDescriptors } from "../../../src/dataplane/linux/nftables/descriptors.ts";
import type { NftBatch } from "../../../src/dataplane/linux/nftables/direct/batch.ts";
import { DirectNft } from "../../../src/dataplane/linux/nftables/direct/direct.ts";
import { NftProgram } from "../../../src/dataplane/linux/nftables/nft.ts";
import { policyBase } from "../../../src/dataplane/linux/policy/base.ts";
import { renderPolicyChanges } from "../../../src/dataplane/linux/policy/renderer.ts";
import { serviceBase } from "../../../src/dataplane/linux/services/base.ts";
import { renderServiceChanges } from "../../../src/dataplane/linux/services/renderer.ts";
import type { KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import {
  NFT_TABLE,
  NFT_TABLE_KEY,
  type NftChainValue,
  type NftElementValue,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../src/models/nft.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { CLIENTS } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { beginning, edit, thisNode } from "../../support/policy-oracle/random-cluster.ts";
import { history } from "../../support/services/random-services.ts";
import { isRoot, TestNamespaces } from "./netlink-support.ts";

const SETS: readonly NftSetValue[] = [
  { kind: "map", name: "verdicts", type: "ifname", data: "verdict" },
  { kind: "set", name: "counted", type: "ifname", counters: true },
  { kind: "set", name: "sources4", type: "ifname . ipv4_addr" },
  { kind: "set", name: "sources6", type: "ifname . ipv6_addr" },
  { kind: "set", name: "addresses", type: "ipv6_addr" },
  { kind: "set", name: "endpoints", type: "ipv4_addr . inet_proto . inet_service" },
  { kind: "map", name: "ports", type: "inet_proto . inet_service", data: "ipv4_addr . inet_service" },
  { kind: "map", name: "ports6", type: "ipv6_addr . inet_proto . inet_service", data: "ipv6_addr . inet_service" },
];

const target: NftChainValue = { name: "target", rules: ["counter drop"], uses: [], jumps: [] };

const ELEMENTS: readonly NftElementValue[] = [
  { set: "verdicts", key: "hd1", data: "jump target" },
  { set: "verdicts", key: "hd2", data: "goto target" },
  ...["continue", "accept", "drop", "return"].map((data, i) => ({ set: "verdicts", key: `hd1${i}`, data })),
  { set: "counted", key: "hd1" },
  // The longest name that a link may have.
  { set: "counted", key: "hd3456789012345" },
  { set: "sources4", key: "hd1 . 10.1.2.3" },
  { set: "sources6", key: "hd1 . fd00::1:2" },
  { set: "addresses", key: "2001:db8::1" },
  ...["tcp", "udp", "sctp"].map((protocol, i) => ({ set: "endpoints", key: `10.0.0.1 . ${protocol} . ${65_533 + i}` })),
  { set: "ports", key: "tcp . 80", data: "10.0.0.2 . 8080" },
  { set: "ports6", key: "fd00::1 . udp . 53", data: "fd00::2 . 5353" },
];

const keyed = (value: NftElementValue): [string, NftElementValue] => [nftElementKey(value.set, value.key), value];

const drop = (device: string): NftChainValue => ({
  name: `drop_${device}`,
  hook: { type: "filter", hook: "ingress", device, priority: -500, policy: "drop" },
  rules: [],
  uses: [],
  jumps: [],
});

/** What comes in which order in a set, or in the table, is the kernel's business. */
const sortedLines = (lists: readonly string[] | undefined): string[][] =>
  (lists ?? []).map((text) =>
    text
      .split(/[\n,]/)
      .map((line) => line.replace(/elements = \{|\}/g, "").trim())
      .sort(),
  );

describe.skipIf(!isRoot)("what goes to the kernel without nft (needs root and the program nft)", () => {
  const namespaces = new TestNamespaces();
  afterAll(() => namespaces[Symbol.dispose]());

  /** A table with sets and a chain, in a namespace that has two links; `direct` says how many batches went past nft. */
  async function setUp(isDirect = true, base: Iterable<KeyValue> = []) {
    const path = namespaces.add();
    const netns = path.split("/").at(-1) ?? "";
    const run = (...args: string[]): string =>
      execFileSync("ip", ["netns", "exec", netns, ...args], { encoding: "utf8" });
    for (const pair of ["hda", "hdb"]) run("ip", "link", "add", pair, "type", "veth", "peer", `${pair}p`);
    const kernel = new DirectNft(() => native().openNetlink({ netns: path, protocol: NetlinkProtocol.NETFILTER }));
    const batches: number[] = [];
    const direct = {
      commit: (batch: NftBatch): Promise<void> => {
        batches.push(batch.count);
        return kernel.commit(batch);
      },
    };
    const nft = new NftProgram(["ip", "netns", "exec", netns, "nft"]);
    const run1 = nft.run.bind(nft);
    let scripts = 0;
    nft.run = (script) => {
      scripts++;
      return run1(script);
    };
    const scheduler = createScheduler();
    for (const d of nftDescriptors(nft, undefined, isDirect ? direct : undefined)) scheduler.register(d);
    const change = async (...changes: readonly (readonly [string, unknown])[]): Promise<string[]> => {
      const { errors } = await scheduler.transact({ changes: changes.map(([key, value]) => [key, value]) });
      return [...errors.values()].map((e) => e.message);
    };
    const refused = await change(
      [NFT_TABLE_KEY, NFT_TABLE],
      [nftChainKey("target"), target],
      ...SETS.map((set) => [nftSetKey(set.name), set] as const),
      ...[...base].map(({ key, value }) => [key, value] as const),
    );
    expect([refused, batches]).toEqual([[], []]);
    const close = () => Promise.all([scheduler.close(), kernel.close()]);
    const resync = () => scheduler.transact({ resync: "downstream" });
    return {
      run,
      batches,
      scripts: () => scripts,
      change,
      close,
      resync,
      list: () => run("nft", "list", "table", "inet", "hd"),
    };
  }

  it("is what nft makes of it, for every type of element and for chains of devices, and is read back as it is", async () => {
    const listed = await Promise.all(
      [true, false].map(async (isDirect) => {
        const { list, change, batches, close, resync } = await setUp(isDirect);
        expect(await change(...ELEMENTS.map(keyed), [nftChainKey("drop_hda"), drop("hda")])).toEqual([]);
        expect(batches.length).toBe(isDirect ? 1 : 0);
        const { record } = await resync();
        expect(record.executed.filter(({ noop }) => !noop)).toEqual([]);
        await close();
        return list();
      }),
    );
    expect(listed[0]).toBe(listed[1]);
    expect(listed[0]).toContain('"hd1" : jump target');
    expect(listed[0]).toContain("counter packets 0");
  });

  it.each([
    "ip saddr @addresses4 counter return",
    "ip6 daddr . meta l4proto . th dport @endpoints6 counter goto target",
    "ip daddr . meta l4proto . th dport @endpoints counter goto target",
    "ip saddr 10.1.0.0/16 tcp dport 80 counter return",
    "ip saddr 10.1.2.0/23 udp dport 80-90 counter drop",
    "ip daddr 192.0.2.1 sctp dport 65535 accept",
    "ip6 saddr fd00::/61 meta l4proto sctp counter return",
    "ip6 daddr fd00::1 counter continue",
    "meta nfproto ipv6 meta l4proto udp counter jump target",
    "ip saddr { 10.1.0.0/16, 10.2.3.4, 10.2.3.5/32, 10.3.0.0/24, 255.255.255.0/24 } counter return",
    "ip daddr { 0.0.0.0/1, 192.0.2.1 } tcp dport { 443, 80, 8000-8010, 8011 } counter return",
    "ip6 saddr { fd00::1, 2001:db8::2 } udp dport { 1, 3 } counter return",
    "fib daddr type local counter return",
    "goto target",
    "meta l4proto tcp dnat ip to 10.0.0.1:8080",
    "meta l4proto sctp dnat ip6 to [fd00::1]:8080",
    "meta l4proto tcp numgen random mod 3 0 dnat ip to 10.0.0.1:8080",
    "numgen random mod 2 0 goto target",
    "meta l4proto udp dnat ip to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }",
    "meta l4proto tcp dnat ip6 to numgen random mod 2 map { 0 : fd00::1 . 80, 1 : fd00::2 . 81 }",
    "meta l4proto tcp dnat ip to jhash ip saddr . tcp sport mod 2 seed 0x1 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }",
    "meta l4proto udp dnat ip6 to jhash ip6 saddr . udp sport mod 2 seed 0x1 map { 0 : fd00::1 . 80, 1 : fd00::1 . 80 }",
    "numgen random mod 2 vmap { 0 : goto target, 1 : goto target }",
    "jhash ip saddr mod 3 seed 0x1 vmap { 0 : goto target, 1 : goto target, 2 : goto target }",
    "jhash ip6 saddr mod 2 seed 0x1 vmap { 0 : goto target, 1 : goto target }",
    "ip saddr @clients4 goto target",
    "update @clients4 { ip saddr }",
    "update @clients6 { ip6 saddr }",
    "ip saddr != { 10.0.0.0/8, 192.0.2.1 } drop",
    "ip6 saddr != { fd00::1 } drop",
    "ct mark set ct mark | 0x00000200",
    "ct mark set ct mark & 0xfffff1ff",
  ])("has nft read what it would have written of a rule: %s", async (rule) => {
    const listed = await Promise.all(
      [true, false].map(async (isDirect) => {
        const { list, change, batches, close } = await setUp(isDirect);
        const sets: NftSetValue[] = [
          { kind: "set", name: "addresses4", type: "ipv4_addr" },
          { kind: "set", name: "endpoints6", type: "ipv6_addr . inet_proto . inet_service" },
          { kind: "set", name: "clients4", type: "ipv4_addr", flags: ["dynamic", "timeout"], timeout: 10_800 },
          { kind: "set", name: "clients6", type: "ipv6_addr", flags: ["dynamic", "timeout"], timeout: 1 },
        ];
        const ruled: NftChainValue = {
          name: "ruled",
          rules: [rule, "counter drop"],
          uses: [...rule.matchAll(/@(\w+)/g)].map(([, name]) => name ?? ""),
          jumps: rule.includes("goto target") ? ["target"] : [],
        };
        const made = sets.map((set) => [nftSetKey(set.name), set] as const);
        expect(await change(...made, [nftChainKey("ruled"), ruled])).toEqual([]);
        expect(batches.length).toBe(isDirect ? 1 : 0);
        await close();
        return list();
      }),
    );
    expect(listed[0]).toBe(listed[1]);
  });

  it("is what nft makes of the policies of random clusters, and of their changes", async () => {
    const histories = fc.sample(fc.tuple(beginning, fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }))), 12);
    let written = 0;
    for (const [first, edits] of histories) {
      const listed = await Promise.all(
        [true, false].map(async (isDirect) => {
          const { list, change, scripts, batches, close } = await setUp(isDirect, policyBase());
          const lists: string[] = [];
          const engine = new PolicyEngine();
          engine.apply([thisNode]);
          for (const inputs of [first, ...edits]) {
            const items = renderPolicyChanges(engine.apply(inputs), engine);
            expect(await change(...[...items].map(({ key, value }) => [key, value] as const))).toEqual([]);
            lists.push(list());
          }
          if (isDirect) expect(scripts()).toBe(1);
          written += batches.length;
          await close();
          return lists;
        }),
      );
      expect(sortedLines(listed[0])).toEqual(sortedLines(listed[1]));
    }
    expect(written).toBeGreaterThan(20);
  });

  it("is what nft makes of random services, and of their changes, and is read back as it is", async () => {
    let written = 0;
    for (const [config, first, edits] of fc.sample(history, 8)) {
      const listed = await Promise.all(
        [true, false].map(async (isDirect) => {
          const { list, change, batches, resync, close } = await setUp(isDirect, serviceBase(CLIENTS));
          const lists: string[] = [];
          const engine = new ServiceEngine(config);
          for (const inputs of [first, ...edits]) {
            const items = new Map(
              [...renderServiceChanges(engine.apply(inputs), engine, CLIENTS)].map((i) => [i.key, i]),
            );
            expect(await change(...[...items.values()].map(({ key, value }) => [key, value] as const))).toEqual([]);
            lists.push(list());
          }
          const { record } = await resync();
          expect(record.executed.filter(({ noop }) => !noop)).toEqual([]);
          written += batches.length;
          await close();
          return lists;
        }),
      );
      expect(sortedLines(listed[0])).toEqual(sortedLines(listed[1]));
    }
    expect(written).toBeGreaterThan(20);
  });

  it("changes and goes again", async () => {
    const { list, change, batches, close } = await setUp();
    const before = list();
    const device = nftChainKey("drop_hdb");
    await change(...ELEMENTS.map(keyed), [device, drop("hdb")]);
    await change(keyed({ set: "verdicts", key: "hd1", data: "continue" }));
    expect(list()).toContain('"hd1" : continue');
    const gone = await change(...ELEMENTS.map((value) => [keyed(value)[0], undefined] as const), [device, undefined]);
    expect(gone).toEqual([]);
    expect(batches.length).toBe(3);
    expect(list()).toBe(before);
    await close();
  });

  it("is refused, all of it, when the kernel refuses one thing, and says which; the rest is done without it", async () => {
    const { run, list, change, batches, close } = await setUp();
    run("nft", "add", "element", "inet", "hd", "ports", "{ tcp . 81 : 10.0.0.9 . 9 }");
    const other = { set: "ports", key: "tcp . 81", data: "10.0.0.2 . 2" };
    const messages = await change(keyed({ set: "counted", key: "hd9" }), keyed(other));
    expect(messages.join()).toMatch(/element ports \{ tcp \. 81 \}: .*EEXIST/);
    expect(batches[0]).toBe(2);
    expect(list()).toContain('"hd9"');
    expect(list()).toContain("tcp . 81 : 10.0.0.9 . 9");
    await close();
  });

  it("loses the rules that somebody has put into a chain of ours", async () => {
    const { run, list, change, close } = await setUp();
    await change([nftChainKey("drop_hda"), drop("hda")]);
    run("nft", "add", "rule", "inet", "hd", "drop_hda", "accept");
    await change([nftChainKey("drop_hda"), undefined]);
    expect(list()).not.toContain("drop_hda");
    await close();
  });
});
