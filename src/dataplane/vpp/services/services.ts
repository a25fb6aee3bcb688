import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import type {
  Frontend,
  ServiceChanges,
  ServiceItem,
  ServiceRows,
  ServiceView,
  ServiceWiring,
} from "../../../services/api.ts";
import { hostPortItems } from "../../linux/services/host-ports.ts";
import { renderServiceChanges, renderServices } from "../../linux/services/renderer.ts";
import type { TakenUplink } from "../api.ts";
import { uplinkInterface } from "../names.ts";
import { HOST_CLIENTS, hostServiceBase } from "./host.ts";
import { type ServiceNodeContext, ServiceRenderer } from "./renderer.ts";

export interface VppServicesOptions {
  readonly node: { uplinks(): readonly TakenUplink[]; local(): LocalNodeRow | undefined };
  /** False: services are left to others, and only host ports are served. */
  readonly servesServices: () => boolean;
  /** Ends what is left of connections that the host's kernel has. */
  readonly endStale: (view: ServiceView) => Promise<number>;
}

/** Services and host ports on VPP: by CNAT, and by the host's kernel for its own processes and for what CNAT can't do. */
export class VppServices implements ServiceWiring {
  readonly #options: VppServicesOptions;
  readonly #renderer: ServiceRenderer;

  constructor(options: VppServicesOptions) {
    this.#options = options;
    this.#renderer = new ServiceRenderer(() => this.#node());
  }

  serviceBase(): Iterable<KeyValue> {
    return hostServiceBase(this.#node());
  }

  *renderServices(rows: ServiceRows): Iterable<KeyValue> {
    yield* this.#renderer.renderServices(rows);
    yield* renderServices(rows, HOST_CLIENTS);
  }

  *renderServiceChanges(changes: ServiceChanges, view: ServiceView): Iterable<ServiceItem> {
    yield* this.#renderer.renderServiceChanges(changes);
    yield* renderServiceChanges(changes, view, HOST_CLIENTS);
  }

  *renderHostPorts(frontends: readonly Frontend[]): Iterable<KeyValue> {
    yield* this.#renderer.renderHostPorts(frontends);
    for (const frontend of frontends) yield* hostPortItems(frontend);
  }

  endStale(view: ServiceView): Promise<number> {
    return this.#options.endStale(view);
  }

  #node(): ServiceNodeContext {
    const { node } = this.#options;
    const [uplinks, local] = [node.uplinks(), node.local()];
    const addresses = uplinks.flatMap((uplink) => uplink.addresses.map((cidr) => cidr.slice(0, cidr.indexOf("/"))));
    const { gateways = [], podCIDRs = [], clusterCIDRs = [] } = local ?? {};
    const interfaces = uplinks.map(({ link }) => uplinkInterface(link));
    const servesServices = this.#options.servesServices();
    return {
      servesServices,
      addresses: [...new Set(addresses)],
      gateways,
      podCIDRs,
      clusterCIDRs,
      uplinks: interfaces,
    };
  }
}
