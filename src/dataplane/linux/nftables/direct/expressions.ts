import { type AttrWriter, NLA_F_NESTED } from "../../netlink/attr.ts";

/* Expressions of nf_tables as `nft` writes them: attributes of linux/netfilter/nf_tables.h, in its order. */

/** Writes one expression into a rule's list. */
export type Expression = (list: AttrWriter) => void;

const LIST_ELEMENT = 1;
const ExprAttr = { NAME: 1, DATA: 2 } as const;
const VALUE = 1;
export const MetaKey = { NFPROTO: 15, L4PROTO: 16 } as const;
export const Compare = { EQUAL: 0, AT_MOST: 3, AT_LEAST: 5 } as const;
export const PayloadBase = { NETWORK: 1, TRANSPORT: 2 } as const;
const FIB_DADDR = 1 << 1;
const FIB_RESULT_ADDRTYPE = 3;
/** NFT_REG_1, four times as large as those from NFT_REG32_00 on, with which it shares its room. */
export const REG_1 = 1;
const REG32_00 = 8;
const REG_VERDICT = 0;
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

/** The bits of the register under a mask. */
export const mask = (bits: Uint8Array): Expression =>
  expression("bitwise", (e) => {
    e.u32be(1, REG_1).u32be(2, REG_1).u32be(3, bits.length);
    e.nest(4 | NLA_F_NESTED, (data) => data.bytes(VALUE, bits));
    e.nest(5 | NLA_F_NESTED, (data) => data.bytes(VALUE, new Uint8Array(bits.length)));
  });

/** `id` is that of a set of the same batch. */
export const lookup = (set: string, id?: number): Expression =>
  expression("lookup", (e) => e.u32be(2, REG_1).string(1, set).u32be(4, id));

/** Which type (RTN_*) the destination is of, for this machine. */
export const destinationType: Expression = expression("fib", (e) =>
  e.u32be(3, FIB_DADDR).u32be(2, FIB_RESULT_ADDRTYPE).u32be(1, REG_1),
);

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
