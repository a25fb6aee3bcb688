import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { HttpServer } from "../../../src/infra/http/http-server.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { HealthServers } from "../../../src/services/health.ts";
import { until } from "../../support/until.ts";

const WELL = { isCurrent: () => true, isLeaving: () => false };

async function freePort(): Promise<number> {
  const server = await HttpServer.open({
    listen: { host: "127.0.0.1", port: 0 },
    routes: new Map(),
    onError: () => {},
  });
  const { port = 0 } = server;
  await server.close();
  return port;
}

describe("health checks", () => {
  it("say what is on the node as long as it is asked for", async () => {
    const port = await freePort();
    let isCurrent = true;
    const servers = new HealthServers({
      at: undefined,
      clock: systemClock,
      log: silentLog,
      isCurrent: () => isCurrent,
      isLeaving: () => true,
    });
    const service = { namespace: "x", name: "s" };
    const ask = () => fetch(`http://127.0.0.1:${port}/healthz`);
    servers.serve([{ port, service, localReady: 2 }]);
    await until("it answers", () =>
      ask().then(
        (a) => a.status === 200,
        () => false,
      ),
    );
    const answer = await ask();
    expect(answer.headers.get("x-load-balancing-endpoint-weight")).toBe("2");
    expect(await answer.json()).toEqual({ service, localEndpoints: 2, serviceProxyHealthy: true });
    isCurrent = false;
    expect((await ask()).status).toBe(503);
    isCurrent = true;
    servers.serve([{ port, service, localReady: 0 }]);
    expect((await ask()).status).toBe(503);
    servers.serve([]);
    await until("it answers no more", () =>
      ask().then(
        () => false,
        () => true,
      ),
    );
    await servers.close();
  });

  it("of a node that is about to be removed: /healthz says no, /livez yes", async () => {
    const at = { host: "127.0.0.1", port: await freePort() };
    let isLeaving = false;
    let isCurrent = true;
    const servers = new HealthServers({
      at,
      clock: systemClock,
      log: silentLog,
      isCurrent: () => isCurrent,
      isLeaving: () => isLeaving,
    });
    servers.open();
    const ask = (path: string) => fetch(`http://127.0.0.1:${at.port}/${path}`);
    const answers = async () => [(await ask("healthz")).status, (await ask("livez")).status];
    await until("it answers", () =>
      ask("livez").then(
        (a) => a.ok,
        () => false,
      ),
    );
    expect(await answers()).toEqual([200, 200]);
    isLeaving = true;
    expect(await answers()).toEqual([503, 200]);
    expect(await (await ask("healthz")).json()).toMatchObject({ healthy: false, nodeEligible: false });
    isCurrent = false;
    expect(await answers()).toEqual([503, 503]);
    isLeaving = false;
    expect(await answers()).toEqual([503, 503]);
    await servers.close();
  });

  it("are tried again where somebody else has the port, which is named", async () => {
    const other = await HttpServer.open({
      listen: { host: "127.0.0.1", port: 0 },
      routes: new Map(),
      onError: () => {},
    });
    const { port = 0 } = other;
    const at = { host: "127.0.0.1", port };
    const servers = new HealthServers({ at, clock: systemClock, log: silentLog, ...WELL });
    servers.open();
    await until("it is named", () => servers.problems.length === 1);
    await other.close();
    await until("it answers", () =>
      fetch(`http://127.0.0.1:${port}/livez`).then(
        (a) => a.ok,
        () => false,
      ),
    );
    expect(servers.problems).toEqual([]);
    await servers.close();
  });
});
