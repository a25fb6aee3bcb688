import { HeddleError } from "../base/errors/errors.ts";
import { tryParseIp } from "../base/ip/address.ts";
import type { HttpAnswer, HttpRequest, Route } from "../infra/http/http-server.ts";
import { findService, parseSocket, ServiceAskError } from "./ask.ts";
import type { ServiceEngine } from "./engine.ts";
import { explainService, explainSocket, listServices, type ServiceExplanation } from "./explain.ts";
import { explainHostPort, explainPod, type HostPortExplanation, listHostPorts } from "./host-ports.ts";
import { explanationText, listText, traceText } from "./text.ts";
import { trace } from "./trace.ts";

export interface ServiceRoutesOptions {
  /** False where services are left to others; there are host ports all the same. */
  readonly isServing: () => boolean;
  /** Undefined as long as the first state of the cluster has not been seen. */
  readonly engine: () => ServiceEngine | undefined;
}

class QueryError extends HeddleError<"BAD_QUERY"> {}

interface RouteSpec {
  readonly help: string;
  readonly params: Readonly<Record<string, string>>;
  /** The value for programs, and the text for people. */
  readonly answer: (engine: ServiceEngine, query: URLSearchParams) => Told;
}

interface Told {
  readonly value: unknown;
  readonly text: () => string;
}

const SOCKET = "ADDRESS:PORT, [IPV6]:PORT, or one of these with /udp or /sctp behind it";

const ROUTES: Readonly<Record<string, RouteSpec>> = {
  "GET /services/list": {
    help: "all services, how many of their endpoints are ready, and the pods of this node that have host ports",
    params: {},
    answer(engine) {
      const value = [...listServices(engine), ...listHostPorts(engine)];
      return { value, text: () => listText(value) };
    },
  },
  "GET /services/explain": {
    help: "where a service is reached, and which endpoints it has, each in or out and why",
    params: { of: `a service as NAMESPACE/NAME, or by its name if only one has it; pod/NAMESPACE/NAME; or ${SOCKET}` },
    answer(engine, query) {
      const value = explain(engine, need(query, "of"));
      return { value, text: () => explanationText(value) };
    },
  },
  "GET /services/trace": {
    help: "what becomes of a connection that begins at this node, or comes to it",
    params: { from: "the client's address", to: SOCKET },
    answer(engine, query) {
      const text = need(query, "from");
      const from = tryParseIp(text);
      if (from === undefined) throw new ServiceAskError("BAD_QUESTION", `${JSON.stringify(text)} is no address`);
      const socket = parseSocket(need(query, "to"));
      if (from.includes(":") !== socket.to.includes(":")) {
        throw new ServiceAskError("BAD_QUESTION", `${from} and ${socket.to} are of two families`);
      }
      const value = trace(engine, { from, ...socket });
      return { value, text: () => traceText(value) };
    },
  },
};

/** Of a socket the explanation has that one port only. */
function explain(engine: ServiceEngine, of: string): HostPortExplanation | ServiceExplanation {
  const pod = explainPod(engine, of);
  if (pod) return pod;
  if (/^[^/]*[:\]]/.test(of)) {
    const socket = parseSocket(of);
    const hostPort = explainHostPort(engine, socket);
    if (hostPort) return hostPort;
    const port = explainSocket(engine, socket);
    const service = port?.frontends[0]?.service ?? port?.lost[0]?.frontend.service;
    const found = service && explainService(engine, service);
    if (!port || !found) throw new ServiceAskError("NO_SERVICE", `no service is at ${of}`);
    return { ...found, ports: [port] };
  }
  const found = explainService(engine, findService(engine, of));
  if (!found) throw new ServiceAskError("NO_SERVICE", `service ${of} can't be read; its problems are in status`);
  return found;
}

/** `GET /services` lists them. */
export function serviceRoutes(options: ServiceRoutesOptions): [string, Route][] {
  const routes = Object.entries(ROUTES).map(([name, spec]): [string, Route] => [
    name,
    (request) => run(options, spec, request),
  ]);
  const listing = Object.entries(ROUTES).map(([route, { help, params }]) => ({
    route,
    help,
    params: { ...params, format: "json or text" },
  }));
  return [["GET /services", () => ({ status: 200, body: listing })], ...routes];
}

function run({ isServing, engine }: ServiceRoutesOptions, spec: RouteSpec, request: HttpRequest): HttpAnswer {
  try {
    const allowed = [...Object.keys(spec.params), "format"];
    const unknown = [...request.query.keys()].find((k) => !allowed.includes(k));
    if (unknown !== undefined) {
      throw new QueryError("BAD_QUERY", `unknown parameter ${unknown}; there are ${allowed.join(", ")}`);
    }
    const wantsText = request.headers.accept?.startsWith("text/plain") ?? false;
    const format = request.query.get("format") ?? (wantsText ? "text" : "json");
    if (format !== "json" && format !== "text") {
      throw new QueryError("BAD_QUERY", `format=${format}: it is json or text`);
    }
    const now = engine();
    if (!now) {
      return isServing() ? failure(503, "the cluster's state is not known yet; try again later") : failure(404, LEFT);
    }
    const { value, text } = spec.answer(now, request.query);
    return format === "json" ? { status: 200, body: value } : { status: 200, body: `${text()}\n` };
  } catch (e) {
    if (e instanceof ServiceAskError) {
      const why = e.code === "NO_SERVICE" && !isServing() ? `${e.message}; ${LEFT}` : e.message;
      return failure(e.code === "NO_SERVICE" ? 404 : 400, why);
    }
    if (e instanceof QueryError) return failure(400, e.message);
    throw e;
  }
}

const LEFT = "this node leaves services to others (services.enabled)";

const failure = (status: number, error: string): HttpAnswer => ({ status, body: { error } });

function need(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value) return value;
  throw new QueryError("BAD_QUERY", `parameter ${name} is missing`);
}
