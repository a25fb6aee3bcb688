import { type AttrWriter, NLA_F_NESTED } from "../../netlink/attr.ts";

/* Expressions of nf_tables as `nft` writes them: attributes of linux/netfilter/nf_tables.h, in its order. */

/** Writes one expression into a rule's list. */
export type Expression = (list: AttrWriter) => void;

const LIST_ELEMENT = 1;
const ExprAttr = { NAME: 1, DATA: 2 } as const;
const VALUE = 1;
export const MetaKey = { NFPROTO: 15, L4PROTO: 16 } as const;
export const Compare = { EQUAL: 0, NOT_EQUAL: 1, AT_MOST: 3, AT_LEAST: 5 } as const;
export const PayloadBase = { NETWORK: 1, TRANSPORT: 2 } as const;
const FIB_DADDR = 1 << 1;
const FIB_RESULT_ADDRTYPE = 3;
/** NFT_REG_1, four times as large as those from NFT_REG32_00 on, with which it shares its room. */
export const REG_1 = 1;
export const REG_2 = 2;
const REG32_00 = 8;
export const REG_VERDICT = 0;
/** NFT_LOOKUP_F_INV, NFT_NG_RANDOM, NFT_HASH_JENKINS, NFT_NAT_DNAT, NF_NAT_RANGE_PROTO_SPECIFIED, NFT_CT_MARK, NFT_DYNSET_OP_UPDATE. */
const INVERSE = 1;
const NUMGEN_RANDOM = 1;
const JENKINS = 0;
const NAT_DNAT = 1;
const PORT_GIVEN = 2;
const CT_MARK = 3;
const DYNSET_UPDATE = 1;
/** NF_DROP, NF_ACCEPT of linux/netfilter.h, NFT_CONTINUE and the like of nf_tables.h. */
const VERDICTS: Readonly<Record<string, number>> = {
  drop: 0,
  accept: 1,
  continue: -1,
  jump: -3,
  goto: -4,
  return: -5,
};
const DataAttr = { VERDICT: 2 } as const;
const VerdictAttr = { CODE: 1, CHAIN: 2 } as const;

/** The register of a field that begins so many words behind the first one's. */
export const registerAt = (words: number): number => (words % 4 === 0 ? REG_1 + words / 4 : REG32_00 + words);

export const meta = (key: number, register = REG_1): Expression =>
  expression("meta", (e) => e.u32be(2, key).u32be(1, register));

export const compare = (how: number, value: Uint8Array): Expression =>
  expression("cmp", (e) => {
    e.u32be(1, REG_1).u32be(2, how);
    e.nest(3 | NLA_F_NESTED, (data) => data.bytes(VALUE, value));
  });

export const payload = (base: number, offset: number, length: number, register = REG_1): Expression =>
  expression("payload", (e) => e.u32be(1, register).u32be(2, base).u32be(3, offset).u32be(4, length));

/** The bits of the register under a mask, some of them turned over. */
export const mask = (bits: Uint8Array, turned: Uint8Array = new Uint8Array(bits.length)): Expression =>
  expression("bitwise", (e) => {
    e.u32be(1, REG_1).u32be(2, REG_1).u32be(3, bits.length);
    e.nest(4 | NLA_F_NESTED, (data) => data.bytes(VALUE, bits));
    e.nest(5 | NLA_F_NESTED, (data) => data.bytes(VALUE, turned));
  });

export interface LookupOptions {
  /** Of a set of the same batch. */
  readonly id?: number | undefined;
  /** Matches what is not there. */
  readonly isInverse?: boolean | undefined;
  /** What a map has for the key goes there. */
  readonly into?: number | undefined;
}

export const lookup = (set: string, { id, isInverse, into }: LookupOptions = {}): Expression =>
  expression("lookup", (e) =>
    e
      .u32be(2, REG_1)
      .u32be(3, into)
      .string(1, set)
      .u32be(4, id)
      .u32be(5, isInverse ? INVERSE : undefined),
  );

/** Which type (RTN_*) the destination is of, for this machine. */
export const destinationType: Expression = expression("fib", (e) =>
  e.u32be(3, FIB_DADDR).u32be(2, FIB_RESULT_ADDRTYPE).u32be(1, REG_1),
);

/** A number below `modulus`, drawn for each packet. */
export const random = (modulus: number): Expression =>
  expression("numgen", (e) => e.u32be(1, REG_1).u32be(2, modulus).u32be(3, NUMGEN_RANDOM));

/** A number below `modulus`, of the bytes from register 2 on. */
export const jhash = (length: number, modulus: number, seed: number): Expression =>
  expression("hash", (e) =>
    e.u32be(1, REG_2).u32be(2, REG_1).u32be(3, length).u32be(4, modulus).u32be(5, seed).u32be(7, JENKINS),
  );

/** Puts a value into a register. */
export const load = (value: Uint8Array, register = REG_1): Expression =>
  expression("immediate", (e) => e.u32be(1, register).nest(2 | NLA_F_NESTED, (data) => data.bytes(VALUE, value)));

/** Translates the destination to the address in register 1 and the port in another one. */
export const dnat = (family: number, portRegister: number, isPortGiven: boolean): Expression =>
  expression("nat", (e) =>
    e
      .u32be(1, NAT_DNAT)
      .u32be(2, family)
      .u32be(3, REG_1)
      .u32be(5, portRegister)
      .u32be(7, isPortGiven ? PORT_GIVEN : undefined),
  );

export const loadCtMark: Expression = expression("ct", (e) => e.u32be(2, CT_MARK).u32be(1, REG_1));
export const storeCtMark: Expression = expression("ct", (e) => e.u32be(2, CT_MARK).u32be(4, REG_1));

/** Puts what is in register 1 into a set, for the time that elements of the set have. */
export const updateSet = (set: string): Expression =>
  expression("dynset", (e) => e.u32be(4, REG_1).u32be(3, DYNSET_UPDATE).string(1, set).u32be(2, 0));

export const counter: Expression = expression("counter", () => {});

/** `drop`, `jump chain`; undefined for what is no verdict. */
export function verdict(text: string): ((attrs: AttrWriter) => void) | undefined {
  const [verb = "", chain, ...more] = text.split(" ");
  const code = VERDICTS[verb];
  const leads = verb === "jump" || verb === "goto";
  if (code === undefined || more.length > 0 || leads !== (chain !== undefined)) return undefined;
  return (attrs) => {
    attrs.nest(DataAttr.VERDICT | NLA_F_NESTED, (v) =>
      v.u32be(VerdictAttr.CODE, code >>> 0).string(VerdictAttr.CHAIN, chain),
    );
  };
}

export const decide = (write: (attrs: AttrWriter) => void): Expression =>
  expression("immediate", (e) => e.u32be(1, REG_VERDICT).nest(2 | NLA_F_NESTED, write));

function expression(name: string, write: (data: AttrWriter) => void): Expression {
  return (list) => {
    list.nest(LIST_ELEMENT | NLA_F_NESTED, (item) =>
      item.string(ExprAttr.NAME, name).nest(ExprAttr.DATA | NLA_F_NESTED, write),
    );
  };
}
