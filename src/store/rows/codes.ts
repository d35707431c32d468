/** Numbers that stand for the words of the domain in the database. They are on disk: never renumber them. */
import type { Status, StepKind, StepStatus } from "../../Run.ts"
import type { Overlap } from "../../Schedule.ts"
import type { WorkerStatus } from "../Store.ts"

/** The words by their numbers. */
const inverse = <A extends string>(codes: Readonly<Record<A, number>>): ReadonlyArray<A> => {
  const words: Array<A> = []
  for (const word in codes) words[codes[word]] = word
  return words
}

export const runStatus: Readonly<Record<Status, number>> = {
  PENDING: 1,
  RUNNING: 2,
  SLEEPING: 3,
  COMPLETED: 4,
  FAILED: 5,
  CANCELLED: 6,
  SCHEDULED: 7,
  PAUSED: 8
}
export const runStatuses = inverse(runStatus)

export const stepKind: Readonly<Record<StepKind, number>> = { FUNCTION: 1, SLEEP: 2, CHILD_WORKFLOW: 3 }
export const stepKinds = inverse(stepKind)

export const stepStatus: Readonly<Record<StepStatus, number>> = { PENDING: 1, RUNNING: 2, COMPLETED: 3, FAILED: 4 }
export const stepStatuses = inverse(stepStatus)

export const workerStatus: Readonly<Record<WorkerStatus, number>> = { ONLINE: 1, DRAINING: 2, OFFLINE: 3 }
export const workerStatuses = inverse(workerStatus)

export const overlap: Readonly<Record<Overlap, number>> = { allow: 1, skip: 2, cancel: 3 }
export const overlaps = inverse(overlap)
