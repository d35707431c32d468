/** What all listings have in common. */
import { type Cursor, type Page, pageBytes } from "../../Store.ts"
import { int8, type Parameter, type Row, type Statement, text } from "../values.ts"
import type { Read } from "./reads.ts"

/** Conditions, and the parameters in them. */
export class Conditions {
  readonly params: Array<Parameter> = []
  readonly #texts: Array<string> = []

  param(value: Parameter): string {
    return `$${this.params.push(value)}`
  }

  equals(column: string, value: Parameter | undefined): this {
    if (value !== undefined) this.#texts.push(`${column} = ${this.param(value)}`)
    return this
  }

  compare(columns: ReadonlyArray<string>, operator: "<" | ">", values: ReadonlyArray<Parameter> | undefined): this {
    if (values !== undefined) {
      this.#texts.push(`(${columns.join(", ")}) ${operator} (${values.map((value) => this.param(value)).join(", ")})`)
    }
    return this
  }

  /** Takes whatever `condition` says of the value. */
  that(value: Parameter, condition: (param: string) => string): this {
    this.#texts.push(condition(this.param(value)))
    return this
  }

  get sql(): string {
    return this.#texts.length === 0 ? "" : `WHERE ${this.#texts.join(" AND ")}`
  }
}

export const optional = <A>(value: A | undefined, to: (value: A) => Parameter): Parameter | undefined =>
  value === undefined ? undefined : to(value)

export const at = (cursor: Cursor | undefined) =>
  cursor === undefined ? undefined : [int8(cursor.at), text(cursor.id)]

/** A page, and the statement that counts all, if that is asked for. */
export interface Listing<A> {
  readonly page: Read<Page<A>>
  readonly total: Read<number> | undefined
}

export const totalOf = (count: boolean, { params, sql }: Statement): Read<number> | undefined =>
  count ? { sql: `SELECT count(*) ${sql}`, params, decode: (rows) => rows[0]?.[0] as number } : undefined

export interface Sized {
  /** What is selected, with the table as `t`. */
  readonly columns: string
  readonly from: string
  readonly id: string
  readonly bytes: string
  readonly order: ReadonlyArray<string>
  readonly descending: boolean
  /** What the columns need beside the rows themselves. */
  readonly join?: string
}

/**
 * A page that ends before its payloads grow too large, and knows whether more follows: which rows are on it is told by
 * their sizes, and only then are they read.
 */
export const sizedPage = (
  { bytes, columns, descending, from, id, join = "", order }: Sized,
  conditions: Conditions,
  limit: number
) => {
  const by = order.map((column) => `${column}${descending ? " DESC" : ""}`).join(", ")
  const more = conditions.param(int8(limit + 1))
  const most = conditions.param(int8(limit))
  const room = conditions.param(int8(pageBytes))
  return `SELECT ${columns}, p.followed FROM (
      SELECT ${id} AS id, lead(${id}) OVER places IS NOT NULL AS followed,
        row_number() OVER places AS place, sum(bytes) OVER (places ROWS UNBOUNDED PRECEDING) AS total
      FROM (SELECT ${id}, ${order.filter((column) => column !== id).join(", ")}, ${bytes} AS bytes FROM ${from} AS t
        ${conditions.sql} ORDER BY ${by} LIMIT ${more}) AS found
      WINDOW places AS (ORDER BY ${by})
    ) AS p JOIN ${from} AS t ON t.${id} = p.id ${join}
    WHERE p.place <= ${most} AND (p.place = 1 OR p.total <= ${room}) ORDER BY p.place`
}

export const paged =
  <A>(decode: (row: Row) => A) =>
  (rows: ReadonlyArray<Row>): Page<A> => ({
    items: rows.map(decode),
    hasMore: rows.at(-1)?.at(-1) === true
  })

/** A page of rows without payloads, of which one more than wanted is read. */
export const plainPage =
  <A>(limit: number, decode: (row: Row) => A) =>
  (rows: ReadonlyArray<Row>): Page<A> => ({ items: rows.slice(0, limit).map(decode), hasMore: rows.length > limit })
