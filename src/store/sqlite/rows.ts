/** What the codecs of rows share: absent fields are NULL, structures are JSON text, booleans are 0 and 1. */
import type { Payload } from "../../Run.ts"

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

export const orNull = <A>(value: A | undefined): A | null => value ?? null

export const bit = (value: boolean): number => (value ? 1 : 0)

export const toJson = (value: object): string => JSON.stringify(value)

export const toJsonOrNull = (value: object | undefined): string | null =>
  value === undefined ? null : JSON.stringify(value)

/** What was written with `toJson`; the column says which type that was. */
export const fromJson = <A>(text: string): A => JSON.parse(text) as A

export const fromMetadata = (metadata: Payload["metadata"]): string | null => {
  for (const _ in metadata) return JSON.stringify(metadata)
  return null
}

export const toPayload = (data: Uint8Array | null, metadata: string | null): Payload => ({
  // an empty blob is bound as NULL
  data: data ?? new Uint8Array(0),
  metadata: metadata === null ? {} : fromJson(metadata)
})
