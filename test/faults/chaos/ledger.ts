/** What the witnesses of all processes see, in one file. */
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Entries, Ledger, type Notes } from "../../../src/testing/simulator/Ledger.ts"

const pathOf = (folder: string): string => join(folder, "witnesses")

/** Nanoseconds of the clock that all processes of the machine have in common, and that is never set. */
export const moment = (): number => Number(process.hrtime.bigint())

/** The moment at which the time of the machine is so many milliseconds after the epoch. */
export const momentAt = (millis: number): number => moment() + (millis - Date.now()) * 1e6

/** One write to a file opened for appending is never mixed with another, whichever process it comes from. */
export const notes = (folder: string): Notes => {
  const to = <Kind extends keyof Entries>(kind: Kind) => ({
    push: (entry: Entries[Kind]) => appendFileSync(pathOf(folder), `${JSON.stringify({ kind, entry })}\n`)
  })
  return {
    starts: to("starts"),
    made: to("made"),
    claims: to("claims"),
    writes: to("writes"),
    refused: to("refused"),
    acknowledged: to("acknowledged"),
    sightings: to("sightings"),
    executions: to("executions"),
    failures: to("failures"),
    sleeps: to("sleeps"),
    results: to("results"),
    scheduled: to("scheduled"),
    stopped: to("stopped"),
    next: moment
  }
}

/** What was noted of each of these runs, in the order of the file. */
export const notesOf = (folder: string, runIds: ReadonlySet<string>): ReadonlyMap<string, ReadonlyArray<string>> => {
  const found = new Map(Array.from(runIds, (runId): [string, Array<string>] => [runId, []]))
  // as a rule there is none, and the file is large
  if (runIds.size === 0 || !existsSync(pathOf(folder))) return found
  for (const line of readFileSync(pathOf(folder), "utf8").split("\n")) {
    for (const [runId, lines] of found) if (line.includes(runId)) lines.push(line)
  }
  return found
}

/** Everything so far. Notes of different processes that were taken at the same time may stand in either order. */
export const read = (folder: string): Ledger => {
  const ledger = new Ledger()
  if (!existsSync(pathOf(folder))) return ledger
  for (const line of readFileSync(pathOf(folder), "utf8").split("\n").slice(0, -1)) {
    const { entry, kind }: { kind: keyof Entries; entry: never } = JSON.parse(line)
    ledger[kind].push(entry)
  }
  for (const sightings of [ledger.sightings, ledger.acknowledged]) sightings.sort((a, b) => a.order - b.order)
  return ledger
}
