/**
 * The rows that a batch of commands works on: what was loaded, as the commands before have changed it, and what has to
 * be written in the end.
 *
 * Rows are immutable and replaced whole. A command that fails leaves no trace: `attempt` undoes what it wrote.
 */
import { Result } from "effect"
import type { Payload } from "../../Run.ts"
import { isTerminal } from "../../Run.ts"
import type {
  Changes,
  NamespaceRecord,
  Rows,
  RunRecord,
  StepRecord,
  Wants,
  WorkerKey,
  WorkerRecord
} from "../../store/Store.ts"
import { declaresOtherwise, LimitSet, type Place } from "./limits.ts"
import { ScheduleSet } from "./ScheduleSet.ts"
import { Index, Table } from "./Table.ts"

const key = (...parts: ReadonlyArray<string | number>) => parts.join("\u0000")

const externalKey = (run: RunRecord) => key(run.namespace, run.externalId)

const workerKey = (worker: WorkerKey) =>
  key(worker.namespace, worker.taskQueue, worker.hostname, worker.pid, worker.instanceId)

/** What identifies a want for claims: commands with the same key share its candidates. */
export const claimKey = (claim: {
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowTypes: ReadonlyArray<string>
}): string => key(claim.namespace, claim.taskQueue, ...claim.workflowTypes)

/** Whether a step holds up its run until a time: a pending retry or a sleep. */
const isWait = (step: StepRecord): step is StepRecord & { readonly dueAt: number } =>
  !step.cancelled &&
  step.dueAt !== undefined &&
  (step.status === "PENDING" || (step.status === "RUNNING" && step.kind === "SLEEP"))

/** A step that waits. */
export type Wait = StepRecord & { readonly dueAt: number }

export class WorkingSet {
  readonly schedules: ScheduleSet
  readonly #namespaces = new Table<NamespaceRecord>()
  readonly #runs = new Table<RunRecord>()
  readonly #steps = new Table<StepRecord>()
  readonly #workers = new Table<WorkerRecord>()
  readonly #inputs = new Map<string, Payload>()
  readonly #copiedInputs = new Map<string, string>()
  readonly #outputs = new Map<string, Payload>()
  /** Made when it is first asked for: most batches start no runs. */
  #runsByExternalId: Index | undefined
  /** The latest attempts by name, of each run. */
  readonly #latest = new Map<string, Map<string, StepRecord>>()
  readonly #workersByKey = new Index()
  /** The runs of each want for claims, and whether they are all that were due. */
  readonly #candidates = new Map<string, { readonly due: ReadonlyArray<string>; readonly isComplete: boolean }>()
  /** Runs that this batch made. */
  readonly #started: Array<string> = []
  readonly #limits: LimitSet
  readonly #relaxed = new Map<string, Place>()
  /** How to take back what the command under way has done so far. */
  readonly #undo: Array<() => void> = []

