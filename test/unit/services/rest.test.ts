import { describe, expect, it } from "vitest";
import type { HttpAnswer, HttpRequest } from "../../../src/infra/http/http-server.ts";
import { serviceRoutes } from "../../../src/services/rest.ts";
import { endpoint, engineOf, hostPorts, service, slice, UNREADY } from "../../support/services/objects.ts";

const ENGINE = engineOf([
  service(),
  slice([endpoint("10.1.0.1"), endpoint("10.2.0.1"), endpoint("10.2.0.2", UNREADY)]),
]);

async function call(route: string, { serving = true, starting = false, accept = "" } = {}): Promise<HttpAnswer> {
  const [path = "", query = ""] = route.split("?");
  const routes = serviceRoutes({ isServing: () => serving, engine: () => (serving && !starting ? ENGINE : undefined) });
  const found = new Map(routes).get(`GET ${path}`);
  if (!found) throw new Error(`no route ${path}`);
  return found({ query: new URLSearchParams(query), headers: { accept } } as unknown as HttpRequest);
}

describe("GET /services/…", () => {
  it("lists services", async () => {
    expect((await call("/services/list")).body).toMatchObject([{ namespace: "x", name: "s", ready: 2, endpoints: 3 }]);
    expect((await call("/services/list", { accept: "text/plain" })).body).toBe(
      "SERVICE  TYPE       ADDRESSES  PORTS   READY\nx/s      ClusterIP  10.96.0.1  80/TCP  2/3\n",
    );
  });

  it.each(["x/s", "s", "10.96.0.1:80"])("explains %s: its endpoints, and why they are in or out", async (of) => {
    const { status, body } = await call(`/services/explain?of=${of}&format=text`);
    expect([status, String(body).split("\n")]).toEqual([
      200,
      [
        "service x/s (ClusterIP)",
        "port http/TCP, IPv4",
        "  at 10.96.0.1:80/TCP (ClusterIP)",
        expect.stringMatching(
          /^ {2}endpoint 10\.1\.0\.1:8080 on n1: in for the cluster \(.*\), in for this node alone/,
        ),
        expect.stringMatching(/^ {2}endpoint 10\.2\.0\.1:8080 on n2: in for the cluster/),
        expect.stringMatching(/^ {2}endpoint 10\.2\.0\.2:8080 on n2: out for the cluster/),
        "",
      ],
    ]);
  });

  it("traces a client's connection", async () => {
    const { body } = await call("/services/trace?from=10.1.0.9&to=10.96.0.1:80&format=text");
    expect(String(body)).toBe(
      [
        "10.1.0.9 is a pod of this node",
        "10.96.0.1:80/TCP is a cluster IP of x/s, port http",
        "one of 2 endpoints",
        "  10.1.0.1:8080",
        "  10.2.0.1:8080",
        "",
      ].join("\n"),
    );
    const refused = await call("/services/trace?from=10.1.0.9&to=10.96.0.1:81");
    expect(refused.body).toMatchObject({ outcome: { verdict: "reject" } });
  });

  it.each([
    ["/services/explain", 400, /parameter of is missing/],
    ["/services/explain?of=y/s", 404, /no service y\/s; is it x\/s/],
    ["/services/explain?of=10.96.0.9:80", 404, /no service is at/],
    ["/services/explain?of=10.96.0.9:0", 400, /ports are from 1/],
    ["/services/trace?from=pod&to=10.96.0.1:80", 400, /"pod" is no address/],
    ["/services/trace?from=fd00::1&to=10.96.0.1:80", 400, /two families/],
    ["/services/list?x=1", 400, /unknown parameter x/],
    ["/services/list?format=xml", 400, /json or text/],
  ])("answers %s with %d and says why", async (route, status, why) => {
    const answer = await call(route);
    expect(answer.status).toBe(status);
    expect((answer.body as { error: string }).error).toMatch(why);
  });

  it("says that it is too early, or that others serve", async () => {
    expect((await call("/services/list", { starting: true })).status).toBe(503);
    expect((await call("/services/list", { serving: false })).status).toBe(404);
    expect((await call("/services", { serving: false })).status).toBe(200);
  });

  it("lists and explains host ports, where services are left to others, too", async () => {
    const engine = engineOf([hostPorts([{}])]);
    const routes = new Map(serviceRoutes({ isServing: () => false, engine: () => engine }));
    const ask = async (path: string, query: string): Promise<HttpAnswer> => {
      const request = { query: new URLSearchParams(query), headers: {} } as unknown as HttpRequest;
      const route = routes.get(`GET /services/${path}`);
      if (!route) throw new Error(`no route ${path}`);
      return route(request);
    };
    expect((await ask("list", "")).body).toMatchObject([{ type: "HostPort", name: "p", ports: ["80:8000/TCP"] }]);
    for (const of of ["pod/x/p", "192.168.0.1:8000", "127.0.0.1:8000"]) {
      expect((await ask("explain", `of=${of}`)).body).toMatchObject({ type: "HostPort", namespace: "x", name: "p" });
    }
    expect((await ask("explain", "of=x/s")).body).toMatchObject({
      error: expect.stringMatching(/leaves services to others/),
    });
  });
});
