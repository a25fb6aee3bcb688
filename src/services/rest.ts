import { tryParseIp } from "../base/ip/address.ts";
import type { Route } from "../infra/http/http-server.ts";
import { need, QueryError, type Question, questionRoutes } from "../infra/http/questions.ts";
import { findService, parseSocket, ServiceAskError } from "./ask.ts";
import type { ServiceEngine } from "./engine.ts";
import { explainService, explainSocket, listServices, type ServiceExplanation } from "./explain.ts";
import { explanationText, listText, traceText } from "./text.ts";
import { trace } from "./trace.ts";

export interface ServiceRoutesOptions {
  /** False where services are left to others. */
  readonly isServing: () => boolean;
  /** Undefined as long as the first state of the cluster has not been seen. */
  readonly engine: () => ServiceEngine | undefined;
}

const SOCKET = "ADDRESS:PORT, [IPV6]:PORT, or one of these with /udp or /sctp behind it";

const QUESTIONS: Readonly<Record<string, Question<ServiceEngine>>> = {
  "GET /services/list": {
    help: "all services, and how many of their endpoints are ready",
    params: {},
    answer(engine) {
      const value = listServices(engine);
      return { value, text: () => listText(value) };
    },
  },
  "GET /services/explain": {
    help: "where a service is reached, and which endpoints it has, each in or out and why",
    params: { of: `a service as NAMESPACE/NAME, or by its name if only one has it; or ${SOCKET}` },
    answer(engine, { query }) {
      const value = explain(engine, need(query, "of"));
      return { value, text: () => explanationText(value) };
    },
  },
  "GET /services/trace": {
    help: "what becomes of a connection that begins at this node, or comes to it",
    params: { from: "the client's address", to: SOCKET },
    answer(engine, { query }) {
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
function explain(engine: ServiceEngine, of: string): ServiceExplanation {
  if (/^[^/]*[:\]]/.test(of)) {
    const socket = parseSocket(of);
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
export function serviceRoutes({ isServing, engine }: ServiceRoutesOptions): [string, Route][] {
  return questionRoutes({
    at: "/services",
    questions: QUESTIONS,
    source() {
      const now = engine();
      if (now) return now;
      if (isServing()) throw new QueryError("NOT_YET", "the cluster's state is not known yet; try again later");
      throw new QueryError("NOT_HERE", "this node leaves services to others (services.enabled)");
    },
    statusOf(e) {
      if (e instanceof ServiceAskError) return e.code === "NO_SERVICE" ? 404 : 400;
      return undefined;
    },
  });
}
