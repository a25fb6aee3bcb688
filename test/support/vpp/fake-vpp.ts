import { createServer, type Server, type Socket } from "node:net";
import {
  Codecs,
  cursorOf,
  type MessageCodec,
  type MessageValue,
} from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import type { ApiSchema } from "../../../src/dataplane/vpp/binapi/schema/model.ts";
import { FRAME_HEADER } from "../../../src/dataplane/vpp/binapi/wire/frame.ts";
import { zeroMessage } from "./values.ts";

/**
 * What a handler makes of a request: a retval, the reply's fields (those left out are zero), or a dump's elements;
 * `undefined` for a VPP that never answers.
 */
export type Answer = number | MessageValue | readonly MessageValue[] | undefined;
/** Answers a request's bytes with frames of its own; false leaves the request to its {@link Handler}. */
export type RawHandler = (bytes: Buffer, client: FakeClient) => boolean;
export type Handler = (input: MessageValue, client: FakeClient) => Answer | Promise<Answer>;

/** A message on its way out. */
export interface Outgoing {
  readonly message: string;
  readonly frame: Buffer;
}

export interface FakeVppOptions {
  readonly schema: ApiSchema;
  /** API files whose plugins are not loaded. */
  readonly without?: readonly string[];
  /** Messages that this VPP has with another CRC. */
  readonly crcs?: Readonly<Record<string, string>>;
}

const UNIMPLEMENTED = -9;
const SOCKCLNT_CREATE = 15;

/**
 * A VPP without packets: it speaks the protocol of the API socket from the same API files, and answers what its handlers
 * say. It registers clients, pings, and returns -9 (unimplemented) for requests without a handler, as no real VPP does.
 * Faults are put in by {@link FakeVpp.outgoing}, which sees every frame before it leaves.
 */
export class FakeVpp implements AsyncDisposable {
  readonly codecs: Codecs;
  readonly clients = new Set<FakeClient>();
  readonly pid = 4242;
  /** Names of the requests that came, in order. */
  readonly requests: string[] = [];
  /** Turns a frame into what is really sent. */
  outgoing: (out: Outgoing, client: FakeClient) => readonly Buffer[] = (out) => [out.frame];
  /** What a client is told when it registers; anything but 0 refuses it. `undefined`: nothing at all. */
  registration: number | undefined = 0;
  readonly ids: ReadonlyMap<string, number>;
  /** Of the request that a handler is called for: for messages that it sends before its answer. */
  context = 0;
  readonly #names: readonly (string | undefined)[];
  readonly #handlers = new Map<string, Handler>();
  readonly #rawHandlers = new Map<string, RawHandler>();
  #server: Server | undefined;

  private constructor(options: FakeVppOptions) {
    this.codecs = new Codecs(options.schema);
    this.ids = numberMessages(options);
    const names: (string | undefined)[] = [];
    for (const [key, id] of this.ids) names[id] = key.slice(0, -9);
    this.#names = names;
    this.handle("control_ping", () => ({ vpe_pid: this.pid }));
    this.handle("sockclnt_delete", () => ({ response: 1 }));
  }

  static async listen(path: string, options: FakeVppOptions): Promise<FakeVpp> {
    const fake = new FakeVpp(options);
    await fake.listen(path);
    return fake;
  }

