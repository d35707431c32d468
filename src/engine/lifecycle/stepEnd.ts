/** How a step ends for good: it takes the next place in the order of ends, and the run has made progress. */
import type * as KagziError from "../../KagziError.ts"
import { nothing, type Payload } from "../../Run.ts"
import type { RunRecord, StepRecord } from "../../store/Store.ts"
import type { WorkingSet } from "./WorkingSet.ts"

export const completed = (
  set: WorkingSet,
  run: RunRecord,
  step: StepRecord,
  output: Payload | undefined,
  now: number
): StepRecord => {
  const sequence = run.sequence + 1
  set.putRun({ ...run, sequence, expiries: 0 })
  return set.putStep({ ...step, status: "COMPLETED", output: output ?? nothing, sequence, finishedAt: now })
}

export const failed = (
  set: WorkingSet,
  run: RunRecord,
  step: StepRecord,
  error: KagziError.Detail,
  now: number
): StepRecord => {
  const sequence = run.sequence + 1
  set.putRun({ ...run, sequence, expiries: 0, stepFailed: true })
  return set.putStep({ ...step, status: "FAILED", error, sequence, finishedAt: now })
}
