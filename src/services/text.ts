import type { Frontend } from "./api.ts";
import type { EndpointExplanation, PortExplanation, ServiceExplanation, ServiceSummary } from "./explain.ts";
import type { HostPortExplanation } from "./host-ports.ts";
import { socketText } from "./names.ts";
import { problemObjectText } from "./problems.ts";
import type { Trace } from "./trace.ts";

/** A list of services for people. */
export function listText(services: readonly ServiceSummary[]): string {
  if (services.length === 0) return "no services";
  const rows = services.map((s) => [
    `${s.type === "HostPort" ? "pod/" : ""}${s.namespace}/${s.name}`,
    s.type,
    [...s.clusterIps, ...s.outside].join(",") || "-",
    s.ports.join(",") || "-",
    `${s.ready}/${s.endpoints}`,
    s.notServed ?? (s.problems === 0 ? "" : `${s.problems} problem(s)`),
  ]);
  const head = ["SERVICE", "TYPE", "ADDRESSES", "PORTS", "READY", ""];
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((row) => row[i]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** What a node makes of a service, or of a pod's host ports, for people. */
export const explanationText = (explained: HostPortExplanation | ServiceExplanation): string =>
  explained.type === "HostPort" ? hostPortText(explained) : serviceText(explained);

function serviceText({ namespace, name, type, notServed, ports, problems }: ServiceExplanation): string {
  return [
    `service ${namespace}/${name} (${type})${notServed === undefined ? "" : `: not served here: ${notServed}`}`,
    ...ports.flatMap(portLines),
    ...problems.flatMap(({ object, problems: own }) =>
      own.map((p) => `problem: ${problemObjectText(object)} ${p.at}: ${p.message} (${p.code}, ${p.effect})`),
    ),
  ].join("\n");
}

function hostPortText({ namespace, name, id, frontends, problems }: HostPortExplanation): string {
  return [
    `pod ${namespace}/${name} (HostPort), interface ${id}`,
    ...frontends.map((frontend) => {
      const { pod } = frontend.paths;
      const to = pod.verdict === "translate" ? socketText(pod.to.address, pod.to.port, frontend.protocol) : "nowhere";
      return `  at ${frontendText(frontend)}: ${to}`;
    }),
    ...problems.map((p) => `problem: ${p.at}: ${p.message} (${p.code}, ${p.effect})`),
  ].join("\n");
}

function portLines(p: PortExplanation): string[] {
  const named = p.port === "" ? "" : ` ${p.port}`;
  const more = [
    p.internalTrafficPolicy === "Local" ? "internal traffic stays on the node" : undefined,
    p.externalTrafficPolicy === "Local" ? "external traffic stays on the node" : undefined,
    p.affinity === undefined ? undefined : `clients keep their endpoint for ${p.affinity} s`,
    p.balancing === "maglev" ? "Maglev" : undefined,
    p.hints.followed === "none" ? undefined : `hints for ${p.hints.followed} ${p.hints.of}`,
  ].filter((text) => text !== undefined);
  return [
    `port${named}/${p.protocol}, IPv${p.family}${more.length === 0 ? "" : `: ${more.join("; ")}`}`,
    ...p.frontends.map((f) => `  at ${frontendText(f)}`),
    ...p.lost.map(({ frontend, to }) => `  not at ${frontendText(frontend)}: ${to.namespace}/${to.name} has it`),
    ...(p.endpoints.length === 0 ? ["  no endpoints"] : p.endpoints.map(endpointText)),
  ];
}

const frontendText = ({ kind, address, port, protocol, family, sources, except = [] }: Frontend): string => {
  const where = kind === "HostPort" ? `every IPv${family} address of the node` : "every node-port address";
  return (
    `${address === undefined ? `${where}, port ${port}/${protocol}` : socketText(address, port, protocol)} (${kind})` +
    (sources === undefined ? "" : `, from ${sources.join(", ") || "nowhere"}`) +
    (except.length === 0 ? "" : `, but ${except.join(", ")}`)
  );
};

function endpointText({ address, port, slice, node, cluster, local }: EndpointExplanation): string {
  const where = node === undefined ? "" : ` on ${node}`;
  const verdict = (scope: string, { in: isIn, reason }: { in: boolean; reason: string }): string =>
    `${isIn ? "in" : "out"} for ${scope} (${reason})`;
  const host = address.includes(":") ? `[${address}]` : address;
  return `  endpoint ${host}:${port}${where}: ${verdict("the cluster", cluster)}, ${verdict("this node alone", local)}; ${slice}`;
}

/** What becomes of a connection, for people. */
export function traceText({ outcome, steps }: Trace): string {
  const last = {
    balance: () =>
      outcome.verdict === "balance"
        ? outcome.backends.map((b) => {
            const host = b.address.includes(":") ? `[${b.address}]` : b.address;
            return `  ${host}:${b.port}${b.masqueraded ? ", which sees an address of this node" : ""}`;
          })
        : [],
    reject: () => ["rejected at once"],
    drop: () => ["dropped"],
    "not-a-service": () => ["goes its way: it is no matter of services"],
  }[outcome.verdict]();
  return [...steps, ...last].join("\n");
}
