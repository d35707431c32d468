/**
 * Several statements as one.
 *
 * Each statement takes PostgreSQL as long as it takes to read, look up and answer one, and this process as long as it
 * takes to send it and to take in the answer. Of a transaction on one run that is most of all its time.
 */
import type { Statement } from "./values.ts"

/** A statement that gives one value. */
export const giving = ({ params, sql }: Statement): Statement => ({ sql, params, part: { value: `(${sql})` } })

/** A statement that writes. */
export const writing = (name: string, { params, sql }: Statement, { sees = false } = {}): Statement => ({
  sql,
  params,
  part: { writes: { name, sql }, sees }
})

/** Statements that write rows of a table in as many parts as it takes. */
export const allWriting = (name: string, statements: ReadonlyArray<Statement>, options?: { readonly sees: boolean }) =>
  statements.map((statement, index) => writing(`${name}_${index}`, statement, options))

/** A statement that writes, and gives a value that may name what its `RETURNING` gives. */
export const writingAndGiving = (name: string, sql: string, value: string, params: Statement["params"]): Statement => ({
  sql: `WITH ${name} AS (${sql}) SELECT ${value}`,
  params,
  part: { writes: { name, sql }, value }
})

/** A statement that gives a value when those are carried out that stand before it, and write rows with `RETURNING`. */
export const afterWriting = (
  before: ReadonlyArray<Statement>,
  value: (rows: string) => string,
  params: Statement["params"]
): Statement => {
  const rows = before.map(({ part }) => `(SELECT count(*) FROM ${part?.writes?.name})`)
  return { sql: `SELECT ${value("0")}`, params, part: { value: value(rows.join(" + ")) } }
}

const textOf = (statements: ReadonlyArray<Statement>): string => {
  let before = 0
  const writes: Array<string> = []
  const values: Array<string> = []
  for (const { params, part } of statements) {
    const shifted = (sql: string) => sql.replaceAll(/\$(\d+)/g, (_, place) => `$${before + Number(place)}`)
    if (part?.writes !== undefined) writes.push(`${part.writes.name} AS (${shifted(part.writes.sql)})`)
    if (part?.value !== undefined) values.push(shifted(part.value))
    before += params.length
  }
  return `${writes.length === 0 ? "" : `WITH ${writes.join(", ")} `}SELECT ${values.join(", ") || "1"}`
}

/** The texts of combinations, by the texts of their statements one after the other: they are few, and made once. */
interface Texts {
  readonly next: Map<string, Texts>
  text?: string
}

const combinations: Texts = { next: new Map() }

const one = (statements: ReadonlyArray<Statement>): Statement => {
  let known = combinations
  for (const { sql } of statements) {
    const next = known.next.get(sql) ?? { next: new Map() }
    known.next.set(sql, next)
    known = next
  }
  known.text ??= textOf(statements)
  return { sql: known.text, params: statements.flatMap(({ params }) => params) }
}

/**
 * The same as fewer statements. Those that become one see the same snapshot, and nothing of what the others write; no row
 * may be written by two of them.
 */
export const combined = (statements: ReadonlyArray<Statement>): ReadonlyArray<Statement> => {
  const groups: Array<Array<Statement>> = []
  for (const statement of statements) {
    const group = groups.at(-1)
    const joins = statement.part !== undefined && statement.part.sees !== true && group?.[0]?.part !== undefined
    if (joins) group.push(statement)
    else groups.push([statement])
  }
  return groups.map((group) => (group.length === 1 ? group[0]! : one(group)))
}
