import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClosedError } from "../../../src/base/errors/errors.ts";
import { addressAdd } from "../../../src/dataplane/linux/netlink/address.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { readFeatures, setFeatures } from "../../../src/dataplane/linux/netlink/features.ts";
import { linkAdd, linkDelete, linkGet, linkSet } from "../../../src/dataplane/linux/netlink/link-requests.ts";
import { type MonitorEvent, NetlinkMonitor } from "../../../src/dataplane/linux/netlink/monitor.ts";
import { type NativeStep, native } from "../../../src/dataplane/linux/netlink/native.ts";
import { inNetns, Netns, netnsIdentity, readSysctl, writeSysctl } from "../../../src/dataplane/linux/netlink/netns.ts";
import { routeAdd } from "../../../src/dataplane/linux/netlink/route-requests.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

/** The namespaces of this process's threads, each once. */
function threadNamespaces(): Set<string> {
  return new Set(readdirSync("/proc/self/task").map((id) => readlinkSync(`/proc/self/task/${id}/ns/net`)));
}

const veth = (name: string) => linkAdd({ name, info: { kind: "veth", peer: { name: `${name}p` } } });

describe.skipIf(!isRoot)("the native addon", () => {
  const namespaces = new TestNamespaces();
  let path: string;

  beforeEach(() => {
    path = namespaces.add();
  });
  afterEach(() => namespaces[Symbol.dispose]());

  describe("namespaces", () => {
    const scratch = join(tmpdir(), `hd-netns-${process.pid}`);
    const fifo = join(scratch, "fifo");
    const file = join(scratch, "file");
    beforeEach(() => {
      mkdirSync(scratch);
      execFileSync("mkfifo", [fifo]);
      writeFileSync(file, "");
      return () => rmSync(scratch, { recursive: true });
    });

    it.each([
      ["a file", file, "NOT_A_NETNS"],
      ["a directory", scratch, "NOT_A_NETNS"],
      ["a FIFO, at which nothing waits", fifo, "NOT_A_NETNS"],
      ["a device", "/dev/null", "NOT_A_NETNS"],
      ["a namespace of another kind", "/proc/self/ns/mnt", "NOT_A_NETNS"],
      ["nothing", join(scratch, "gone"), "ENOENT"],
      ["something below a file", join(file, "x"), "ENOTDIR"],
    ])("are refused by name: %s", async (_, bad, code) => {
      const expected = expect.objectContaining({ code, message: expect.stringContaining(bad) });
      await expect(Netns.open(bad)).rejects.toEqual(expected);
      await expect(RtNetlink.open({ netns: bad })).rejects.toEqual(expected);
      await expect(inNetns(bad, [{ read: "net/ipv4/ip_forward" }])).rejects.toEqual(expected);
      expect(threadNamespaces().size).toBe(1);
    });

    it("are left again by every thread, whatever happened inside", async () => {
      const before = threadNamespaces();
      const work = Array.from({ length: 40 }, (_, i) =>
        inNetns(path, [
          { read: "net/ipv4/ip_forward" },
          { read: "net/no/such" },
          { write: "net/ipv4/ip_forward", value: "nonsense" },
          { requests: [linkGet({ index: 1 }), linkGet({ name: `hdnone${i}` })] },
        ]),
      );
      const results = await Promise.all(work);
      expect(results).toHaveLength(40);
      for (const result of results) {
        expect(result).toMatchObject([
          { ok: true, value: "0" },
          { ok: false, error: { code: "ENOENT" } },
          { ok: false, error: { code: "EINVAL" } },
          [{ ok: true }, { ok: false, error: { code: "ENODEV" } }],
        ]);
      }
      expect(threadNamespaces()).toEqual(before);
      expect(before.size).toBe(1);
    });

    it("are told apart by their identity, not by their path", async () => {
      const { dev, ino } = statSync(path, { bigint: true });
      expect(await netnsIdentity(path)).toBe(`${dev}:${ino}`);
      expect(await netnsIdentity(namespaces.add())).not.toBe(await netnsIdentity(path));
    });

    it("stay while they are open, and can be closed while work in them is under way", async () => {
      const netns = await Netns.open(path);
      namespaces[Symbol.dispose]();
      const working = inNetns(netns.fd, [{ requests: [veth("hd0"), linkGet({ name: "hd0" })] }]);
      netns.close();
      netns.close();
      expect(await working).toMatchObject([[{ ok: true }, { ok: true, value: { name: "hd0" } }]]);
      expect(netns.fd).toBe(-1);
    });

    it("are not taken from a descriptor of something else", async () => {
      await expect(RtNetlink.open({ netns: 0 })).rejects.toMatchObject({ code: "NOT_A_NETNS" });
      await expect(RtNetlink.open({ netns: 9999 })).rejects.toMatchObject({ code: "EBADF" });
    });

    it("have sysctls of their own", async () => {
      expect(await readSysctl(path, "net/ipv4/ip_forward")).toBe("0");
      await writeSysctl(path, "net/ipv4/ip_forward", "1");
      expect(await readSysctl(path, "net/ipv4/ip_forward")).toBe("1");
      expect(runIn(path, "cat /proc/sys/net/ipv4/ip_forward")).toBe("1\n");
      expect(await readSysctl(namespaces.add(), "net/ipv4/ip_forward")).toBe("0");
    });

    it.each([
      "net/../kernel/hostname",
      "kernel/hostname",
      "/net/ipv4/ip_forward",
      "net//x",
      "net/./x",
      "net/",
      "net",
      "",
    ])("give access to sysctls of the network only: '%s' is refused", async (name) => {
      await expect(readSysctl(path, name)).rejects.toThrow("not a sysctl under net/");
    });
  });

  describe("taps", () => {
    it("are made in the namespace that is asked for, stay without anybody, and have no carrier until then", async () => {
      const before = threadNamespaces();
      expect(await inNetns(path, [{ tap: "hd0" }])).toEqual([{ ok: true, value: "" }]);
      const [shown] = JSON.parse(runIn(path, "ip -d -j link show hd0")) as [{ linkinfo: object }];
      const data = { type: "tap", pi: false, vnet_hdr: true, multi_queue: true, numqueues: 0, persist: true };
      expect(shown.linkinfo).toMatchObject({ info_kind: "tun", info_data: data });
      await expect(readFeatures(undefined, "hd0", ["gso"])).rejects.toMatchObject({ code: "ENODEV" });
      expect(threadNamespaces()).toEqual(before);
    });

    it("are not made where there is a link of that name, whatever it is", async () => {
      runIn(path, "ip link add hd0 type veth peer name hd0p");
      expect(await inNetns(path, [{ tap: "hd0" }])).toMatchObject([{ ok: false, error: { code: "EEXIST" } }]);
      await inNetns(path, [{ tap: "hd1" }]);
      expect(await inNetns(path, [{ tap: "hd1" }])).toMatchObject([{ ok: false, error: { code: "EEXIST" } }]);
      expect(() => native().runIn(path, [{ tap: "n".repeat(16) }])).toThrow(TypeError);
    });
  });

  describe("features of links", () => {
    /** As ethtool shows them, which asks in another way. */
    const shown = () =>
      ["tx-tcp-segmentation", "tx-tcp6-segmentation", "generic-segmentation-offload", "generic-receive-offload"].filter(
        (feature) => runIn(path, "ethtool -k hd0").includes(`${feature}: on`),
      );
    const all = ["tso", "gso", "gro"] as const;
    beforeEach(() => {
      runIn(path, "ip link add hd0 type veth peer name hd0p");
    });

    it("are read and switched in the namespace that is asked for, and in no other", async () => {
      const before = threadNamespaces();
      expect(await readFeatures(path, "hd0", all)).toEqual(["tso", "gso"]);
      await setFeatures(path, "hd0", [
        ["tso", false],
        ["gso", false],
        ["gro", true],
      ]);
      expect(await readFeatures(path, "hd0", all)).toEqual(["gro"]);
      expect(shown()).toEqual(["generic-receive-offload"]);
      expect(await readFeatures(path, "hd0p", all)).toEqual(["tso", "gso"]);
      await setFeatures(path, "hd0", [["tso", true]]);
      expect(shown()).toEqual(["tx-tcp-segmentation", "tx-tcp6-segmentation", "generic-receive-offload"]);
      await expect(readFeatures(undefined, "hd0", all)).rejects.toMatchObject({ code: "ENODEV" });
      expect(threadNamespaces()).toEqual(before);
    });

    it("are refused by the errno's name, each step for itself", async () => {
      const results = await native().runIn(path, [
        { link: "hdnone", feature: "tso" },
        { link: "hd0", feature: "tso", on: false },
        { link: "hd0", feature: "tso" },
      ]);
      expect(results).toMatchObject([{ code: "ENODEV", syscall: "ioctl", path: "hdnone" }, Buffer.of(), Buffer.of(0)]);
      await expect(setFeatures(path, "hdnone", [["gso", true]])).rejects.toMatchObject({
        code: "ENODEV",
        message: expect.stringContaining(`switch hdnone's features to gso on [${path}]`),
      });
      await expect(readFeatures("/run/netns/hdnone", "hd0", all)).rejects.toMatchObject({ code: "ENOENT" });
    });

    it.each<[string, unknown]>([
      ["a name of 16 characters, which would be cut", { link: "hd0123456789abcd", feature: "tso" }],
      ["an empty name", { link: "", feature: "tso" }],
      ["a name with NUL", { link: "hd0\0", feature: "tso" }],
      ["a feature that it does not know", { link: "hd0", feature: "rx" }],
      ["a feature that is no text", { link: "hd0", feature: 1 }],
      ["a setting that is no boolean", { link: "hd0", feature: "tso", on: 1 }],
    ])("are not asked of the kernel with %s", async (_, step) => {
      expect(() => native().runIn(path, [step as NativeStep])).toThrow(TypeError);
      expect(await readFeatures(path, "hd0", all)).toEqual(["tso", "gso"]);
    });
  });

  describe("sockets", () => {
    it("do requests in order, and everything that was asked before they are closed", async () => {
      const client = await RtNetlink.open({ netns: path });
      const made = client.request(veth("hd0"));
      const read = client.request(linkGet({ name: "hd0" }));
      expect(await made).toMatchObject({ name: "hd0" });
      expect(await read).toMatchObject({ name: "hd0" });
      const links = client.links();
      const gone = client.request(linkDelete({ name: "hd0" }));
      expect(await links).toHaveLength(3);
      await gone;
      await client.close();
    });

    it("can be closed with a request under way and others waiting", async () => {
      const client = await RtNetlink.open({ netns: path });
      await client.request(veth("hd0"));
      const underWay = client.request(linkDelete({ name: "hd0" }));
      await new Promise(setImmediate);
      const waiting = [client.request(linkGet({ index: 1 })), client.links()];
      const closed = client.close();
      const outcomes = await Promise.allSettled([underWay, ...waiting, client.request(linkGet({ index: 1 }))]);
      expect(outcomes[0]?.status).toBe("fulfilled");
      for (const outcome of outcomes.slice(1)) {
        expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(ClosedError) });
      }
      await closed;
      await client.close();
    });

    it("refuse what is not a request without harm", async () => {
      const socket = await native().openNetlink({ netns: path, protocol: 0 });
      const call = socket.transact.bind(socket) as (request: unknown) => Promise<Buffer>;
      expect(() => call("x")).toThrow(TypeError);
      expect(() => call(new Float64Array(2))).toThrow(TypeError);
      expect(() => call(new Uint8Array(1 << 20))).toThrow(RangeError);
      // The kernel ignores what is too short for a message.
      expect(await call(new Uint8Array(7))).toHaveLength(0);
      socket.close();
      socket.close();
      await expect(call(new Uint8Array(16))).rejects.toMatchObject({ code: "CLOSED" });
      expect(() => socket.listen(() => {})).toThrow("closed");
    });

    it("never mix answers of requests that were made at the same time", async () => {
      const client = await RtNetlink.open({ netns: path });
      const names = Array.from({ length: 50 }, (_, i) => `hd${i}`);
      await client.burst(names.map((name) => linkAdd({ name, info: { kind: "ifb" } })));
      const read = await Promise.all(names.map((name) => client.request(linkGet({ name }))));
      expect(read.map((link) => link?.name)).toEqual(names);
      await client.close();
    });

    it("leave the event loop free while the kernel deletes a link", async () => {
      const client = await RtNetlink.open({ netns: path });
      await client.burst(Array.from({ length: 10 }, (_, i) => veth(`hd${i}`)));
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      let turns = 0;
      let deleting = true;
      const turning = (async () => {
        while (deleting) {
          turns++;
          await new Promise(setImmediate);
        }
      })();
      const start = performance.now();
      // One datagram: the worker thread is inside the kernel for all ten.
      await client.burst(Array.from({ length: 10 }, (_, i) => linkDelete({ name: `hd${i}` })));
      const took = performance.now() - start;
      deleting = false;
      await turning;
      delay.disable();
      // Each deletion waits for a grace period or two; the loop meanwhile turns thousands of times.
      expect(turns).toBeGreaterThan(100);
      expect(delay.max / 1e6).toBeLessThan(Math.max(took / 2, 20));
      await client.close();
    });

    it("end with the thread that opened them, requests under way and listeners included", async () => {
      const url = new URL("../../../src/dataplane/linux/netlink/native.ts", import.meta.url);
      const code = `
        import { parentPort } from "node:worker_threads";
        import { native } from ${JSON.stringify(url.href)};
        const options = { netns: ${JSON.stringify(path)}, protocol: 0 };
        const socket = await native().openNetlink(options);
        (await native().openNetlink({ ...options, groups: [1] })).listen(() => {});
        for (let i = 0; i < 50; i++) void socket.transact(new Uint8Array(16));
        await socket.transact(new Uint8Array(16));
        for (let i = 0; i < 50; i++) void socket.transact(new Uint8Array(16));
        void native().openNetns(options.netns);
        parentPort.postMessage("ready");
        setInterval(() => {}, 1000);`;
      const dir = mkdtempSync(join(tmpdir(), "hd-worker-"));
      const script = join(dir, "worker.mjs");
      writeFileSync(script, code);
      const worker = new Worker(script);
      await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      expect(await worker.terminate()).toBe(1);
      expect(threadNamespaces().size).toBe(1);
      rmSync(dir, { recursive: true });
    });
  });

  describe("monitors", () => {
    /** A listener that keeps what it hears, and can be waited for. */
    function recorder() {
      const events: MonitorEvent[] = [];
      let overruns = 0;
      let wake = () => {};
      return {
        get overruns() {
          return overruns;
        },
        seen: events,
        events(more: readonly MonitorEvent[]) {
          events.push(...more);
          wake();
        },
        overrun() {
          overruns++;
          wake();
        },
        async until(condition: () => boolean): Promise<void> {
          while (!condition()) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        },
      };
    }

    it("report links, addresses, routes and neighbours as they change, in order", async () => {
      const listener = recorder();
      const subjects = ["link", "address", "route", "neighbour"] as const;
      using _monitor = await NetlinkMonitor.open({ netns: path, subjects }, listener);
      const client = await RtNetlink.open({ netns: path });
      const link = await client.request(veth("hd0"));
      const index = link?.index ?? 0;
      await client.burst([
        linkSet({ index }, { up: true }),
        addressAdd({ index, address: "10.1.0.1/24" }),
        routeAdd({ dst: "10.2.0.0/16", gateway: "10.1.0.2", oif: index }),
        linkDelete({ index }),
      ]);
      await listener.until(() => listener.seen.some((e) => e.subject === "link" && e.gone && e.object.name === "hd0"));
      const at = (found: (e: MonitorEvent) => boolean) => listener.seen.findIndex(found);
      const order = [
        at((e) => e.subject === "link" && !e.gone && e.object.name === "hd0"),
        at((e) => e.subject === "address" && !e.gone && e.object.address === "10.1.0.1/24"),
        at((e) => e.subject === "route" && !e.gone && e.object.dst === "10.2.0.0/16"),
        at((e) => e.subject === "address" && e.gone && e.object.address === "10.1.0.1/24"),
        at((e) => e.subject === "link" && e.gone && e.object.name === "hd0"),
      ];
      expect(order).not.toContain(-1);
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(listener.overruns).toBe(0);
      await client.close();
    });

    it("say when they could not keep up, and go on", async () => {
      const listener = recorder();
      using _monitor = await NetlinkMonitor.open({ netns: path, subjects: ["route"], receiveBuffer: 4096 }, listener);
      const client = await RtNetlink.open({ netns: path });
      const index = (await client.request(veth("hd0")))?.index ?? 0;
      await client.request(linkSet({ index }, { up: true }));
      // The loop stands still until all these have been announced.
      const batch = Array.from({ length: 1000 }, (_, i) => `route add 10.${i >> 8}.${i & 255}.0/24 dev hd0\n`).join("");
      const name = path.slice(path.lastIndexOf("/") + 1);
      execFileSync("ip", ["-n", name, "-batch", "-"], { input: batch });
      await listener.until(() => listener.overruns > 0);
      await client.request(routeAdd({ dst: "10.99.0.0/24", oif: index }));
      await listener.until(() => listener.seen.some((e) => e.subject === "route" && e.object.dst === "10.99.0.0/24"));
      await client.close();
    });

    it("can be closed from inside their callback, and are silent then", async () => {
      const client = await RtNetlink.open({ netns: path });
      const socket = await native().openNetlink({ netns: path, protocol: 0, groups: [1] });
      let calls = 0;
      const called = new Promise<void>((resolve) => {
        socket.listen(() => {
          calls++;
          socket.close();
          resolve();
        });
      });
      await client.request(veth("hd0"));
      await called;
      await client.request(linkDelete({ name: "hd0" }));
      await new Promise(setImmediate);
      expect(calls).toBe(1);
      await client.close();
    });

    it("ignore what other processes send to their port", async () => {
      const listener = recorder();
      const seen: Buffer[] = [];
      const socket = await native().openNetlink({ netns: path, protocol: 0, groups: [1] });
      socket.listen((bytes) => seen.push(bytes));
      using _monitor = await NetlinkMonitor.open({ netns: path, subjects: ["link"] }, listener);
      const forge = [
        "import socket,struct",
        "s=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,0)",
        "s.bind((0,0))",
        `s.sendto(struct.pack('=IHHII',16,16,0,0,0),(${socket.portId},0))`,
      ].join("\n");
      const name = path.slice(path.lastIndexOf("/") + 1);
      execFileSync("ip", ["netns", "exec", name, "python3", "-c", forge]);
      const client = await RtNetlink.open({ netns: path });
      await client.request(veth("hd0"));
      await listener.until(() => listener.seen.length > 0);
      for (const bytes of seen) expect(bytes.length).toBeGreaterThan(16);
      expect(listener.overruns).toBe(0);
      socket.close();
      await client.close();
    });
  });
});
