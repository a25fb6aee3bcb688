// What the scheduler has to know of the proxy: two kinds of values, and that one needs the other.
import { type Descriptor, InvalidValueError } from "heddle/kvscheduler";
import type { Proxy } from "./proxy.ts";

/** `listener/web`: a port that is listened on. */
export interface ListenerValue {
  readonly port: number;
}

/** `forward/web`: where the connections of listener `web` go. */
export interface ForwardValue {
  readonly to: string;
}

const nameOf = (key: string): string => key.slice(key.indexOf("/") + 1);

export function listeners(proxy: Proxy): Descriptor<ListenerValue, undefined> {
  return {
    name: "listener",
    keyPrefixes: ["listener/"],
    validate(_key, value) {
      if (!Number.isInteger(value.port) || value.port < 1 || value.port > 65_535) {
        throw new InvalidValueError("port must be a number between 1 and 65535", ["port"]);
      }
    },
    async create(key, value) {
      await proxy.listen(nameOf(key), value.port); // whatever it throws fails this key, and is tried again
      return undefined;
    },
    // No update: another port is another listener. The scheduler deletes it and makes it anew, and with it, in the right
    // order, everything that depends on it.
    delete: (key) => proxy.close(nameOf(key)),
    async retrieve() {
      return proxy.dump().map(({ name, port }) => ({ key: `listener/${name}`, value: { port }, metadata: undefined }));
    },
  };
}

export function forwards(proxy: Proxy): Descriptor<ForwardValue, undefined> {
  const setTarget = (key: string, value: ForwardValue | undefined): undefined => {
    proxy.setTarget(nameOf(key), value && targetOf(value));
  };
  return {
    name: "forward",
    keyPrefixes: ["forward/"],
    validate(_key, value) {
      targetOf(value);
    },
    // `carries`: closing a listener takes its target along, so that need not be removed by itself.
    dependencies: (key) => [{ label: "listener", key: `listener/${nameOf(key)}`, carries: true }],
    create: (key, value) => setTarget(key, value),
    update: (key, _old, value) => setTarget(key, value),
    delete: (key) => setTarget(key, undefined),
    async retrieve() {
      return proxy.dump().flatMap(({ name, target }) => {
        if (target === undefined) return [];
        return [{ key: `forward/${name}`, value: { to: `${target.host}:${target.port}` }, metadata: undefined }];
      });
    },
  };
}

/** `127.0.0.1:9000`. @throws InvalidValueError */
function targetOf(value: ForwardValue): { host: string; port: number } {
  const match = /^([^:]+):(\d{1,5})$/.exec(value.to);
  if (match === null) throw new InvalidValueError("to must be host:port", ["to"]);
  return { host: match[1]!, port: Number(match[2]) };
}
