import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { millis } from "../../../src/base/clock/clock.ts";
import { EmbeddedClient } from "../../../src/stores/embedded/client.ts";
import { storeCompliance, TEST_HEARTBEAT_MS, TEST_REQUEST_TIMEOUT_MS } from "../../support/store-compliance.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

const HISTORY = 500;

storeCompliance(
  "EmbeddedClient of a served store",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "hdembedded-"));
    const socket = join(dir, "store.sock");
    const data = join(dir, "data");
    let process_: ChildProcess | undefined;
    let proxies = 0;
    const connect = (path: string) =>
      EmbeddedClient.open({
        socket: path,
        requestTimeout: millis(TEST_REQUEST_TIMEOUT_MS),
        heartbeat: millis(TEST_HEARTBEAT_MS),
      });
    const start = async () => {
      const script = join(import.meta.dirname, "../../support/embedded-server.ts");
      const child = spawn(process.execPath, [script, socket, data, String(HISTORY)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      process_ = child;
      await once(child.stdout, "data");
    };
    const kill = async () => {
      const child = process_;
      process_ = undefined;
      if (!child) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    };
    await start();
    return {
      open: () => connect(socket),
      // More transactions than the server remembers.
      forgetHistory: async () => {
        const client = await connect(socket);
        for (let i = 0; i < 3 * HISTORY; i += 100) {
          await Promise.all(Array.from({ length: 100 }, (_, j) => client.put("/filler", Buffer.from(`${i + j}`))));
        }
        await client.close();
      },
      close: async () => {
        await kill();
        rmSync(dir, { recursive: true });
      },
      remote: {
        proxy: () => TcpProxy.start({ path: socket }, { path: join(dir, `proxy${proxies++}.sock`) }),
        openVia: (proxy) => connect(proxy.path),
        start,
        kill,
        wipe: () => Promise.resolve(rmSync(data, { recursive: true })),
      },
    };
  },
  { remote: true },
);
