import type { z } from "zod";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

export type Path = readonly PropertyKey[];

/** `runtimeConfig.portMappings[1].hostPort`. */
export function pathText(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (text === "") text = String(part);
    else if (/^[\w-]+$/.test(String(part))) text += `.${String(part)}`;
    else text += `[${JSON.stringify(String(part))}]`;
  }
  return text;
}

/** The field at a path of a JSON value; undefined where the path leads nowhere. */
export function valueAt(json: unknown, path: Path): unknown {
  let value = json;
  for (const part of path) {
    if (Array.isArray(value)) value = value[Number(part)];
    else value = isJsonObject(value) ? value[String(part)] : undefined;
  }
  return value;
}

/** Every violation as "field: what is wrong", in the order of the schema. */
export function issueText(error: z.ZodError, prefix: Path = []): string {
  return error.issues.map((issue) => `${pathText([...prefix, ...issue.path])}: ${issue.message}`).join("; ");
}
