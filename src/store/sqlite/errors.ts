/** What SQLite's result codes mean for a caller. */
import { Predicate } from "effect"
import { StoreError } from "../Store.ts"

type Reason = NonNullable<StoreError["reason"]>

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
export const Code = {
  busy: 5,
  locked: 6,
  outOfMemory: 7,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  notADatabase: 26
} as const

/** The primary result code of a failure of SQLite, or undefined for anything else. */
export const codeOf = (cause: unknown): number | undefined =>
  // the extended code carries the primary one in its lowest byte
  Predicate.hasProperty(cause, "errcode") && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

interface Known {
  readonly says: (file: string) => string
  readonly transient: boolean
  readonly reason?: Reason
}

const known: { readonly [code: number]: Known } = {
  [Code.busy]: { says: (file) => `${file} is in use by another kagzi server`, transient: true, reason: "locked" },
  [Code.locked]: { says: (file) => `${file} is locked`, transient: true },
  [Code.outOfMemory]: { says: (file) => `${file}: out of memory`, transient: true },
  [Code.readOnly]: { says: (file) => `${file} can't be written`, transient: false },
  [Code.ioError]: { says: (file) => `${file}: the disk failed`, transient: true },
  [Code.corrupt]: { says: (file) => `${file} is damaged`, transient: false, reason: "damaged" },
  [Code.full]: { says: (file) => `${file}: the disk is full`, transient: true },
  [Code.cantOpen]: { says: (file) => `${file} can't be opened`, transient: false },
  [Code.notADatabase]: { says: (file) => `${file} is not a kagzi database`, transient: false, reason: "damaged" }
}

/** The error of the port for whatever was thrown while working on that file. */
export const toStoreError = (file: string, cause: unknown): StoreError => {
  const code = codeOf(cause)
  const entry = code === undefined ? undefined : known[code]
  const detail = messageOf(cause)
  return entry === undefined
    ? new StoreError({ message: `${file}: ${detail}`, transient: false, cause })
    : new StoreError({
        message:
          code === Code.busy || code === Code.notADatabase ? entry.says(file) : `${entry.says(file)} (${detail})`,
        transient: entry.transient,
        ...(entry.reason === undefined ? {} : { reason: entry.reason }),
        cause
      })
}
