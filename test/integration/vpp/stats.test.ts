import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { native } from "../../../src/dataplane/linux/netlink/native.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { metricFamilies } from "../../../src/dataplane/vpp/stats/metrics.ts";
import { StatsReader } from "../../../src/dataplane/vpp/stats/reader.ts";
import { renderMetrics } from "../../../src/kvscheduler/introspect/metrics.ts";
import { until } from "../../support/until.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const NO_MAC = "00:00:00:00:00:00";

describe.skipIf(VPP_BINARY === undefined)(`statistics of a real VPP${vppNote}`, () => {
  let vpp: RealVpp;
  let client: VppClient;
  let reader: StatsReader;
  beforeAll(async () => {
    vpp = await RealVpp.start();
    client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
    reader = new StatsReader({ socket: join(vpp.directory, "stats.sock") });
  });
  afterAll(async () => {
    reader?.[Symbol.dispose]();
    await client?.close();
    await vpp?.[Symbol.asyncDispose]();
  });

  const loopback = async (instance: number): Promise<number> => {
    const input = { mac_address: NO_MAC, is_specified: true, user_instance: instance };
    return (await client.request("create_loopback_instance", input)).sw_if_index;
  };

  it("reads what VPP's heaps, buffers and threads report", async () => {
    const snapshot = await until("the collector's first run", async () => {
      const s = await reader.snapshot();
      return s.bootTime > 0 ? s : undefined;
    });
    expect(Math.abs(snapshot.bootTime - Date.now() / 1000)).toBeLessThan(120);
    expect(snapshot.heaps.find((h) => h.heap === "main heap")).toMatchObject({ total: 512 << 20 });
    expect(snapshot.buffers[0]?.available).toBeGreaterThan(1000);
    expect(snapshot.loopsPerSecond.length).toBeGreaterThan(0);
  });

  it("counts packets, punts and errors as VPP's own CLI does", async () => {
    const swIfIndex = await loopback(0);
    await client.request("sw_interface_set_flags", { sw_if_index: swIfIndex, flags: 1 });
    const stream = [
      "packet-generator new { name hd limit 7 node ethernet-input interface loop0 size 100-100",
      "data { IP4: 02:00:00:00:00:01 -> 02:00:00:00:00:02 UDP: 192.0.2.1 -> 192.0.2.2 UDP: 1 -> 2 incrementing 30 } }",
    ];
    await client.cli(stream.join(" "));
    await client.cli("packet-generator enable-stream");
    const snapshot = await until("the packets", async () => {
      const s = await reader.snapshot();
      return s.interfaces.some((i) => i.swIfIndex === swIfIndex && i.punts >= 7) ? s : undefined;
    });
    const loop0 = snapshot.interfaces.find((i) => i.swIfIndex === swIfIndex);
    expect(loop0).toMatchObject({ name: "loop0", rxPackets: 7, rxBytes: 700, punts: 7, drops: 0 });
    expect(snapshot.errors.some((e) => e.count >= 7)).toBe(true);
    const errors = await client.cli("show errors");
    for (const { node, error, count } of snapshot.errors) {
      const row = errors.split("\n").find((line) => line.includes(` ${node} `) && line.includes(String(count)));
      expect(row, `${node}: ${error} in ${errors}`).toBeDefined();
    }
    const punts = metricFamilies(snapshot, (index) =>
      index === swIfIndex ? { namespace: "ns", pod: "p", interface: "eth0" } : undefined,
    ).find((family) => family.name === "heddle_vpp_interface_punts_total");
    expect(punts?.samples).toContainEqual({
      labels: { vpp_interface: "loop0", namespace: "ns", pod: "p", interface: "eth0" },
      value: 7,
    });
  });

  it("follows interfaces that come and go between and during readings, all 500 of them", async () => {
    // in many turns, so that readings come between them
    const make = async (): Promise<number[]> => {
      const made: number[] = [];
      while (made.length < 500) {
        const first = 100 + made.length;
        made.push(...(await Promise.all(Array.from({ length: 20 }, (_, i) => loopback(first + i)))));
      }
      return made;
    };
    let readings = 0;
    let done = false;
    // joined below, after what it reads about is made
    const reading = (async () => {
      while (!done) {
        const { interfaces } = await reader.snapshot();
        for (const { name } of interfaces) expect(name).toMatch(/^(local0|loop\d+|pg-\d+)$/);
        readings++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const indexes = await make().finally(() => {
      done = true;
    });
    await reading;
    expect(readings).toBeGreaterThan(1);
    const before = await reader.snapshot();
    expect(indexes.filter((index) => !before.interfaces.some((i) => i.swIfIndex === index))).toEqual([]);
    const times: number[] = [];
    let text = "";
    for (let i = 0; i < 40; i++) {
      const start = performance.now();
      text = renderMetrics(metricFamilies(await reader.snapshot()));
      times.push(performance.now() - start);
    }
    expect(text.match(/^heddle_vpp_interface_drops_total/gm)?.length).toBeGreaterThan(500);
    // Of the fastest: a machine that does something else at the time makes readings slower, a bad reader makes all so.
    expect(times.toSorted((a, b) => a - b)[3]).toBeLessThan(5);
    await client.request("delete_loopback", { sw_if_index: indexes[0] ?? 0 });
    const after = await reader.snapshot();
    expect(after.interfaces.some((i) => i.swIfIndex === indexes[0])).toBe(false);
  });

  it("maps the segment of VPP's next life", async () => {
    const before = await reader.snapshot();
    const opened = reader.opened;
    await vpp.kill();
    reader.reopen();
    await expect(reader.snapshot()).rejects.toMatchObject({ code: "NO_SEGMENT" });
    await vpp.run();
    const after = await until("the new segment", () => reader.snapshot().catch(() => undefined));
    expect(reader.opened).toBe(opened + 1);
    expect(after.interfaces.length).toBeLessThan(before.interfaces.length);
  });

  it("maps it also when nobody tells that VPP died", async () => {
    await reader.snapshot();
    const opened = reader.opened;
    await vpp.kill();
    await vpp.run();
    await until("the new segment", async () => {
      await reader.snapshot().catch(() => undefined);
      return reader.opened > opened;
    });
  });

  it("gives up on a VPP that hangs", async () => {
    reader.reopen();
    vpp.pause();
    try {
      await expect(reader.snapshot()).rejects.toMatchObject({ code: "NO_SEGMENT" });
    } finally {
      vpp.resume();
    }
    expect((await reader.snapshot()).interfaces.length).toBeGreaterThan(0);
  });
});

/** Answers the one who connects as argv[2] says; `shrink` cuts its memory when its standard input ends. */
const GIVER = `
import os, socket, sys, time
path, mode = sys.argv[1:]
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(path)
server.listen(1)
print("ready", flush=True)
client, _ = server.accept()
fd = os.memfd_create("hd")
os.write(fd, bytes(range(200)))
if mode in ("memory", "shrink"):
    socket.send_fds(client, [b"x"], [fd])
elif mode == "many":
    socket.send_fds(client, [b"x"], [fd, fd, fd])
elif mode == "socket":
    socket.send_fds(client, [b"x"], [server.fileno()])
elif mode == "empty":
    socket.send_fds(client, [b"x"], [os.memfd_create("hd0")])
elif mode == "bytes":
    client.send(b"x")
elif mode == "close":
    client.close()
sys.stdin.read()
os.ftruncate(fd, 0)
print("cut", flush=True)
`;

describe("memory that another process shares", () => {
  const giver = async (mode: string) => {
    const directory = mkdtempSync(join(tmpdir(), "hd-mem-"));
    const socket = join(directory, "s");
    const child = spawn("python3", ["-c", GIVER, socket, mode], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return {
      socket,
      child,
      async [Symbol.asyncDispose]() {
        const exit = child.exitCode === null ? once(child, "exit") : undefined;
        child.kill("SIGKILL");
        await exit;
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };

  it("is read within its bounds only", async () => {
    await using from = await giver("memory");
    const memory = await native().receiveMemory(from.socket, 5000);
    expect(memory.size).toBe(200);
    const target = new Uint8Array(32);
    memory.read(8, 19, target);
    expect([...target.subarray(0, 20)]).toEqual([...Array.from({ length: 19 }, (_, i) => 8 + i), 0]);
    memory.read(3, 5, target);
    expect([...target.subarray(0, 5)]).toEqual([3, 4, 5, 6, 7]);
    memory.read(200, 0, target);
    const bad = [
      [-1, 1],
      [0, -1],
      [200, 1],
      [199, 2],
      [0, 33],
      [2 ** 53, 8],
      [0, 2 ** 64],
      [0.5, 1],
      [Number.NaN, 1],
      [0, Number.POSITIVE_INFINITY],
    ] as const;
    for (const [offset, length] of bad) {
      expect(() => memory.read(offset, length, target), `${offset} ${length}`).toThrow(
        expect.objectContaining({ code: "OUT_OF_BOUNDS" }),
      );
    }
    memory.close();
    memory.close();
    expect(memory.size).toBe(0);
    expect(() => memory.read(0, 1, target)).toThrow(expect.objectContaining({ code: "CLOSED" }));
  });

  it("is not touched after it was cut short", async () => {
    await using from = await giver("shrink");
    const memory = await native().receiveMemory(from.socket, 5000);
    const cut = once(from.child.stdout, "data");
    from.child.stdin.end();
    await cut;
    expect(() => memory.read(0, 8, new Uint8Array(8))).toThrow(expect.objectContaining({ code: "OUT_OF_BOUNDS" }));
    memory.close();
  });

  it.each([
    ["socket", "EPROTO"],
    ["empty", "EPROTO"],
    ["bytes", "EPROTO"],
    ["close", "EPROTO"],
    ["hang", "ETIMEDOUT"],
  ])("is refused from a process that answers with: %s", async (mode, code) => {
    await using from = await giver(mode);
    await expect(native().receiveMemory(from.socket, 300)).rejects.toMatchObject({ code });
  });

  it("comes with no descriptors left open", async () => {
    await using from = await giver("many");
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    const memory = await native().receiveMemory(from.socket, 5000);
    expect(open()).toBe(before + 1);
    memory.close();
    expect(open()).toBe(before);
  });

  it("is missing where nobody listens", async () => {
    await expect(native().receiveMemory("/nonexistent/s", 300)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(native().receiveMemory(`/${"x".repeat(200)}`, 300)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
  });
});
