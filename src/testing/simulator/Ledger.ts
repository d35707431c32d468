/** What was seen from outside: of what was asked for, acknowledged, executed and told. In order, by its numbers. */
import type * as KagziError from "../../KagziError.ts"
import type * as RetryPolicy from "../../RetryPolicy.ts"
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
  /** When its acknowledgement came. */
  readonly ackedOrder: number
  readonly worker: string
}

export interface Claim {
  readonly runId: string
  readonly lease: number
  /** How many steps were on record. */
  readonly known: number
  /** When the worker was given it. */
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

/** A failed attempt of a step. It may have come on record from then on, whether or not that was acknowledged. */
export interface Failed {
  readonly runId: string
  readonly name: string
  readonly attempt: number
  readonly error: KagziError.Detail
  /** What the step was begun with; what it leaves out is the run's. */
  readonly policy: RetryPolicy.RetryPolicy | undefined
  readonly at: number
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

/** What there is of each kind. Times are the true time in milliseconds since the epoch. */
export interface Entries {
  readonly starts: Start
  /** Runs that were made for a client in another way, and that it was told of. */
  readonly made: { readonly runId: string; readonly how: string }
  readonly claims: Claim
  /** Writes that were acknowledged. */
  readonly writes: Write
  /** Writes that were refused because their lease was gone. */
  readonly refused: Omit<Write, "order" | "ackedOrder">
  /** Steps whose end was acknowledged to the worker that brought it about. */
  readonly acknowledged: Sighting
  /** The same, and what was seen of them later. */
  readonly sightings: Sighting
  readonly executions: Execution
  readonly failures: Failed
  readonly sleeps: SleepBegun
  readonly results: Result
  /** Schedules that are to fire for each of their times, from then on. */
  readonly scheduled: { readonly scheduleId: string; readonly cron: string; readonly at: number }
  /** When it was asked for that a schedule be paused, changed or deleted. */
  readonly stopped: { readonly scheduleId: string; readonly at: number }
}

/** Where witnesses note what they see. */
export type Notes = {
  readonly [Kind in keyof Entries]: { readonly push: (entry: Entries[Kind]) => unknown }
} & {
  /** The place in the order of all that happens, to everybody. */
  readonly next: () => number
}

/** Everything that witnesses noted. */
export class Ledger implements Notes {
  readonly starts: Array<Start> = []
  readonly made: Array<Entries["made"]> = []
  readonly claims: Array<Claim> = []
  readonly writes: Array<Write> = []
  readonly refused: Array<Entries["refused"]> = []
  readonly acknowledged: Array<Sighting> = []
  readonly sightings: Array<Sighting> = []
  readonly executions: Array<Execution> = []
  readonly failures: Array<Failed> = []
  readonly sleeps: Array<SleepBegun> = []
  readonly results: Array<Result> = []
  readonly scheduled: Array<Entries["scheduled"]> = []
  readonly stopped: Array<Entries["stopped"]> = []
  #order = 0

  next(): number {
    return ++this.#order
  }
}
