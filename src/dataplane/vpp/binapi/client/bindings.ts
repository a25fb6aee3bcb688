import type { Codecs, MessageCodec } from "../codec/codecs.ts";
import { VppMessageUnavailableError } from "../errors.ts";
import type { Registration } from "../wire/handshake.ts";
import { type Guard, guardOf } from "./guards.ts";

/** A message under the number that the connected VPP gave it. */
export interface BoundMessage {
  readonly name: string;
  readonly id: number;
  /** Undefined for a message of VPP that the API files don't have: it is passed over. */
  readonly codec: MessageCodec | undefined;
}

/** A request with what ends it. */
export interface BoundRequest {
  readonly name: string;
  readonly id: number;
  readonly codec: MessageCodec;
  /** The number of the message that ends it: its reply, or `control_ping_reply` for a dump that a ping must end. */
  readonly replyId: number;
  /** The number of a dump's elements, or -1. */
  readonly elementId: number;
  /** A `control_ping` has to follow, because VPP doesn't say when a dump is complete. */
  readonly needsPing: boolean;
  /** The reply has a retval. */
  readonly hasRetval: boolean;
  /** Refuses what VPP would die of. */
  readonly guard: Guard | undefined;
}

/** The longest name that VPP's message table holds, NUL excluded. */
const TABLE_NAME = 63;

/** The schema's messages joined with the numbers of one connection. */
export class Bindings {
  readonly codecs: Codecs;
  readonly clientIndex: number;
  readonly #ids: ReadonlyMap<string, number>;
  /** `name_crc` by number. */
  readonly #keys: (string | undefined)[] = [];
  readonly #messages: (BoundMessage | undefined)[] = [];
  readonly #requests = new Map<string, BoundRequest>();

  constructor(codecs: Codecs, registration: Registration) {
    this.codecs = codecs;
    this.clientIndex = registration.clientIndex;
    this.#ids = registration.ids;
    for (const [key, id] of registration.ids) this.#keys[id] = key;
  }

  /** VPP's number for the message as the schema has it; undefined if it is missing there or has another CRC. */
  idOf(name: string): number | undefined {
    const message = this.codecs.schema.messages.get(name);
    return message && this.#ids.get(`${name}_${message.crc}`.slice(0, TABLE_NAME));
  }

  /** The message behind a number, or undefined for one that VPP never announced. */
  byId(id: number): BoundMessage | undefined {
    return this.#messages[id] ?? this.#bind(id);
  }

  /** Throws {@link VppMessageUnavailableError} when VPP can't be asked this. */
  request(name: string): BoundRequest {
    let bound = this.#requests.get(name);
    if (!bound) this.#requests.set(name, (bound = this.#bindRequest(name)));
    return bound;
  }

  #bind(id: number): BoundMessage | undefined {
    const key = this.#keys[id];
    if (key === undefined) return undefined;
    const [, name = key, crc] = /^(.+)_([0-9a-f]{8})$/.exec(key) ?? [];
    const known = this.codecs.schema.messages.get(name)?.crc === crc;
    const message = { name, id, codec: known ? this.codecs.get(name) : undefined };
    this.#messages[id] = message;
    return message;
  }

  #bindRequest(name: string): BoundRequest {
    const service = this.codecs.schema.services.get(name);
    if (!service?.reply) {
      const why = this.codecs.schema.messages.has(name) ? "is not answered by VPP" : "is not in VPP's API files";
      throw new VppMessageUnavailableError(name, why);
    }
    const id = this.#mustHave(name, name);
    const needsPing = service.stream && service.streamMessage === undefined;
    const element = needsPing ? service.reply : service.streamMessage;
    const reply = needsPing ? "control_ping_reply" : service.reply;
    return {
      name,
      id,
      codec: this.codecs.get(name),
      replyId: this.#mustHave(reply, name),
      elementId: element === undefined ? -1 : this.#mustHave(element, name),
      needsPing,
      guard: guardOf(name),
      hasRetval: this.codecs.get(reply).message.fields.some((f) => f.name === "retval"),
    };
  }

  #mustHave(name: string, request: string): number {
    const id = this.idOf(name);
    if (id !== undefined) return id;
    const module = this.codecs.schema.messages.get(name)?.module;
    const where = module === undefined ? "" : ` (of ${module}.api; is the plugin loaded?)`;
    throw new VppMessageUnavailableError(request, `the running VPP has no ${name} of this shape${where}`);
  }
}
