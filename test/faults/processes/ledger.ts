/** The ledger of side effects: one line for each thing that a worker did, in the order in which they were done. */
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

/**
 * - `executed`: the code of a step has begun
 * - `left`: the code of a step has ended; it is not on record yet
 * - `acknowledged`: the body has gone on with what is on record of a step
 */
export type Deed = "executed" | "left" | "acknowledged"

export interface Entry {
  readonly deed: Deed
  readonly run: string
  readonly step: string
  readonly attempt: number
  readonly pid: number
}

export const ledgerPath = (folder: string): string => join(folder, "ledger")

/** Once this file is there, steps that wait for it go on. */
export const gatePath = (folder: string): string => join(folder, "gate")

/** One write to a file opened for appending is never mixed with another, whichever process it comes from. */
export const append = (folder: string, entry: Omit<Entry, "pid">): void =>
  appendFileSync(ledgerPath(folder), `${JSON.stringify({ ...entry, pid: process.pid })}\n`)

export const read = (folder: string): ReadonlyArray<Entry> =>
  existsSync(ledgerPath(folder))
    ? readFileSync(ledgerPath(folder), "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line): Entry => JSON.parse(line))
    : []