  constructor(wants: Wants, rows: Rows) {
    this.schedules = new ScheduleSet(rows, (undo) => this.#undo.push(undo))
    this.#limits = new LimitSet(rows.occupancy, wants.claims[0]?.dueBy ?? wants.renewals?.at ?? 0)
    for (const row of rows.namespaces) this.#namespaces.load(row.namespace, row)
    for (const row of rows.runs) this.#runs.load(row.runId, row)
    for (const row of rows.steps) {
      this.#steps.load(row.stepId, row)
      this.#noteLatest(row)
    }
    for (const row of rows.workers) {
      this.#workers.load(row.workerId, row)
      this.#workersByKey.add(workerKey(row), row.workerId)
    }
    wants.claims.forEach((claim, index) => {
      const due = rows.claims[index] ?? []
      this.#candidates.set(claimKey(claim), { due, isComplete: due.length < claim.limit })
    })
  }

  /** Runs one command; if it fails, what it wrote is undone. */
  attempt<A, E>(command: () => Result.Result<A, E>): Result.Result<A, E> {
    const result = command()
    if (Result.isFailure(result)) for (const undo of this.#undo.reverse()) undo()
    this.#undo.length = 0
    return result
  }

  namespace(name: string): NamespaceRecord | undefined {
    return this.#namespaces.get(name)
  }

  run(runId: string): RunRecord | undefined {
    return this.#runs.get(runId)
  }

  /** The active run with that external id, else the newest that has ended. */
  runByExternalId(namespace: string, externalId: string): RunRecord | undefined {
    if (this.#runsByExternalId === undefined) {
      this.#runsByExternalId = new Index()
      for (const run of this.#runs.rows()) this.#runsByExternalId.add(externalKey(run), run.runId)
    }
    let found: RunRecord | undefined
    for (const runId of this.#runsByExternalId.get(key(namespace, externalId))) {
      const run = this.#runs.get(runId)
      if (run === undefined) continue
      if (!isTerminal(run.status)) return run
      const newer =
        found === undefined ||
        run.createdAt > found.createdAt ||
        (run.createdAt === found.createdAt && run.runId > found.runId)
      if (newer) found = run
    }
    return found
  }

  /** The runs of a schedule that have not ended. */
  runsOfSchedule(scheduleId: string): ReadonlyArray<RunRecord> {
    const found: Array<RunRecord> = []
    for (const run of this.#runs.rows()) {
      if (run.scheduleId === scheduleId && !isTerminal(run.status)) found.push(run)
    }
    return found
  }

  /** The runs that a worker holds. */
  runsOf(workerId: string): ReadonlyArray<RunRecord> {
    const found: Array<RunRecord> = []
    for (const run of this.#runs.rows()) {
      if (run.workerId === workerId && run.status === "RUNNING") found.push(run)
    }
    return found
  }

  /** Whether no further run of that type may execute on its queue at the moment. */
  isFull(run: RunRecord): boolean {
    return this.#limits.isFull(run, run.workflowType)
  }

  /** Queues on which more runs may execute than before, because a worker is gone or declared other limits. */
  relaxed(): ReadonlyArray<Place> {
    return Array.from(this.#relaxed.values())
  }

  /** Whether all runs are loaded that were due for such a claim. */
  hasAllDue(claim: Parameters<typeof claimKey>[0]): boolean {
    return this.#candidates.get(claimKey(claim))?.isComplete === true
  }

  /** Ids of the runs that were due when the batch began, in the order of claims, and then of those that it started. */
  candidates(claim: Parameters<typeof claimKey>[0]): ReadonlyArray<string> {
    const found = this.#candidates.get(claimKey(claim))
    if (found === undefined) return []
    if (!found.isComplete || this.#started.length === 0) return found.due
    const isOfQueue = (run: RunRecord | undefined) =>
      run?.namespace === claim.namespace && run.taskQueue === claim.taskQueue
    return [...found.due, ...this.#started.filter((runId) => isOfQueue(this.#runs.get(runId)))]
  }

  step(stepId: string): StepRecord | undefined {
    return this.#steps.get(stepId)
  }

  /** The latest attempt of a step. */
  latest(runId: string, name: string): StepRecord | undefined {
    return this.#latest.get(runId)?.get(name)
  }

  /** What a run waits for, the earliest first, then in the order the steps were first begun. */
  waits(runId: string): ReadonlyArray<Wait> {
    const found: Array<Wait> = []
    // attempts before the latest have failed
    for (const step of this.#latest.get(runId)?.values() ?? []) if (isWait(step)) found.push(step)
    return found.sort((a, b) => a.dueAt - b.dueAt || a.position - b.position)
  }

  worker(workerId: string): WorkerRecord | undefined {
    return this.#workers.get(workerId)
  }

  workers(): Iterable<WorkerRecord> {
    return this.#workers.rows()
  }

  /** The worker with that key that is not OFFLINE. */
  workerByKey(worker: WorkerKey): WorkerRecord | undefined {
    for (const workerId of this.#workersByKey.get(workerKey(worker))) {
      const found = this.#workers.get(workerId)
      if (found !== undefined && found.status !== "OFFLINE") return found
    }
    return undefined
  }

  putNamespace(row: NamespaceRecord): NamespaceRecord {
    this.#undo.push(this.#namespaces.write(row.namespace, row))
    return row
  }

  putRun(row: RunRecord): RunRecord {
    const before = this.#runs.get(row.runId)
    this.#undo.push(this.#runs.write(row.runId, row))
    this.schedules.runChanged(before, row)
    if (this.#limits.moved(before, row)) this.#undo.push(() => this.#limits.moved(row, before))
    if (before === undefined) {
      this.#runsByExternalId?.add(externalKey(row), row.runId)
      this.#started.push(row.runId)
    }
    return row
  }

  putStep(row: StepRecord): StepRecord {
    this.#undo.push(this.#steps.write(row.stepId, row))
    const before = this.latest(row.runId, row.name)
    this.#noteLatest(row)
    this.#undo.push(() => {
      if (before === undefined) this.#latest.get(row.runId)?.delete(row.name)
      else this.#latest.get(row.runId)?.set(row.name, before)
    })
    return row
  }

  putWorker(row: WorkerRecord): WorkerRecord {
    const before = this.#workers.get(row.workerId)
    this.#undo.push(this.#workers.write(row.workerId, row))
    this.#limits.declared(row)
    if (before !== undefined && declaresOtherwise(before, row)) {
      this.#relaxed.set(key(row.namespace, row.taskQueue), row)
    }
    this.#workersByKey.add(workerKey(row), row.workerId)
    return row
  }

  putInput(runId: string, payload: Payload): void {
    this.#inputs.set(runId, payload)
    this.#undo.push(() => this.#inputs.delete(runId))
  }

  /** Gives a run the input of another. */
  copyInput(runId: string, from: string): void {
    const payload = this.#inputs.get(from)
    if (payload !== undefined) {
      this.putInput(runId, payload)
      return
    }
    // The other run may itself be a copy made in this batch, with nothing stored yet to copy from.
    this.#copiedInputs.set(runId, this.#copiedInputs.get(from) ?? from)
    this.#undo.push(() => this.#copiedInputs.delete(runId))
  }

  putOutput(runId: string, payload: Payload): void {
    this.#outputs.set(runId, payload)
    this.#undo.push(() => this.#outputs.delete(runId))
  }

  /** What to write: one insert or one update for each row, in the order of the first write. */
  changes(): Changes {
    return {
      insertNamespaces: this.#namespaces.toWrite("insert"),
      updateNamespaces: this.#namespaces.toWrite("update"),
      insertRuns: this.#runs.toWrite("insert"),
      updateRuns: this.#runs.toWrite("update"),
      inputs: Array.from(this.#inputs, ([runId, payload]) => ({ runId, payload })),
      copyInputs: Array.from(this.#copiedInputs, ([runId, from]) => ({ runId, from })),
      outputs: Array.from(this.#outputs, ([runId, payload]) => ({ runId, payload })),
      insertSteps: this.#steps.toWrite("insert"),
      updateSteps: this.#steps.toWrite("update"),
      insertWorkers: this.#workers.toWrite("insert"),
      updateWorkers: this.#workers.toWrite("update"),
      ...this.schedules.changes()
    }
  }

  #noteLatest(row: StepRecord): void {
    const ofRun = this.#latest.get(row.runId)
    if (ofRun === undefined) this.#latest.set(row.runId, new Map([[row.name, row]]))
    else if ((ofRun.get(row.name)?.attempt ?? 0) <= row.attempt) ofRun.set(row.name, row)
  }
}
