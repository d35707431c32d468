/** What a transaction has loaded. */
import type {
  NamespaceRecord,
  Occupancy,
  Rows,
  RunRecord,
  ScheduleRecord,
  StepRecord,
  Wants,
  WorkerRecord
} from "../Store.ts"

type Claim = Wants["claims"][number]

/** Whether a limit that was loaded applies to runs of those types. */
const isLimited = (occupancy: Iterable<Occupancy>, claim: Omit<Claim, "limit" | "dueBy">): boolean => {
  for (const { namespace, taskQueue, workflowType } of occupancy) {
    if (
      namespace === claim.namespace &&
      taskQueue === claim.taskQueue &&
      (workflowType === undefined || claim.workflowTypes.includes(workflowType))
    ) {
      return true
    }
  }
  return false
}

const claimOrder = (a: RunRecord, b: RunRecord): number =>
  (a.dueAt ?? 0) - (b.dueAt ?? 0) ||
  b.priority - a.priority ||
  a.createdAt - b.createdAt ||
  (a.runId < b.runId ? -1 : a.runId > b.runId ? 1 : 0)

export class Loaded {
  readonly namespaces = new Map<string, NamespaceRecord>()
  readonly runs = new Map<string, RunRecord>()
  /** How often those rows were written, each by its id. */
  readonly revisions = {
    namespaces: new Map<string, number>(),
    workers: new Map<string, number>(),
    runs: new Map<string, number>()
  }
  readonly steps = new Map<string, StepRecord>()
  readonly workers = new Map<string, WorkerRecord>()
  readonly schedules = new Map<string, ScheduleRecord>()
  readonly slots: Array<{ readonly scheduleId: string; readonly slot: number }> = []
  /** Whether there are limits on any of the queues that were locked. */
  isLimited = false
  readonly #occupancy = new Map<string, Occupancy>()
  /** For each claim the runs that are due of each of its types. */
  readonly #due = new Map<number, Array<RunRecord>>()

  get occupancy(): Iterable<Occupancy> {
    return this.#occupancy.values()
  }

  occupied(entry: Occupancy): void {
    this.#occupancy.set(JSON.stringify([entry.namespace, entry.taskQueue, entry.workflowType]), entry)
  }

  locked(run: RunRecord, revision: number): void {
    this.runs.set(run.runId, run)
    this.revisions.runs.set(run.runId, revision)
  }

  /** A run of one of its types that a claim may get. */
  due(claim: number, run: RunRecord, revision: number): void {
    const runs = this.#due.get(claim)
    if (runs === undefined) this.#due.set(claim, [run])
    else runs.push(run)
    this.locked(run, revision)
  }

  get hasDue(): boolean {
    return this.#due.size > 0
  }

  /** Ids of all runs that are due of the types of claims, whether claims get them or not. */
  get candidates(): Iterable<string> {
    return new Set(Array.from(this.#due.values()).flatMap((runs) => runs.map(({ runId }) => runId)))
  }

  /** Ids of the runs that each claim may get, in the order of claims. */
  claims(wants: Wants): ReadonlyArray<ReadonlyArray<string>> {
    return wants.claims.map((claim, index) => {
      const runs = this.#due.get(index) ?? []
      const ordered = new Set(claim.workflowTypes).size > 1 ? runs.sort(claimOrder) : runs
      return (isLimited(this.occupancy, claim) ? ordered : ordered.slice(0, claim.limit)).map(({ runId }) => runId)
    })
  }

  /** What is to be seen of it for these wants. */
  rows(wants: Wants): Rows {
    return {
      namespaces: Array.from(this.namespaces.values()),
      runs: Array.from(this.runs.values()),
      steps: Array.from(this.steps.values()),
      workers: Array.from(this.workers.values()),
      schedules: Array.from(this.schedules.values()),
      slots: this.slots,
      claims: this.claims(wants),
      occupancy: Array.from(this.#occupancy.values())
    }
  }
}
