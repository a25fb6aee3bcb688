import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { addNetns, deleteNetns, ipBatch } from "../../../src/lab/net/ip.ts";
import { findExecutables } from "../../../src/lab/paths.ts";
import { Prober } from "../../../src/lab/probe/client.ts";
import { execIn } from "../../support/agent-node.ts";
import { whyNoNetns } from "../../support/lab/toy.ts";

const why = whyNoNetns();
const id = `hdt${randomBytes(3).toString("hex")}`;
const [a, b] = [`${id}-a`, `${id}-b`];
const ADDRESSES = { ipv4: ["10.9.9.1", "10.9.9.2"], ipv6: ["fd99::1", "fd99::2"] } as const;

describe.skipIf(why !== undefined)(
  `the prober between two hand-wired namespaces${why ? ` (skipped: ${why})` : ""}`,
  () => {
    let prober: Prober;

    beforeAll(async () => {
      await addNetns(a);
      await addNetns(b);
      await ipBatch(a, [
        `link add e0 type veth peer name e0 netns ${b}`,
        "addr add 10.9.9.1/24 dev e0",
        "addr add fd99::1/64 dev e0 nodad",
        "link set e0 up",
      ]);
      // Two addresses of each family on the serving side: answers must come from the one that was asked.
      await ipBatch(b, [
        ...["10.9.9.3/24", "10.9.9.2/24", "fd99::3/64", "fd99::2/64"].map(
          (ip) => `addr add ${ip} dev e0 ${ip.includes(":") ? "nodad" : ""}`,
        ),
        "link set e0 up",
      ]);
      prober = await Prober.start(findExecutables().probe);
      await prober.serve(b);
      // The kernel tells IPv6 of a new carrier up to a second late (linkwatch), and that is not what is tried here.
      await vi.waitUntil(async () => (await prober.probe("icmp", a, "fd99::2", { timeoutMs: 200 })).ok, {
        timeout: 10_000,
      });
    });

    afterAll(async () => {
      await prober?.close();
      await deleteNetns(a);
      await deleteNetns(b);
    });

    describe.each(["ipv4", "ipv6"] as const)("over %s", (family) => {
      const [client, server] = ADDRESSES[family];

      it.each(["tcp", "udp", "sctp"] as const)(
        "%s: the answer comes, with a latency, and tells how the client was seen, and by whom",
        async (kind) => {
          const result = await prober.probe(kind, a, server);
          // Of SCTP there is but the handshake.
          const answeredBy = kind === "sctp" ? {} : { answeredBy: server };
          expect(result).toEqual({ ok: true, us: expect.any(Number), seenAs: client, ...answeredBy });
          expect(result.ok && result.us).toBeGreaterThan(0);
        },
      );

      it("icmp: the echo comes", async () => {
        expect(await prober.probe("icmp", a, server)).toEqual({ ok: true, us: expect.any(Number) });
      });

      it.each(["tcp", "udp", "sctp"] as const)("%s: a closed port is refused, in words", async (kind) => {
        expect(await prober.probe(kind, a, server, { port: 4 })).toEqual({ ok: false, error: "ECONNREFUSED" });
      });

      it("sctp: connection tracking takes it for an association", async () => {
        const only = (netns: string, states: string) =>
          execIn(
            netns,
            "nft",
            "add table inet t; add chain inet t in { type filter hook input priority 0; }; " +
              `add rule inet t in meta l4proto sctp ct state != { ${states} } drop`,
          );
        await only(a, "established");
        await only(b, "new, established");
        const result = await prober.probe("sctp", a, server);
        for (const netns of [a, b]) await execIn(netns, "nft", "delete table inet t");
        expect(result).toMatchObject({ ok: true, seenAs: client });
      });

      it.each(["tcp", "udp", "icmp"] as const)("%s: without a route it fails at once", async (kind) => {
        const far = family === "ipv4" ? "203.0.113.1" : "2001:db8::1";
        expect(await prober.probe(kind, a, far)).toEqual({ ok: false, error: "ENETUNREACH" });
      });

      it("icmp: silence ends by the timeout", async () => {
        const nobody = family === "ipv4" ? "10.9.9.77" : "fd99::77";
        expect(await prober.probe("icmp", a, nobody, { timeoutMs: 200 })).toEqual({ ok: false, error: "ETIMEDOUT" });
      });
    });

    it("answers hundreds of probes at once, each to whom it belongs", async () => {
      const kinds = ["tcp", "udp", "icmp", "sctp"] as const;
      const probes = Array.from({ length: 300 }, (_, i) =>
        prober.probe(kinds[i % 4] ?? "tcp", a, "10.9.9.2", { timeoutMs: 5000 }),
      );
      expect((await Promise.all(probes)).filter((r) => !r.ok)).toEqual([]);
    });

    it("refuses a second server on a port and keeps the first", async () => {
      await expect(prober.serve(b)).rejects.toThrow(/EADDRINUSE/);
      expect((await prober.probe("tcp", a, "10.9.9.2")).ok).toBe(true);
    });

    it("names a namespace that does not exist, and never leaves its own", async () => {
      expect(await prober.probe("tcp", `${id}-nope`, "10.9.9.2")).toEqual({ ok: false, error: "ENOENT" });
      expect(await prober.probe("tcp", "../../proc/1/ns/net", "10.9.9.2")).toEqual({ ok: false, error: "EINVAL" });
      expect((await prober.probe("tcp", "-", "10.9.9.2", { timeoutMs: 200 })).ok).toBe(false);
    });

    it("lets a removed namespace go when its servers were closed", async () => {
      const gone = `${id}-c`;
      await addNetns(gone);
      await prober.serve(gone);
      await prober.unserve(gone);
      await deleteNetns(gone);
      expect(await prober.probe("tcp", gone, "127.0.0.1")).toEqual({ ok: false, error: "ENOENT" });
    });

    it("rejects what waits when it is closed", async () => {
      const other = await Prober.start(findExecutables().probe);
      const waiting = other.probe("icmp", a, "10.9.9.77", { timeoutMs: 10_000 });
      const [ended] = await Promise.allSettled([waiting, other.close()]);
      expect(ended).toMatchObject({ status: "rejected", reason: { code: "CLOSED" } });
      await expect(other.probe("icmp", a, "10.9.9.2")).rejects.toMatchObject({ code: "CLOSED" });
    });
  },
);

it("says how to get a prober that is missing", async () => {
  await expect(Prober.start("/nonexistent/hdprobe")).rejects.toMatchObject({ code: "CANNOT_RUN" });
});
