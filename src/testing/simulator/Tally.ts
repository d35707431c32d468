/** How often what a course of events can contain came about in it: a fault that is drawn may meet nobody. */
import { terminatedMark } from "../../marks.ts"
import type { Final } from "./checks.ts"
import type { Ledger } from "./Ledger.ts"
import { hasEnded } from "./Witness.ts"

/** What goes wrong. */
export const troubles = [
  "crash of a server",
  "crash of a worker",
  "crash before a commit",
  "crash after a commit",
  "end of a server",
  "end of a worker",
  "standstill of a server",
  "standstill of a worker",
  "cut connection",
  "message held up",
  "storm",
  "lost call",
  "lost answer",
  "repeated call",
  "database out of reach",
  "slow database",
  "aborted transaction",
  "unanswered commit",
  "late hints",
  "lost hint",
  "repeated hint",
  "wrong clock of a server",
  "wrong clock of a worker",
  "wrong clock of a client",
  "drifting clock of a server",
  "drifting clock of a worker",
  "drifting clock of a client"
] as const

/** What is done in spite of it. */
export const features = [
  "several servers",
  "several workers",
  "client with a session",
  "client without a session",
  "start of a run that is there",
  "claim of a run with a history",
  "refused write",
  "execution of a step",
  "execution of a step that was executed before",
  "retry of a step",
  "step that failed for good",
  "step whose branch lost a race",
  "sleep",
  "run that sleeps",
  "retry of a run by its policy",
  "retry of a run by hand",
  "completed run",
  "failed run",
  "terminated run",
  "cancelled run",
  "worker that was given up",
  "schedule",
  "scheduled run",
  "slot that was made up for",
  "limit of a queue that is reached",
  "limit of a type that is reached"
] as const

export type Happening = (typeof troubles)[number] | (typeof features)[number]

const happenings: ReadonlyArray<Happening> = [...troubles, ...features]

export const isHappening = (what: string): what is Happening => (happenings as ReadonlyArray<string>).includes(what)

export type Counts = Readonly<Record<Happening, number>>

const none = () => Object.fromEntries(happenings.map((what) => [what, 0])) as Record<Happening, number>

/** All of several courses. */
export const sum = (counts: Iterable<Counts>): Counts => {
  const total = none()
  for (const course of counts) for (const what of happenings) total[what] += course[what]
  return total
}

export class Tally {
  readonly counts = none()

  add(what: Happening, times = 1): void {
    this.counts[what] += times
  }

  /** Adds what can be seen in the end. A slot was made up for that fired so many milliseconds late. */
  end(ledger: Ledger, { runs, steps }: Final, lateSlot: number): void {
    this.add("start of a run that is there", ledger.starts.filter(({ alreadyExists }) => alreadyExists).length)
    this.add("claim of a run with a history", ledger.claims.filter(({ known }) => known > 0).length)
    this.add("retry of a run by hand", ledger.made.length)
    this.add("refused write", ledger.refused.length)
    this.add("sleep", ledger.sleeps.length)
    this.add("schedule", ledger.scheduled.length)
    const executed = new Set<string>()
    for (const { attempt, name, runId } of ledger.executions) {
      const key = `${runId} ${attempt} ${name}`
      this.add("execution of a step")
      if (executed.has(key)) this.add("execution of a step that was executed before")
      else if (attempt > 1) this.add("retry of a step")
      executed.add(key)
    }
    for (const step of steps) {
      if (step.cancelled) this.add("step whose branch lost a race")
      else if (step.status === "FAILED" && hasEnded(step)) this.add("step that failed for good")
    }
    for (const { record } of runs.values()) {
      const { attempts, createdAt, error, slot, status } = record
      if (attempts > 1) this.add("retry of a run by its policy")
      if (status === "COMPLETED") this.add("completed run")
      if (status === "CANCELLED") this.add("cancelled run")
      if (status === "FAILED") this.add(error?.metadata[terminatedMark] === undefined ? "failed run" : "terminated run")
      if (slot === undefined) continue
      this.add("scheduled run")
      if (createdAt > slot + lateSlot) this.add("slot that was made up for")
    }
  }
}
