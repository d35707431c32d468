/** What a `WorkingSet` is made of. */

type How = "insert" | "update"

/** A row as the commands so far have left it. */
interface Entry<A> {
  row: A
  /** Absent while it is as it was loaded. */
  written: How | undefined
}

/** Loaded or written rows of one kind, and which of them are to be written. */
export class Table<A> {
  readonly #entries = new Map<string, Entry<A>>()
  /** In the order of the first write. */
  readonly #written: Array<Entry<A>> = []

  load(id: string, row: A): void {
    this.#entries.set(id, { row, written: undefined })
  }

  get(id: string): A | undefined {
    return this.#entries.get(id)?.row
  }

  *rows(): Iterable<A> {
    for (const { row } of this.#entries.values()) yield row
  }

  /** Answers how to take it back; what was written later must have been taken back before. */
  write(id: string, row: A): () => void {
    const known = this.#entries.get(id)
    if (known === undefined) {
      const entry: Entry<A> = { row, written: "insert" }
      this.#entries.set(id, entry)
      this.#written.push(entry)
      return () => {
        this.#entries.delete(id)
        this.#written.pop()
      }
    }
    const { row: before, written } = known
    known.row = row
    if (written !== undefined) {
      return () => {
        known.row = before
      }
    }
    known.written = "update"
    this.#written.push(known)
    return () => {
      known.row = before
      known.written = undefined
      this.#written.pop()
    }
  }

  toWrite(how: How): ReadonlyArray<A> {
    const found: Array<A> = []
    for (const { row, written } of this.#written) if (written === how) found.push(row)
    return found
  }
}

/** Ids by a key that several rows share. Ids of rows that were undone may remain; readers skip them. */
export class Index {
  readonly #ids = new Map<string, Set<string>>()

  add(key: string, id: string): void {
    const ids = this.#ids.get(key)
    if (ids === undefined) this.#ids.set(key, new Set([id]))
    else ids.add(id)
  }

  get(key: string): Iterable<string> {
    return this.#ids.get(key) ?? []
  }
}
