/** What was measured, for people, for scripts and for a page. */
import { table } from "../src/cli/table.ts"
import { median } from "./statistics.ts"

export type Row = Readonly<Record<string, string | number>>

export interface Report {
  readonly name: string
  /** What was done, and with which settings. */
  readonly about: string
  readonly rows: ReadonlyArray<Row>
}

/** The same rows measured several times: the median of each figure. */
export const medians = (repeats: ReadonlyArray<ReadonlyArray<Row>>): ReadonlyArray<Row> =>
  (repeats[0] ?? []).map((first, index) =>
    Object.fromEntries(
      Object.entries(first).map(([field, value]) => [
        field,
        typeof value === "string" ? value : median(repeats.map((rows) => Number(rows[index]?.[field])))
      ])
    )
  )

const cell = (value: string | number | undefined): string =>
  typeof value === "number" ? value.toLocaleString("en-US", { maximumFractionDigits: 2 }) : (value ?? "")

const columns = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => [...new Set(rows.flatMap(Object.keys))]

/** One line: a single row's fields stand beside the name. */
export const toJson = ({ about, name, rows }: Report): string => {
  const [row, ...others] = rows
  return JSON.stringify(others.length === 0 ? { name, ...row } : { name, about, rows })
}

export const toText = ({ about, name, rows }: Report): string => {
  const fields = columns(rows)
  const cells = rows.map((row) => fields.map((field) => cell(row[field])))
  return `\n${name}: ${about}\n${table(fields, cells)}`
}

export const toMarkdown = ({ about, name, rows }: Report): string => {
  const fields = columns(rows)
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  return [
    `\n**${name}**: ${about}\n`,
    line(fields),
    line(fields.map((field) => (typeof rows[0]?.[field] === "number" ? "--:" : "---"))),
    ...rows.map((row) => line(fields.map((field) => cell(row[field]))))
  ].join("\n")
}
