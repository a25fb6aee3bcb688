import { z } from "zod";

// What the configurations of several processes have in common.

const tls = z
  .strictObject({
    ca: z.string().optional().describe("File with the certificate authorities (PEM)."),
    cert: z.string().optional().describe("File with the client's certificate (PEM)."),
    key: z.string().optional().describe("File with the client's key (PEM)."),
  })
  .describe("TLS towards etcd; endpoints must begin with https://.");

const etcdStore = z.strictObject({
  kind: z.literal("etcd"),
  endpoints: z.array(z.url()).min(1).describe("Client URLs of the etcd members."),
  tls: tls.optional(),
  auth: z
    .strictObject({
      username: z.string().min(1).describe("etcd user."),
      passwordFile: z.string().min(1).describe("File that holds the password."),
    })
    .optional()
    .describe("etcd user and password."),
});

const embeddedStore = z.strictObject({
  kind: z.literal("embedded"),
  socket: z.string().optional().describe("Unix socket of a process that serves the embedded store to several agents."),
  dir: z.string().optional().describe("Directory of the store's files when this process serves itself alone."),
});

/** The store that the cluster's processes share. */
export const storeConfig = z.discriminatedUnion("kind", [etcdStore, embeddedStore]);

/** `127.0.0.1:9191`, `[::1]:9191` */
export const listenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:]+):\d{1,5}$/, "must be address:port")
  .refine((text) => Number(text.slice(text.lastIndexOf(":") + 1)) <= 65_535, "the port must be 65535 at most");

export const logConfig = z
  .strictObject({
    level: z
      .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
      .default("info")
      .describe("Least level logged."),
  })
  .prefault({})
  .describe("Logging; JSON lines on standard error.");
