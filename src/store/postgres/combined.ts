/**
 * Several statements as one.
 *
 * Each statement takes PostgreSQL as long as it takes to read, look up and answer one, and this process as long as it
 * takes to send it and to take in the answer. Of a transaction on one run that is most of all its time.
 */
import type { Part, Statement } from "./values.ts"

/** A statement that gives one value. */
export const giving = ({ params, sql }: Statement): Statement => ({ sql, params, part: { value: `(${sql})` } })

/** A statement that writes. */
export const writing = (name: string, { params, sql }: Statement, { sees = false } = {}): Statement => ({
  sql,
  params,
  part: { name, write: sql, apart: sees }
})

/**
 * Statements that write rows of a table in as many parts as it takes. Each further one is apart from those before, since
 * one statement has no room for all.
 */
export const allWriting = (name: string, statements: ReadonlyArray<Statement>, { sees = false } = {}) =>
  statements.map((statement, index) => writing(name, statement, { sees: sees || index > 0 }))

/** A statement that writes, and gives a value that may name what its `RETURNING` gives. */
export const writingAndGiving = (
  name: string,
  write: string,
  value: string,
  params: Statement["params"]
): Statement => ({
  sql: `WITH ${name} AS (${write}) SELECT ${value}`,
  params,
  part: { name, write, value }
})

/** A statement that gives a value once what stands before it has written rows, with `RETURNING`, under that name. */
export const givingAfter = (name: string, value: (rows: string) => string, params: Statement["params"]): Statement => ({
  sql: `SELECT ${value("0")}`,
  params,
  part: { value: value(`(SELECT count(*) FROM ${name})`) }
})

const textOf = (statements: ReadonlyArray<Statement>): string => {
  let before = 0
  const writes: Array<string> = []
  const values: Array<string> = []
  for (const { params, part } of statements) {
    const shifted = (sql: string) => sql.replaceAll(/\$(\d+)/g, (_, place) => `$${before + Number(place)}`)
    if (part?.write !== undefined) writes.push(`${part.name} AS (${shifted(part.write)})`)
    if (part?.value !== undefined) values.push(shifted(part.value))
    before += params.length
  }
  return `${writes.length === 0 ? "" : `WITH ${writes.join(", ")} `}SELECT ${values.join(", ") || "1"}`
}

const keyOf = ({ name = "", value = "", write = "" }: Part) => `${name}\u0000${write}\u0000${value}`

/** The texts of combinations, by all that is in their parts. */
const texts = new Map<string, string>()

const one = (statements: ReadonlyArray<Statement>): Statement => {
  const key = statements.map(({ part }) => keyOf(part ?? {})).join("\u0000")
  let sql = texts.get(key)
  if (sql === undefined) {
    sql = textOf(statements)
    texts.set(key, sql)
  }
  return { sql, params: statements.flatMap(({ params }) => params) }
}

/**
 * The same as fewer statements. Those that become one see the same snapshot, and nothing of what the others write; no row
 * may be written by two of them. They are not carried out in their order, but for what `givingAfter` stands behind.
 */
export const combined = (statements: ReadonlyArray<Statement>): ReadonlyArray<Statement> => {
  const groups: Array<Array<Statement>> = []
  for (const statement of statements) {
    const group = groups.at(-1)
    const joins = statement.part !== undefined && statement.part.apart !== true && group?.[0]?.part !== undefined
    if (joins) group.push(statement)
    else groups.push([statement])
  }
  return groups.map((group) => (group.length === 1 ? group[0]! : one(group)))
}
