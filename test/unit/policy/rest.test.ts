import { describe, expect, it } from "vitest";
import type { HttpAnswer, HttpRequest } from "../../../src/infra/http/http-server.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import type { Finding } from "../../../src/policy/lint.ts";
import { type PolicySource, policyRoutes } from "../../../src/policy/rest.ts";
import { World } from "../../support/policy-oracle/world.ts";

const world = new World(`
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {matchLabels: {pod: a}}}`);
const SOURCE: PolicySource = {
  engine: world.engine,
  counters: () =>
    Promise.resolve({
      rules: [
        {
          direction: "ingress",
          verdict: "deny",
          origins: [],
          isolatedBy: [{ kind: "NetworkPolicy", namespace: "x", name: "p" }],
          packets: 3,
          bytes: 180,
        },
      ],
      pods: [{ namespace: "x", pod: "a", direction: "ingress", packets: 3, bytes: 180 }],
      stopped: { packets: 1, bytes: 60 },
    }),
};

interface CallOptions {
  readonly enforced?: boolean;
  readonly isStarting?: boolean;
  readonly body?: string;
  readonly accept?: string;
}

function call(
  route: string,
  { enforced = true, isStarting = false, body = "", accept = "" }: CallOptions = {},
): Promise<HttpAnswer> | HttpAnswer {
  const [name = "", query = ""] = route.split("?");
  const found = new Map(policyRoutes({ enforced, source: () => (isStarting ? undefined : SOURCE) })).get(name);
  if (!found) throw new Error(`no route ${name}`);
  const [method = "", path = ""] = name.split(" ");
  const request: HttpRequest = {
    ...{ method, path, query: new URLSearchParams(query), headers: { accept } },
    ...{ body: new TextEncoder().encode(body), signal: new AbortController().signal },
  };
  return found(request);
}

describe("routes about policies", () => {
  it("are listed, with their parameters", async () => {
    const { body } = await call("GET /policy");
    expect((body as { route: string }[]).map((r) => r.route)).toEqual([
      "GET /policy/explain",
      "GET /policy/show",
      "GET /policy/counters",
      "POST /policy/lint",
    ]);
  });

  it("answer in JSON, or in words", async () => {
    const route = "GET /policy/explain?from=x/b&to=x/a&traffic=icmp";
    expect((await call(route)).body).toMatchObject({ allowed: false, from: "x/b", traffic: "icmp" });
    expect((await call(`${route}&format=text`)).body).toContain("x/b (10.0.1.2) to x/a (10.0.1.1), ICMP: DENIED");
    expect((await call("GET /policy/show?pod=x/a", { accept: "text/plain" })).body).toContain("pod x/a\n");
    const { body } = await call("GET /policy/counters?format=text");
    expect(body).toContain("ingress deny  no rule of NetworkPolicy x/p allows it");
    expect(body).toContain("ingress denied to pod x/a");
  });

  it.each<readonly [what: string, route: string, status: number, error: string, options: CallOptions]>([
    ["a missing parameter", "GET /policy/explain?from=x/b&to=x/a", 400, "traffic is missing", {}],
    ["an unknown parameter", "GET /policy/show?pod=x/a&pot=1", 400, "unknown parameter pot; there are pod, format", {}],
    ["an unknown format", "GET /policy/show?pod=x/a&format=xml", 400, "json or text", {}],
    ["a wrong question", "GET /policy/explain?from=x/b&to=x/a&traffic=0", 400, "from 1 to 65535", {}],
    ["a pod that is not there", "GET /policy/show?pod=x/q", 404, "there is no pod x/q", {}],
    ["a node without policies", "GET /policy/show?pod=x/a", 404, "policy.enforce", { enforced: false }],
    ["an agent that starts", "GET /policy/show?pod=x/a", 503, "not known yet", { isStarting: true }],
    ["a body that is not JSON", "POST /policy/lint", 400, "not JSON", { body: "{" }],
    ["a body of another form", "POST /policy/lint", 400, "is not {objects", { body: "[]" }],
    ["an object of another form", "POST /policy/lint", 400, "not [key, value]", { body: '{"objects": [[1, 2]]}' }],
    ["a key that means nothing", "POST /policy/lint", 400, "unknown key", { body: '{"objects": [["/x", ""]]}' }],
  ])("refuse %s", async (_what, route, status, error, options) => {
    const answer = await call(route, options);
    expect(answer.status).toBe(status);
    expect((answer.body as { error: string }).error).toContain(error);
  });

  it("look at policies that are not applied beside the pods that there are", async () => {
    const codec = K8S_CODECS.networkpolicy;
    const policy = {
      ...{ namespace: "x", name: "new", uid: "", podSelector: { matchLabels: { pod: "q" } } },
      ingress: [{ peers: [], ports: [{ port: 70_000 }] }],
    };
    const body = JSON.stringify({
      objects: [[codec.key(policy), Buffer.from(codec.encode(policy)).toString("base64")]],
    });
    const { findings } = (await call("POST /policy/lint", { body })).body as { findings: Finding[] };
    expect(findings.map((f) => `${f.kind} ${f.at}`)).toEqual([
      "odd spec.ingress[0].from",
      "invalid spec.ingress[0].ports[0].port",
      "selects-nothing spec.podSelector",
    ]);
    // Nothing has changed by that.
    expect([...world.engine.policies.all()].map((p) => p.ref.name)).toEqual(["p"]);
  });
});
