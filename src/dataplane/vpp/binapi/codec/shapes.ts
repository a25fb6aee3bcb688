import type { ApiSchema, Field, TypeDef } from "../schema/model.ts";
import { BASE_SIZE, type BaseType } from "../schema/model.ts";
import { Layout } from "./layout.ts";

/** A type that is shown as text, with the runtime's functions for it and the size that this rests on. */
export interface TextType {
  readonly size: number;
  readonly read: string;
  readonly write: string;
  readonly want: string;
  /** Reading yields undefined for bytes without a meaning. */
  readonly partial: boolean;
}

const text = (size: number, name: string, want: string, partial = false): TextType => ({
  size,
  read: `read${name}`,
  write: `write${name}`,
  want,
  partial,
});

/** Types of ip_types.api and ethernet_types.api that are texts for our callers. */
export const TEXT_TYPES: ReadonlyMap<string, TextType> = new Map([
  ["ip4_address", text(4, "Ip4", "an IPv4 address")],
  ["ip6_address", text(16, "Ip6", "an IPv6 address")],
  ["mac_address", text(6, "Mac", "an Ethernet address")],
  ["address", text(17, "Address", "an IP address", true)],
  ["prefix", text(18, "Prefix", "an address/length", true)],
  ["ip4_prefix", text(5, "Ip4Prefix", "an IPv4 address/length")],
  ["ip6_prefix", text(17, "Ip6Prefix", "an IPv6 address/length")],
]);

/** How a field's type is to be coded, aliases followed. */
export type Shape =
  | { readonly kind: "scalar"; readonly base: BaseType; readonly size: number; readonly flags: boolean }
  | { readonly kind: "text"; readonly text: TextType; readonly size: number }
  | { readonly kind: "bytes"; readonly size: number }
  | { readonly kind: "struct"; readonly type: TypeDef & { kind: "struct" }; readonly size: number; fixed: boolean }
  | { readonly kind: "union"; readonly type: TypeDef & { kind: "union" }; readonly size: number }
  | { readonly kind: "items"; readonly of: string; readonly length: number; readonly size: number };

/** Looks types up for the emitters. With `texts` false, addresses keep the schema's own structure. */
export class Shapes {
  readonly layout: Layout;
  readonly #texts: boolean;
  readonly #schema: ApiSchema;

  constructor(schema: ApiSchema, texts: boolean) {
    this.#schema = schema;
    this.layout = new Layout(schema);
    this.#texts = texts;
  }

  /** Of one element, if the field is an array. */
  of(name: string): Shape {
    const base = this.layout.scalar(name);
    if (base) return { kind: "scalar", base, size: BASE_SIZE[base], flags: this.#isFlags(name) };
    const { min: size, fixed } = this.layout.sizeOf(name);
    const asText = this.#texts ? TEXT_TYPES.get(name) : undefined;
    if (asText?.size === size && fixed) return { kind: "text", text: asText, size };
    const type = this.layout.type(name);
    switch (type.kind) {
      case "struct":
        return { kind: "struct", type, size, fixed };
      case "union":
        return { kind: "union", type, size };
      case "alias":
        if (type.length === undefined) return this.of(type.type);
        if (this.layout.scalar(type.type) === "u8") return { kind: "bytes", size };
        return { kind: "items", of: type.type, length: type.length, size };
      case "enum":
        throw new Error("an enum is a scalar");
    }
  }

  /** The number that selects a union's arm, by the enum of its discriminator. */
  caseValue(union: readonly Field[], arm: string, discriminator: Field): number | undefined {
    const name = union.find((f) => f.name === arm)?.case;
    const type = this.#schema.types.get(discriminator.type);
    return name !== undefined && type?.kind === "enum" ? type.values.get(name) : undefined;
  }

  #isFlags(name: string): boolean {
    const type = this.#schema.types.get(name);
    if (type?.kind === "alias") return this.#isFlags(type.type);
    return type?.kind === "enum" && type.flags;
  }
}
