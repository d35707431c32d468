/** What was seen from outside: of what was asked for, acknowledged, executed and told. In order, by its numbers. */
import type { IfExists, Status } from "../../Run.ts"

/** How a step ended, so that two sightings can be compared to the byte. */
export interface Sighting {
  readonly runId: string
  readonly name: string
  /** Status, output and failure. */
  readonly outcome: string
  readonly order: number
  readonly at: number
  readonly where: string
}

export interface Write {
  readonly what: string
  readonly runId: string
  readonly lease: number
  /** When it was asked for. */
  readonly order: number
  readonly worker: string
}

export interface Start {
  readonly namespace: string
  readonly externalId: string
  readonly ifExists: IfExists
  readonly askedAt: number
  readonly ackedAt: number
  readonly runId: string
  readonly alreadyExists: boolean
}

export interface Execution {
  readonly runId: string
  readonly name: string
  readonly attempt: number
  /** When its beginning was asked for. */
  readonly begunOrder: number
  readonly order: number
  readonly at: number
  readonly worker: string
}

export interface SleepBegun {
  readonly runId: string
  readonly name: string
  readonly at: number
  readonly wait: { readonly millis: number } | { readonly until: number }
}

export interface Result {
  readonly runId: string
  readonly status: Status
  readonly outcome: string
  readonly at: number
}

/** Everything that witnesses noted. Times are the true time in milliseconds since the epoch. */
export class Ledger {
  readonly starts: Array<Start> = []
  /** Runs that were made for a client in another way, and that it was told of. */
  readonly made: Array<{ readonly runId: string; readonly how: string }> = []
  readonly claims: Array<{ readonly runId: string; readonly lease: number; readonly order: number }> = []
  /** Writes that were acknowledged. */
  readonly writes: Array<Write> = []
  /** Steps whose end was acknowledged to the worker that brought it about. */
  readonly acknowledged: Array<Sighting> = []
  /** The same, and what was seen of them later. */
  readonly sightings: Array<Sighting> = []
  readonly executions: Array<Execution> = []
  readonly sleeps: Array<SleepBegun> = []
  readonly results: Array<Result> = []
  readonly scheduled: Array<{ readonly scheduleId: string; readonly cron: string; readonly at: number }> = []
  #order = 0

  next(): number {
    return ++this.#order
  }
}
