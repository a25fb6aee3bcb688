declare const brand: unique symbol;

/** A `T` that only its own constructor or parser can make: `type PodId = Brand<string, "PodId">`. No run-time cost. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
