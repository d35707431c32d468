/** Writes what a batch changed. */
import type { Changes, Rows, RunRecord } from "../../Store.ts"
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

  const before = new Map(loaded.runs.map((run) => [run.runId, run]))
  const moved: Array<readonly [before: RunRecord | undefined, after: RunRecord]> = []
  for (const run of changes.updateRuns) {
    const old = before.get(run.runId) ?? runs.byId(run.runId)
    if (old === undefined || !runs.update(run, old)) return `run ${run.runId}`
    moved.push([old, run])
  }
  for (const run of changes.insertRuns) {
    runs.insert(run)
    moved.push([undefined, run])
  }
  counts.moved(moved)
  for (const { payload, runId } of changes.inputs) if (!runs.putInput(runId, payload)) return `run ${runId}`
  for (const { runId, scheduleId } of changes.copyScheduleInputs) {
    if (!schedules.copyInput(runId, scheduleId)) return `input of schedule ${scheduleId}`
  }
  for (const { from, runId } of changes.copyInputs) if (!runs.copyInput(runId, from)) return `input of run ${from}`
  for (const { payload, runId } of changes.outputs) if (!runs.putOutput(runId, payload)) return `run ${runId}`

  for (const step of changes.updateSteps) if (!steps.update(step)) return `step ${step.stepId}`
  for (const step of changes.insertSteps) if (!steps.insert(step)) return `run ${step.runId}`

  for (const added of changes.countScheduleRuns) schedules.count(added)
  for (const scheduleId of changes.deleteSchedules) schedules.remove(scheduleId)
  return undefined
}
