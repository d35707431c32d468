/** As many free places are kept when there is nothing any more, after there was a lot. */
const mostFree = 1_024

/**
 * What comes and goes by its key for as long as a process lives, in the order it came.
 *
 * A Map with the same contents would make collection expensive. V8 moves a Map that has filled up with deleted entries to
 * a new table, and leaves the old one linked to the new. Once one of these tables is in the old generation, each minor
 * collection takes its successor for reachable, and with it everything that was in there, which is copied and then stays
 * until a major collection. Here the Map holds numbers, and what they stand for is where nothing links to it any more.
 */
export class Registry<K extends string | number, A> {
  readonly #places = new Map<K, number>()
  readonly #entries: Array<A | undefined> = []
  readonly #free: Array<number> = []

  get size(): number {
    return this.#places.size
  }

  has(key: K): boolean {
    return this.#places.has(key)
  }

  get(key: K): A | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#entries[place]
  }

  set(key: K, entry: A): void {
    let place = this.#places.get(key)
    if (place === undefined) {
      place = this.#free.pop() ?? this.#entries.length
      this.#places.set(key, place)
    }
    this.#entries[place] = entry
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    this.#entries[place] = undefined
    this.#free.push(place)
    if (this.#places.size === 0 && this.#free.length > mostFree) this.clear()
    return true
  }

  clear(): void {
    this.#places.clear()
    this.#entries.length = 0
    this.#free.length = 0
  }

  /** The first key, if there is one. */
  get first(): K | undefined {
    return this.#places.keys().next().value
  }

  /** In order. Entries may be deleted while one goes through. */
  keys(): Iterable<K> {
    return this.#places.keys()
  }

  /** What is there now; it may change while one goes through. */
  values(): ReadonlyArray<A> {
    return Array.from(this.#places.values(), (place) => this.#entries[place] as A)
  }
}
