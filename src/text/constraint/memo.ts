// Results that are worked out once and then looked up, with a bound and without.

/** A Map or a WeakMap. */
interface Results<K, V> {
  get(key: K): V | undefined
  set(key: K, result: V): unknown
}

/** The result for a key: the remembered one, or a new one that is remembered from now on. */
export function remembered<K, V extends object>(results: Results<K, V>, key: K, make: () => V): V {
  const known = results.get(key)
  if (known !== undefined) return known
  const result = make()
  results.set(key, result)
  return result
}

/** Remembers a result; when there are too many, all others are forgotten first. */
export function keep<K, V>(results: Map<K, V>, most: number, key: K, result: V): void {
  if (results.size >= most && !results.has(key)) results.clear()
  results.set(key, result)
}
