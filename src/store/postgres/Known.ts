/**
 * What this server wrote or read last, so that the next transaction need not ask for it.
 *
 * It decides by what is known here, and has the database verify in the same round trip that the rows are still like
 * that: each transaction that changes a row counts up its `revision`, and that of a run when it changes one of its steps.
 * Of queues it is known that they were empty, and of ids of runs it is taken that they are new. So what is known may be
 * out of date, which costs another attempt, and nothing else.
 */
import { Registry } from "../../Registry.ts"
import type { Changes, NamespaceRecord, RunRecord, StepRecord, Wants, WorkerRecord } from "../Store.ts"
import { Loaded } from "./Loaded.ts"
import { column, failureBytes, int8, onRows, payloadBytes, type Statement, text, texts, together } from "./values.ts"

/** How much is kept of runs in all; an estimate, in bytes. */
const mostBytes = 8 * 1024 * 1024

/** About what a run or a step takes beside its payloads, in bytes. */
const recordBytes = 500

/** How many namespaces, workers and queues are kept of each. */
const mostOthers = 1_000

interface Kept<A> {
  record: A
  revision: number
}

interface KeptRun extends Kept<RunRecord> {
  bytes: number
  /** All attempts of all steps, by id. */
  readonly steps: Map<string, StepRecord>
  /** The latest attempt by name. */
  readonly latest: Map<string, StepRecord>
}

/** Rows to decide by, and the statement that ends the transaction unless they are still like that. */
export interface Recalled {
  readonly loaded: Loaded
  readonly verify: ReadonlyArray<Statement>
}

interface Same {
  readonly id: string
  readonly revision: number
}

const same = [column<Same>("id", "text", ({ id }) => id), column<Same>("revision", "int8", ({ revision }) => revision)]

// Row by row in the order given: they are locked in the order in which whoever loads them does.
const isSame = (table: string, key: string, lock: string) =>
  onRows(
    same,
    (w) => `SELECT expect(bool_and(EXISTS (
      SELECT 1 FROM ${table} WHERE ${key} = w.id AND revision = w.revision ${lock}
    )), 'a row was changed in between') FROM ${w}`
  )

const sameNamespaces = isSame("namespaces", "namespace", "")
const sameWorkers = isSame("workers", "worker_id", "FOR UPDATE")
const sameRuns = isSame("runs", "run_id", "FOR UPDATE")

const nothingDue = `SELECT expect(NOT EXISTS (
    SELECT 1 FROM unnest($3::text[]) AS w (workflow_type)
    CROSS JOIN LATERAL (SELECT 1 FROM runs
      WHERE namespace = $1 AND task_queue = $2 AND workflow_type = w.workflow_type AND due_at <= $4 LIMIT 1) AS due
  ) AND NOT EXISTS (SELECT 1 FROM worker_limits WHERE namespace = $1 AND task_queue = $2),
  'the queue is not empty any more')`

const isNothing = (want: Wants[keyof Wants]): boolean =>
  want === undefined ||
  (typeof want === "object" && ("size" in want ? want.size : "length" in want && want.length) === 0)

/** The queue and types of claims, as one. */
const keyOf = ({ namespace, taskQueue, workflowTypes }: Wants["claims"][number]) =>
  [namespace, taskQueue, ...workflowTypes].join("\u0000")

/** Takes what is wanted, each with its revision, in order; false where something is not known. */
const takeAll = <A>(
  wanted: ReadonlySet<string>,
  kept: Registry<string, Kept<A>>,
  records: Map<string, A>,
  revisions: Map<string, number>
): boolean => {
  for (const id of Array.from(wanted).sort()) {
    const found = kept.get(id)
    if (found === undefined) return false
    records.set(id, found.record)
    revisions.set(id, found.revision)
  }
  return true
}

const verify = (
  statement: (rows: ReadonlyArray<Same>) => Statement,
  revisions: ReadonlyMap<string, number>
): ReadonlyArray<Statement> =>
  revisions.size === 0 ? [] : [statement(Array.from(revisions, ([id, revision]) => ({ id, revision })))]

const keep = <A>(kept: Registry<string, Kept<A>>, id: string, record: A, revision: number) => {
  if (kept.size >= mostOthers) kept.clear()
  kept.set(id, { record, revision })
}

export class Known {
  readonly #namespaces = new Registry<string, Kept<NamespaceRecord>>()
  readonly #workers = new Registry<string, Kept<WorkerRecord>>()
  readonly #runs = new Registry<string, KeptRun>()
  /** Claims for which nothing was due, on queues without limits. */
  readonly #empty = new Map<string, Wants["claims"][number]>()
  #bytes = 0

