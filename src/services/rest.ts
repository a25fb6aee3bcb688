import { tryParseIp } from "../base/ip/address.ts";
import type { Route } from "../infra/http/http-server.ts";
import { need, QueryError, type Question, questionRoutes } from "../infra/http/questions.ts";
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

const SOCKET = "ADDRESS:PORT, [IPV6]:PORT, or one of these with /udp or /sctp behind it";

const LEFT = "this node leaves services to others (services.enabled)";

interface Source {
  readonly engine: ServiceEngine;
  readonly isServing: boolean;
}

const QUESTIONS: Readonly<Record<string, Question<Source>>> = {
  "GET /services/list": {
    help: "all services, how many of their endpoints are ready, and the pods of this node that have host ports",
    params: {},
    answer({ engine }) {
      const value = [...listServices(engine), ...listHostPorts(engine)];
      return { value, text: () => listText(value) };
    },
  },
  "GET /services/explain": {
    help: "where a service is reached, and which endpoints it has, each in or out and why",
    params: { of: `a service as NAMESPACE/NAME, or by its name if only one has it; pod/NAMESPACE/NAME; or ${SOCKET}` },
    answer(source, { query }) {
      const value = explain(source, need(query, "of"));
      return { value, text: () => explanationText(value) };
    },
  },
  "GET /services/trace": {
    help: "what becomes of a connection that begins at this node, or comes to it",
    params: { from: "the client's address", to: SOCKET },
    answer({ engine }, { query }) {
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
function explain({ engine, isServing }: Source, of: string): HostPortExplanation | ServiceExplanation {
  try {
    return explainPod(engine, of) ?? (/^[^/]*[:\]]/.test(of) ? explainAt(engine, of) : explainNamed(engine, of));
  } catch (e) {
    if (isServing || !(e instanceof ServiceAskError) || e.code !== "NO_SERVICE") throw e;
    throw new ServiceAskError("NO_SERVICE", `${e.message}; ${LEFT}`);
  }
}

function explainAt(engine: ServiceEngine, of: string): HostPortExplanation | ServiceExplanation {
  const socket = parseSocket(of);
  const hostPort = explainHostPort(engine, socket);
  if (hostPort) return hostPort;
  const port = explainSocket(engine, socket);
  const service = port?.frontends[0]?.service ?? port?.lost[0]?.frontend.service;
  const found = service && explainService(engine, service);
  if (!port || !found) throw new ServiceAskError("NO_SERVICE", `no service is at ${of}`);
  return { ...found, ports: [port] };
}

function explainNamed(engine: ServiceEngine, of: string): ServiceExplanation {
  const found = explainService(engine, findService(engine, of));
  if (!found) throw new ServiceAskError("NO_SERVICE", `service ${of} can't be read; its problems are in status`);
  return found;
}

/** `GET /services` lists them. */
export function serviceRoutes({ isServing, engine }: ServiceRoutesOptions): [string, Route][] {
  return questionRoutes({
    at: "/services",
    questions: QUESTIONS,
    source() {
      const now = engine();
      if (now) return { engine: now, isServing: isServing() };
      if (isServing()) throw new QueryError("NOT_YET", "the cluster's state is not known yet; try again later");
      throw new QueryError("NOT_HERE", LEFT);
    },
    statusOf(e) {
      if (e instanceof ServiceAskError) return e.code === "NO_SERVICE" ? 404 : 400;
      return undefined;
    },
  });
}
