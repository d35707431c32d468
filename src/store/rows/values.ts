/** What the codecs of rows share: absent fields are NULL, structures are JSON text, booleans are 0 and 1. */
import type { Payload } from "../../Run.ts"

/** What a column may hold. */
export type Value = string | number | Uint8Array | null

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
  // SQLite binds an empty blob as NULL
  data: data ?? new Uint8Array(0),
  metadata: metadata === null ? {} : fromJson(metadata)
})
