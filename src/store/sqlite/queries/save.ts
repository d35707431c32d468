/** Writes what a batch changed. */
import type { Changes, Rows, RunRecord, StepRecord } from "../../Store.ts"
import type { StoredRun } from "../RunCache.ts"
import type { Queries } from "./load.ts"

/**
 * Writes everything, in an order that keeps unique indexes satisfied. Answers what is missing, if something is.
 * `loaded` is what this transaction saw before.
 */
export const save = (
  { counts, limits, namespaces, runs, schedules, steps, workers }: Queries,
  changes: Changes,
  loaded: Rows
): string | undefined => {
  for (const namespace of changes.updateNamespaces) {
    if (!namespaces.update(namespace)) return `namespace ${namespace.namespace}`
  }
  for (const namespace of changes.insertNamespaces) namespaces.insert(namespace)

  const known = new Map(loaded.workers.map((worker) => [worker.workerId, worker]))
  for (const worker of changes.updateWorkers) {
    if (!workers.update(worker)) return `worker ${worker.workerId}`
    limits.update(worker, known.get(worker.workerId))
  }
  for (const worker of changes.insertWorkers) {
    workers.insert(worker)
    limits.update(worker, undefined)
  }

  for (const schedule of changes.updateSchedules) {
    if (!schedules.update(schedule)) return `schedule ${schedule.scheduleId}`
  }
  for (const schedule of changes.insertSchedules) schedules.insert(schedule)
  for (const { payload, scheduleId } of changes.scheduleInputs) {
    if (!schedules.putInput(scheduleId, payload)) return `schedule ${scheduleId}`
  }

  const moved: Array<readonly [before: RunRecord | undefined, after: RunRecord]> = []
  for (const run of changes.updateRuns) {
    const stored = runs.byId(run.runId)
    if (stored === undefined) return `run ${run.runId}`
    runs.update(stored, run)
    moved.push([stored.run, run])
  }
  for (const run of changes.insertRuns) {
    if (!runs.insert(run)) return `room for run ${run.runId} beside the active one with its external id`
    moved.push([undefined, run])
  }
  counts.moved(moved)
  for (const { payload, runId } of changes.inputs) {
    const run = runs.byId(runId)
    if (run === undefined) return `run ${runId}`
    runs.putInput(run, payload)
  }
  for (const { payload, runId } of changes.outputs) {
    const run = runs.byId(runId)
    if (run === undefined) return `run ${runId}`
    runs.putOutput(run, payload)
  }
  runs.flush()
  for (const { runId, scheduleId } of changes.copyScheduleInputs) {
    if (!schedules.copyInput(runId, scheduleId)) return `input of schedule ${scheduleId}`
  }
  for (const { from, runId } of changes.copyInputs) {
    const run = runs.byId(runId)
    const other = runs.byId(from)
    if (run === undefined || other === undefined || !runs.copyInput(run, other)) return `input of run ${from}`
  }

  for (const step of changes.updateSteps) if (!steps.update(step)) return `step ${step.stepId}`
  const begun: Array<readonly [of: StoredRun, step: StepRecord]> = []
  for (const step of changes.insertSteps) {
    const run = runs.byId(step.runId)
    if (run === undefined) return `run ${step.runId}`
    begun.push([run, step])
  }
  steps.insert(begun)

  for (const added of changes.countScheduleRuns) schedules.count(added)
  for (const scheduleId of changes.deleteSchedules) schedules.remove(scheduleId)
  return undefined
}
