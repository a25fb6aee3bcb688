import { StartupConfError } from "./errors.ts";

/** sizeof sockaddr_un.sun_path less the NUL. */
const MAX_SOCKET_PATH = 107;

/** VPP's parser splits at white space and braces, and cuts comments: none of these can be in a value. */
export function checkPath(field: string, path: string, max = 4095): string {
  if (!path.startsWith("/")) throw new StartupConfError(field, `${JSON.stringify(path)} is not an absolute path`);
  if (/[\s{}#"'\\]|[^\x20-\x7e]/.test(path)) {
    throw new StartupConfError(field, `${JSON.stringify(path)} has characters that VPP's parser can't take`);
  }
  if (path.length > max) throw new StartupConfError(field, `${path} is longer than ${max} bytes`);
  return path;
}

export function checkSocket(field: string, path: string): string {
  return checkPath(field, path, MAX_SOCKET_PATH);
}

export function checkName(field: string, name: string, pattern: RegExp): string {
  if (!pattern.test(name)) {
    throw new StartupConfError(field, `${JSON.stringify(name)} does not match ${pattern.source}`);
  }
  return name;
}

export function checkInt(field: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new StartupConfError(field, `${value} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Throws if one is there twice. */
export function checkDistinct(field: string, values: readonly (string | number)[]): void {
  const twice = values.find((v, i) => values.indexOf(v) !== i);
  if (twice !== undefined) throw new StartupConfError(field, `${twice} is there twice`);
}
