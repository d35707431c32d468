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

/** Loaded or written rows of one kind, and which of them are to be written. */
class Table<A> {
  readonly rows = new Map<string, A>()
  readonly written = new Map<string, "insert" | "update">()

  write(id: string, row: A): () => void {
    const before = this.rows.get(id)
    const written = this.written.get(id)
    this.rows.set(id, row)
    this.written.set(id, written ?? (before === undefined ? "insert" : "update"))
    return () => {
      if (before === undefined) this.rows.delete(id)
      else this.rows.set(id, before)
      if (written === undefined) this.written.delete(id)
      else this.written.set(id, written)
    }
  }

  toWrite(how: "insert" | "update"): ReadonlyArray<A> {
    const found: Array<A> = []
    for (const [id, kind] of this.written) {
      const row = this.rows.get(id)
      if (kind === how && row !== undefined) found.push(row)
    }
    return found
  }
}

/** Ids by a key that several rows share. Ids of rows that were undone may remain; readers skip them. */
class Index {
  readonly #ids = new Map<string, Set<string>>()

  add(key: string, id: string): void {
    const ids = this.#ids.get(key)
    if (ids === undefined) this.#ids.set(key, new Set([id]))
    else ids.add(id)
  }

  get(key: string): Iterable<string> {
    return this.#ids.get(key) ?? []
  }
}

const key = (...parts: ReadonlyArray<string | number>) => parts.join("\u0000")

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
  readonly #runsByExternalId = new Index()
  readonly #stepsByRun = new Index()
  readonly #stepsByName = new Index()
  readonly #workersByKey = new Index()
  readonly #candidates = new Map<string, ReadonlyArray<string>>()
  readonly #limits: LimitSet
  readonly #relaxed = new Map<string, Place>()
  #undo: Array<() => void> = []

  constructor(wants: Wants, rows: Rows) {
    this.schedules = new ScheduleSet(rows, (undo) => this.#undo.push(undo))
    this.#limits = new LimitSet(rows.occupancy, wants.claims[0]?.dueBy ?? wants.renewals?.at ?? 0)
    for (const row of rows.namespaces) this.#namespaces.rows.set(row.namespace, row)
    for (const row of rows.runs) {
      this.#runs.rows.set(row.runId, row)
      this.#runsByExternalId.add(key(row.namespace, row.externalId), row.runId)
    }
    for (const row of rows.steps) {
      this.#steps.rows.set(row.stepId, row)
      this.#indexStep(row)
    }
    for (const row of rows.workers) {
      this.#workers.rows.set(row.workerId, row)
      this.#workersByKey.add(workerKey(row), row.workerId)
    }
    wants.claims.forEach((claim, index) => {
      this.#candidates.set(claimKey(claim), rows.claims[index] ?? [])
    })
  }

  /** Runs one command; if it fails, what it wrote is undone. */
  attempt<A, E>(command: () => Result.Result<A, E>): Result.Result<A, E> {
    this.#undo = []
    const result = command()
    if (Result.isFailure(result)) for (const undo of this.#undo.reverse()) undo()
    this.#undo = []
    return result
  }

  namespace(name: string): NamespaceRecord | undefined {
    return this.#namespaces.rows.get(name)
  }

  run(runId: string): RunRecord | undefined {
    return this.#runs.rows.get(runId)
  }

  /** The active run with that external id, else the newest that has ended. */
  runByExternalId(namespace: string, externalId: string): RunRecord | undefined {
    let found: RunRecord | undefined
    for (const runId of this.#runsByExternalId.get(key(namespace, externalId))) {
      const run = this.#runs.rows.get(runId)
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
    for (const run of this.#runs.rows.values()) {
      if (run.scheduleId === scheduleId && !isTerminal(run.status)) found.push(run)
    }
    return found
  }

  /** The runs that a worker holds. */
  runsOf(workerId: string): ReadonlyArray<RunRecord> {
    const found: Array<RunRecord> = []
    for (const run of this.#runs.rows.values()) {
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

  /** Ids of the runs that were due when the batch began, in the order of claims. */
  candidates(claim: Parameters<typeof claimKey>[0]): ReadonlyArray<string> {
    return this.#candidates.get(claimKey(claim)) ?? []
  }

  step(stepId: string): StepRecord | undefined {
    return this.#steps.rows.get(stepId)
  }

  /** The latest attempt of a step. */
  latest(runId: string, name: string): StepRecord | undefined {
    let found: StepRecord | undefined
    for (const stepId of this.#stepsByName.get(key(runId, name))) {
      const step = this.#steps.rows.get(stepId)
      if (step !== undefined && (found === undefined || step.attempt > found.attempt)) found = step
    }
    return found
  }

  /** What a run waits for, the earliest first, then in the order the steps were first begun. */
  waits(runId: string): ReadonlyArray<Wait> {
    const found: Array<Wait> = []
    for (const stepId of this.#stepsByRun.get(runId)) {
      const step = this.#steps.rows.get(stepId)
      if (step !== undefined && isWait(step)) found.push(step)
    }
    return found.sort((a, b) => a.dueAt - b.dueAt || a.position - b.position)
  }

  worker(workerId: string): WorkerRecord | undefined {
    return this.#workers.rows.get(workerId)
  }

  workers(): Iterable<WorkerRecord> {
    return this.#workers.rows.values()
  }

  /** The worker with that key that is not OFFLINE. */
  workerByKey(worker: WorkerKey): WorkerRecord | undefined {
    for (const workerId of this.#workersByKey.get(workerKey(worker))) {
      const found = this.#workers.rows.get(workerId)
      if (found !== undefined && found.status !== "OFFLINE") return found
    }
    return undefined
  }

  putNamespace(row: NamespaceRecord): NamespaceRecord {
    this.#undo.push(this.#namespaces.write(row.namespace, row))
    return row
  }

  putRun(row: RunRecord): RunRecord {
    const before = this.#runs.rows.get(row.runId)
    this.#undo.push(this.#runs.write(row.runId, row))
    this.schedules.runChanged(before, row)
    if (this.#limits.moved(before, row)) this.#undo.push(() => this.#limits.moved(row, before))
    this.#runsByExternalId.add(key(row.namespace, row.externalId), row.runId)
    return row
  }

  putStep(row: StepRecord): StepRecord {
    this.#undo.push(this.#steps.write(row.stepId, row))
    this.#indexStep(row)
    return row
  }

  putWorker(row: WorkerRecord): WorkerRecord {
    const before = this.#workers.rows.get(row.workerId)
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

  #indexStep(row: StepRecord): void {
    this.#stepsByRun.add(row.runId, row.stepId)
    this.#stepsByName.add(key(row.runId, row.name), row.stepId)
  }
}
