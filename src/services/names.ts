import type { IpAddress, IpFamily } from "../base/ip/address.ts";
import type { FrontendKey, ObjectName, PoolId, PoolScope, PortProtocol, ServicePortName } from "./api.ts";

/** Among the services, and among the slices. */
export const objectKey = ({ namespace, name }: ObjectName): string => `${namespace}/${name}`;

/** Without address: at every node-port address. */
export const frontendKey = (
  family: IpFamily,
  protocol: PortProtocol,
  address: IpAddress | undefined,
  port: number,
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- where the brand is given
): FrontendKey => `${family}/${protocol}/${address ?? "node"}/${port}` as FrontendKey;

/** Of a host port at every address of the node. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- where the brand is given
export const hostPortKey = (family: IpFamily, protocol: PortProtocol, port: number): FrontendKey =>
  `${family}/${protocol}/local/${port}` as FrontendKey;

export const poolId = (service: ServicePortName, protocol: PortProtocol, family: IpFamily, scope: PoolScope): PoolId =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- where the brand is given
  `${service.namespace}/${service.name}:${service.port}/${protocol}/${family}/${scope}` as PoolId;

/** `10.96.0.1:443/TCP`, `[fd00::1]:443/TCP`. */
export const socketText = (address: string, port: number, protocol: PortProtocol): string =>
  address.includes(":") ? `[${address}]:${port}/${protocol}` : `${address}:${port}/${protocol}`;

export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