  /** All that is wanted, if it is known. */
  recall(wants: Wants): Recalled | undefined {
    const { claims, externalIds, namespaces, runs, stepIds, steps, workers, ...others } = wants
    if (!Object.values(others).every(isNothing)) return undefined
    if (!claims.every((claim) => this.#empty.has(keyOf(claim)))) return undefined
    const loaded = new Loaded()
    const { revisions } = loaded
    if (
      !takeAll(namespaces, this.#namespaces, loaded.namespaces, revisions.namespaces) ||
      !takeAll(workers, this.#workers, loaded.workers, revisions.workers) ||
      !takeAll(runs, this.#runs, loaded.runs, revisions.runs)
    ) {
      return undefined
    }
    const unseen = new Set(stepIds)
    for (const runId of runs) {
      for (const stepId of unseen) {
        const step = this.#runs.get(runId)?.steps.get(stepId)
        if (step === undefined) continue
        unseen.delete(stepId)
        loaded.steps.set(stepId, step)
      }
    }
    if (unseen.size > 0) return undefined
    for (const { name, runId, stepId } of steps) {
      const run = this.#runs.get(runId)
      if (run === undefined) return undefined
      for (const step of [run.latest.get(name), stepId === undefined ? undefined : run.steps.get(stepId)]) {
        if (step !== undefined) loaded.steps.set(step.stepId, step)
      }
    }
    return {
      loaded,
      verify: together([
        ...verify(sameNamespaces, revisions.namespaces),
        ...verify(sameWorkers, revisions.workers),
        ...verify(sameRuns, revisions.runs),
        ...claims.map(({ dueBy, namespace, taskQueue, workflowTypes }) => ({
          sql: nothingDue,
          params: [text(namespace), text(taskQueue), texts(workflowTypes), int8(dueBy)]
        }))
      ])
    }
  }

  clear(): void {
    this.#namespaces.clear()
    this.#workers.clear()
    this.#runs.clear()
    this.#empty.clear()
    this.#bytes = 0
  }

  /** Takes in what a transaction has loaded. */
  loaded({ claims, namespaces, runs, workers }: Wants, loaded: Loaded): void {
    const { revisions } = loaded
    for (const namespace of namespaces) this.#namespaces.delete(namespace)
    for (const workerId of workers) this.#workers.delete(workerId)
    for (const [id, revision] of revisions.namespaces) keep(this.#namespaces, id, loaded.namespaces.get(id)!, revision)
    for (const [id, revision] of revisions.workers) keep(this.#workers, id, loaded.workers.get(id)!, revision)
    for (const runId of runs) {
      if (this.#runs.get(runId)?.revision !== revisions.runs.get(runId)) this.#forgetRun(runId)
    }
    if (this.#empty.size >= mostOthers) this.#empty.clear()
    const isEmpty = !loaded.isLimited && !loaded.hasDue
    for (const claim of claims) {
      if (isEmpty) this.#empty.set(keyOf(claim), claim)
      else this.#empty.delete(keyOf(claim))
    }
  }

  /** Takes in what a transaction has written. */
  committed(changes: Changes, { revisions, runs }: Loaded): void {
    for (const changed of changes.updateNamespaces) {
      const before = revisions.namespaces.get(changed.namespace)
      if (before === undefined) this.#namespaces.delete(changed.namespace)
      else keep(this.#namespaces, changed.namespace, changed, before + 1)
    }
    for (const changed of changes.updateWorkers) {
      const before = revisions.workers.get(changed.workerId)
      if (before === undefined) this.#workers.delete(changed.workerId)
      else keep(this.#workers, changed.workerId, changed, before + 1)
    }
    for (const run of changes.insertRuns) {
      this.#queued(run)
      this.#runWritten(run, 0, run)
    }
    const written = new Set<string>()
    for (const run of changes.updateRuns) {
      this.#queued(run)
      written.add(run.runId)
      const before = revisions.runs.get(run.runId)
      this.#runWritten(run, before === undefined ? undefined : before + 1, runs.get(run.runId))
    }
    for (const steps of [changes.updateSteps, changes.insertSteps]) {
      for (const step of steps) {
        if (written.has(step.runId)) this.#stepWritten(step)
        else this.#forgetRun(step.runId)
      }
    }
    for (let first = this.#runs.first; first !== undefined && this.#bytes > mostBytes; first = this.#runs.first) {
      this.#forgetRun(first)
    }
  }

  /** What waits for a worker is in its queue, which is not empty then. */
  #queued({ namespace, status, taskQueue, workflowType }: RunRecord): void {
    if (status !== "PENDING") return
    for (const [key, claim] of this.#empty) {
      if (
        claim.namespace === namespace &&
        claim.taskQueue === taskQueue &&
        claim.workflowTypes.includes(workflowType)
      ) {
        this.#empty.delete(key)
      }
    }
  }

  /** Keeps runs that execute, if all of their steps are known: they had none, or nobody else changed them. */
  #runWritten(run: RunRecord, revision: number | undefined, before: RunRecord | undefined): void {
    const kept = this.#runs.get(run.runId)
    if (revision !== undefined && run.status === "RUNNING" && kept?.revision === revision - 1) {
      kept.record = run
      kept.revision = revision
      return
    }
    this.#forgetRun(run.runId)
    if (revision === undefined || run.status !== "RUNNING" || before === undefined || before.stepCount > 0) return
    this.#runs.set(run.runId, { record: run, revision, bytes: recordBytes, steps: new Map(), latest: new Map() })
    this.#bytes += recordBytes
  }

  #stepWritten(step: StepRecord): void {
    const run = this.#runs.get(step.runId)
    if (run === undefined) return
    const added = this.#sizeOf(step) - this.#sizeOf(run.steps.get(step.stepId))
    run.bytes += added
    this.#bytes += added
    run.steps.set(step.stepId, step)
    if (step.attempt >= (run.latest.get(step.name)?.attempt ?? 0)) run.latest.set(step.name, step)
  }

  #sizeOf(step: StepRecord | undefined): number {
    if (step === undefined) return 0
    return recordBytes + payloadBytes(step.input) + payloadBytes(step.output) + failureBytes(step.error)
  }

  #forgetRun(runId: string): void {
    this.#bytes -= this.#runs.get(runId)?.bytes ?? 0
    this.#runs.delete(runId)
  }
}
