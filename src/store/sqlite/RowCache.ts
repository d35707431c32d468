/**
 * Rows that are read with almost every transaction and seldom written, kept in memory: only this process writes the
 * file. A row is forgotten when it is written, and read again when it is next needed.
 */

/** So many rows. Beyond them the cache begins anew, which costs what it saved, but no more than that. */
const capacity = 1_024

export class RowCache<A> {
  readonly #rows = new Map<string, A>()

  /** The row with that key, read if it is not kept. That there is none is not kept: keys may be anything. */
  get(key: string, read: (key: string) => A | undefined): A | undefined {
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    const row = read(key)
    if (row === undefined) return undefined
    if (this.#rows.size >= capacity) this.#rows.clear()
    this.#rows.set(key, row)
    return row
  }

  /** To be told of every write. */
  forget(key: string): void {
    this.#rows.delete(key)
  }

  /** To be told of every rollback: what was read since the write that is undone is not there. */
  rolledBack(): void {
    this.#rows.clear()
  }
}