  /** Also after {@link stop}: the same VPP is back, its clients forgotten. */
  listen(path: string): Promise<void> {
    const server = createServer((socket) => {
      const client = new FakeClient(this, socket, this.clients.size + 1);
      this.clients.add(client);
      socket.on("close", () => this.clients.delete(client));
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  }

  /** Breaks all connections and stops listening, as a VPP that was killed. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  handle(request: string, handler: Handler): void {
    this.#handlers.set(request, handler);
  }

  /** For recordings. */
  handleRaw(request: string, handler: RawHandler): void {
    this.#rawHandlers.set(request, handler);
  }

  /** Sends an event to every client. */
  event(message: string, value: MessageValue): void {
    for (const client of this.clients) client.send(message, value, 0);
  }

  /** Sends an empty message that VPP has under another CRC than the API files. */
  sendUnknown(message: string): void {
    const id = [...this.ids].find(([key]) => key.slice(0, -9) === message)?.[1] ?? 0;
    const frame = Buffer.alloc(FRAME_HEADER + 10);
    frame.writeUInt32BE(10, 8);
    frame.writeUInt16BE(id, FRAME_HEADER);
    for (const client of this.clients) client.raw(frame);
  }

  /** Called by a client's connection. */
  async receive(client: FakeClient, bytes: Buffer): Promise<void> {
    const id = bytes.readUInt16BE(0);
    if (id === SOCKCLNT_CREATE) {
      this.#register(client, bytes.readUInt32BE(2));
      return;
    }
    const name = this.#names[id];
    if (name === undefined) throw new Error(`a client sent the unknown message ${id}`);
    this.requests.push(name);
    const codec = this.codecs.get(name);
    const { w } = cursorOf(bytes);
    if (codec.header.clientIndexAt >= 0 && w.getUint32(codec.header.clientIndexAt) !== client.index) return; // as VPP does
    const context = codec.header.contextAt >= 0 ? w.getUint32(codec.header.contextAt) : 0;
    this.context = context;
    if (this.#rawHandlers.get(name)?.(bytes, client)) return;
    const handler = this.#handlers.get(name);
    const input = codec.decode(cursorOf(bytes));
    const given = handler ? handler(input, client) : UNIMPLEMENTED;
    // Without a promise the answer leaves at once, so that answers stay in the order of their requests.
    this.#answer(client, name, given instanceof Promise ? await given : given, context);
  }

  #answer(client: FakeClient, request: string, answer: Answer, context: number): void {
    const service = this.codecs.schema.services.get(request);
    if (answer === undefined || !service?.reply) return;
    const { reply, streamMessage, stream } = service;
    const isList = Array.isArray(answer);
    const elements: readonly MessageValue[] = isList ? answer : [];
    if (stream) for (const element of elements) client.send(streamMessage ?? reply, element, context);
    if (stream && streamMessage === undefined) return; // the client's control_ping ends it
    const fields: MessageValue = isList
      ? {}
      : typeof answer === "number"
        ? { retval: answer }
        : (answer as MessageValue);
    client.send(reply, fields, context);
  }

  #register(client: FakeClient, context: number): void {
    if (this.registration === undefined) return;
    const table = [...this.ids].map(([name, index]) => ({ index, name }));
    const value = { response: this.registration, index: client.index, message_table: table };
    client.send("sockclnt_create_reply", value, context);
  }
}

/** One connection to the fake. */
export class FakeClient {
  readonly socket: Socket;
  /** VPP's handle for the client. */
  readonly index: number;
  readonly #vpp: FakeVpp;
  #input: Buffer = Buffer.alloc(0);

  constructor(vpp: FakeVpp, socket: Socket, index: number) {
    this.#vpp = vpp;
    this.socket = socket;
    this.index = index;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#data(chunk));
  }

  /** Sends a message, fields that are left out being zero. */
  send(message: string, value: MessageValue, context: number): void {
    const { codecs, ids, outgoing } = this.#vpp;
    const codec = codecs.get(message);
    const frame = frameOf(codec, ids, { ...zeroMessage(codecs.schema, message), ...value }, context);
    for (const bytes of outgoing({ message, frame }, this)) this.raw(bytes);
  }

  /** Sends bytes as they are. */
  raw(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  #data(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    let at = 0;
    while (this.#input.length - at >= FRAME_HEADER) {
      const length = this.#input.readUInt32BE(at + 8);
      const end = at + FRAME_HEADER + length;
      if (this.#input.length < end) break;
      this.#vpp.receive(this, this.#input.subarray(at + FRAME_HEADER, end)).catch((e: unknown) => {
        this.socket.destroy(e instanceof Error ? e : new Error(String(e)));
      });
      at = end;
    }
    this.#input = this.#input.subarray(at);
  }
}

/** One message with its frame header. */
function frameOf(codec: MessageCodec, ids: ReadonlyMap<string, number>, value: MessageValue, context: number): Buffer {
  const size = codec.size(value);
  const frame = Buffer.alloc(FRAME_HEADER + size);
  const w = new DataView(frame.buffer, frame.byteOffset, frame.length);
  codec.encode(frame, w, FRAME_HEADER, value);
  w.setUint32(8, size);
  w.setUint16(FRAME_HEADER, ids.get(`${codec.message.name}_${codec.message.crc}`) ?? 0);
  if (codec.header.contextAt >= 0) w.setUint32(FRAME_HEADER + codec.header.contextAt, context);
  return frame;
}

/** The core's first messages have fixed numbers; plugins' follow in any order. */
function numberMessages(options: FakeVppOptions): Map<string, number> {
  const ids = new Map<string, number>();
  const key = (name: string, crc: string) => `${name}_${options.crcs?.[name] ?? crc}`;
  let next = 1;
  const messages = [...options.schema.messages.values()];
  for (const m of messages) if (m.module === "memclnt") ids.set(key(m.name, m.crc), next++);
  next = 100;
  for (const m of messages) {
    if (m.module !== "memclnt" && !options.without?.includes(m.module)) ids.set(key(m.name, m.crc), next++);
  }
  return ids;
}
