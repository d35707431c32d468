/** Lists of columns and placeholders in SQL. */

/** `?, ?, …`, as many as there are columns. */
export const placeholders = (columns: ReadonlyArray<string>): string => columns.map(() => "?").join(", ")

/** `(?, ?, …), (?, ?, …), …`, as many rows. */
export const rowsOf = (columns: ReadonlyArray<string>, rows: number): string =>
  Array.from({ length: rows }, () => `(${placeholders(columns)})`).join(", ")

/** `a = ?, b = ?, …`. */
export const assignments = (columns: ReadonlyArray<string>): string =>
  columns.map((column) => `${column} = ?`).join(", ")

/**
 * `LIMIT` with a parameter. SQLite plans a query anew whenever a parameter is bound that is the limit as it stands, which
 * takes ten times as long as to find a row.
 */
export const limitParameter = "LIMIT CAST(? AS INTEGER)"

/** The columns of a table under another name. */
export const prefixed = (alias: string, columns: ReadonlyArray<string>): string =>
  columns.map((column) => `${alias}.${column}`).join(", ")
