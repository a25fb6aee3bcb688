/**
 * `make`, called once for each object, which must not change: what was made of it is forgotten with it. If `make` throws,
 * nothing is remembered. Arguments behind the object matter to the first call only.
 */
export function memo<K extends WeakKey, V extends {}, A extends unknown[] = []>(
  make: (of: K, ...rest: A) => V,
): (of: K, ...rest: A) => V {
  const known = new WeakMap<K, V>();
  return (of, ...rest) => {
    let made = known.get(of);
    if (made === undefined) known.set(of, (made = make(of, ...rest)));
    return made;
  };
}

/** As {@link memo}, once for each object and text. `V` of an object's texts are kept as long as the object is. */
export function memoByText<K extends WeakKey, V extends {}, A extends unknown[] = []>(
  make: (of: K, text: string, ...rest: A) => V,
): (of: K, text: string, ...rest: A) => V {
  const texts = memo<K, Map<string, V>>(() => new Map());
  return (of, text, ...rest) => {
    const known = texts(of);
    let made = known.get(text);
    if (made === undefined) known.set(text, (made = make(of, text, ...rest)));
    return made;
  };
}
