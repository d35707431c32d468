/** Writes what a batch changed. */
import type { Changes, Rows } from "../../Store.ts"
import type { Queries } from "./load.ts"

/**
 * Writes everything, in an order that keeps unique indexes satisfied. Answers what is missing, if something is.
 * `loaded` is what this transaction saw before.
 */
export const save = (
  { limits, namespaces, runs, steps, workers }: Queries,
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

  const before = new Map(loaded.runs.map((run) => [run.runId, run]))
  for (const run of changes.updateRuns) if (!runs.update(run, before.get(run.runId))) return `run ${run.runId}`
  for (const run of changes.insertRuns) runs.insert(run)
  for (const { payload, runId } of changes.inputs) if (!runs.putInput(runId, payload)) return `run ${runId}`
  for (const { from, runId } of changes.copyInputs) if (!runs.copyInput(runId, from)) return `input of run ${from}`
  for (const { payload, runId } of changes.outputs) if (!runs.putOutput(runId, payload)) return `run ${runId}`

  for (const step of changes.updateSteps) if (!steps.update(step)) return `step ${step.stepId}`
  for (const step of changes.insertSteps) if (!steps.insert(step)) return `run ${step.runId}`
  return undefined
}
