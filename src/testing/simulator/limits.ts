/** How many runs execute at a time, as it comes on record, and whether that is what their workers have declared. */
import type { Changes, RunRecord, WorkerRecord } from "../../store/Store.ts"
import type { Violation } from "./promises.ts"
import type { Tally } from "./Tally.ts"

const queueOf = ({ namespace, taskQueue }: { readonly namespace: string; readonly taskQueue: string }) =>
  `${namespace} ${taskQueue}`

export class Limits {
  readonly violations: Array<Violation> = []
  readonly #tally: Tally
  readonly #workers = new Map<string, WorkerRecord>()
  readonly #running = new Map<string, RunRecord>()

  constructor(tally: Tally) {
    this.#tally = tally
  }

  /** To be told of what was committed, with the time of the database's clock. */
  committed(changes: Changes, now: number): void {
    for (const workers of [changes.insertWorkers, changes.updateWorkers]) {
      for (const worker of workers) this.#workers.set(worker.workerId, worker)
    }
    const claimed = changes.updateRuns.filter(
      (run) => run.status === "RUNNING" && this.#running.get(run.runId)?.leaseEpoch !== run.leaseEpoch
    )
    for (const runs of [changes.insertRuns, changes.updateRuns]) {
      for (const run of runs) {
        if (run.status === "RUNNING") this.#running.set(run.runId, run)
        else this.#running.delete(run.runId)
      }
    }
    const seen = new Set<string>()
    for (const run of claimed) {
      const queue = queueOf(run)
      for (const type of [undefined, run.workflowType]) {
        if (seen.has(`${queue} ${type}`)) continue
        seen.add(`${queue} ${type}`)
        const limit = this.#limit(queue, type)
        const active = [...this.#running.values()].filter(
          (other) =>
            queueOf(other) === queue && (type === undefined || other.workflowType === type) && isHeld(other, now)
        )
        if (active.length === limit)
          this.#tally.add(`limit of a ${type === undefined ? "queue" : "type"} that is reached`)
        if (active.length <= limit) continue
        const message = `${active.length} runs of ${type ?? "the queue"} are held, and ${limit} may be`
        this.violations.push({ promise: "limits", kind: "safety", message })
      }
    }
  }

  #limit(queue: string, type: string | undefined): number {
    const limits = [...this.#workers.values()]
      .filter((worker) => worker.status !== "OFFLINE" && queueOf(worker) === queue)
      .map((worker) => (type === undefined ? worker.queueConcurrencyLimit : worker.workflowTypeConcurrency[type]))
    return Math.min(...limits.map((limit) => limit ?? Number.POSITIVE_INFINITY))
  }
}

const isHeld = ({ dueAt }: RunRecord, now: number): boolean => dueAt !== undefined && dueAt > now
