import { type CniEnvironment } from "../../../../src/pods/cni/environment.ts";
import { CniError } from "../../../../src/pods/cni/errors.ts";
import { type CniRequest, parseCniRequest } from "../../../../src/pods/cni/request.ts";

/** The environment of an ADD by a Kubernetes runtime. */
export const addEnvironment: CniEnvironment = {
  command: "ADD",
  containerId: "0123abcd",
  netns: "/run/netns/blue",
  ifname: "eth0",
  args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=u;K8S_POD_INFRA_CONTAINER_ID=0123abcd",
  path: "/opt/cni/bin",
};

export const config = { cniVersion: "1.1.0", name: "net", type: "heddle" } as const;

/** A request of the ADD above but for what is given. */
export function parse(more: object = {}, environment: CniEnvironment = {}): CniRequest {
  const body = Buffer.from(JSON.stringify({ ...config, ...more }));
  return parseCniRequest({ ...addEnvironment, ...environment }, body);
}

export function parseText(text: string | Uint8Array, environment: CniEnvironment = {}): CniRequest {
  return parseCniRequest({ ...addEnvironment, ...environment }, Buffer.from(text));
}

/** Which error it is, in a form that a table can hold: `INVALID_CONFIG the message: the details`. */
export function errorOf(action: () => unknown): string {
  try {
    action();
  } catch (e) {
    if (e instanceof CniError) return `${e.code} ${e.message}`;
    throw e;
  }
  return "no error";
}
