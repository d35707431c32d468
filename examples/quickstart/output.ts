/** Lines and tables for the terminal. */
import { Console, Effect } from "effect"

/** A line of progress: when, who, what. */
export const say = (who: string, what: string) =>
  Effect.suspend(() => Console.log(`${(performance.now() / 1000).toFixed(1).padStart(5)} s  ${who.padEnd(8)}  ${what}`))

/** Columns as wide as their widest cell. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}
