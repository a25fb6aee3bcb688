import type { Descriptor } from "../../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../../src/kvscheduler/api/errors.ts";

/** A value of seven fields. */
interface Route {
  readonly dst: string;
  readonly gateway: string;
  readonly device: string;
  readonly metric: number;
  readonly table: number;
  readonly scope: "global" | "link";
  readonly onlink: boolean;
}

interface Device {
  readonly name: string;
  readonly mtu: number;
}

const ROUTES = "dataplane/linux/namespaces/host/routing-tables/main/routes/";
const DEVICES = "dataplane/linux/namespaces/host/devices/";

export const deviceKey = (i: number): string => `${DEVICES}device-${i}`;

export function device(i: number, mtu = 1500): readonly [string, Device] {
  return [deviceKey(i), { name: `device-${i}`, mtu }];
}

/** Route `i` over device `on`; its key has about 80 characters. */
export function route(i: number, on: number): readonly [string, Route] {
  const dst = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`;
  const name = `device-${on}`;
  return [
    `${ROUTES}${dst}/${name}`,
    {
      dst,
      gateway: `172.16.${on >> 8}.${on & 255}`,
      device: name,
      metric: 100,
      table: 254,
      scope: "global",
      onlink: true,
    },
  ];
}

/** The two kinds, over a southbound that keeps nothing: what is measured is the scheduler's memory, not a table's. */
export function descriptors(): readonly Descriptor[] {
  let made = 0;
  const devices: Descriptor<Device, number> = {
    name: "device",
    keyPrefixes: [DEVICES],
    validate: (_key, value) => {
      if (value.mtu < 68) throw new InvalidValueError("MTU below 68", ["mtu"]);
    },
    create: async () => ++made,
    update: async (_key, _old, _value, metadata) => metadata,
    delete: async () => undefined,
  };
  const routes: Descriptor<Route, undefined> = {
    name: "route",
    keyPrefixes: [ROUTES],
    validate: (_key, value) => {
      if (value.dst === "") throw new InvalidValueError("no destination", ["dst"]);
    },
    create: async () => undefined,
    delete: async () => undefined,
    dependencies: (_key, value) => [{ label: "device", key: `${DEVICES}${value.device}` }],
  };
  return [devices, routes];
}
