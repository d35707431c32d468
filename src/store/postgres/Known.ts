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
import { giving } from "./combined.ts"
import { Loaded } from "./Loaded.ts"
import type { Payload } from "../../Run.ts"
import { arraysOfPlaces } from "./queries/limits.ts"
import { column, failureBytes, int8, onRows, payloadBytes, type Statement, text, texts } from "./values.ts"

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
  /** The ids of all attempts of its steps. */
  readonly steps: Set<string>
  /** The latest attempt by name. */
  readonly latest: Map<string, StepRecord>
}

/** Rows to decide by, and the statements that end the transaction unless they are still like that. */
export interface Recalled {
  readonly loaded: Loaded
  readonly verify: ReadonlyArray<Statement>
}

interface Same {
  readonly id: string
  readonly revision: number
}

const same = [column<Same>("id", "text", ({ id }) => id), column<Same>("revision", "int8", ({ revision }) => revision)]

// A row that somebody else has locked may change, and is not waited for: all is verified as it was at one moment.
const isSame = (table: string, key: string, lock: string) =>
  onRows(
    same,
    (w) => `SELECT expect(bool_and(EXISTS (
      SELECT 1 FROM ${table} WHERE ${key} = w.id AND revision = w.revision ${lock}
    )), 'a row was changed in between') FROM ${w}`
  )

const sameNamespaces = isSame("namespaces", "namespace", "")
const sameWorkers = isSame("workers", "worker_id", "FOR UPDATE SKIP LOCKED")
const sameRuns = isSame("runs", "run_id", "FOR UPDATE SKIP LOCKED")

const noLimits = "NOT EXISTS (SELECT 1 FROM worker_limits WHERE namespace = w.namespace AND task_queue = w.task_queue)"

const nothingDue = (w: string, types: string) => `SELECT expect(NOT EXISTS (
    SELECT 1 FROM ${w}
    CROSS JOIN LATERAL (SELECT 1 FROM runs
      WHERE namespace = w.namespace AND task_queue = w.task_queue AND workflow_type = w.workflow_type
        AND due_at <= w.due_by LIMIT 1) AS due
  ) AND (SELECT bool_and(${noLimits}) FROM ${types}), 'the queue is not empty any more')`

const nothingDueFor = nothingDue(
  `(SELECT $1::text AS namespace, $2::text AS task_queue, unnest($3::text[]) AS workflow_type, $4::bigint AS due_by) AS w`,
  "(SELECT $1::text AS namespace, $2::text AS task_queue) AS w"
)

const nothingDueForAny = nothingDue(
  "unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w (namespace, task_queue, workflow_type, due_by)",
  "unnest($1::text[], $2::text[]) AS w (namespace, task_queue)"
)

/** Expects that there is nothing to claim, and that there are no limits. */
const expectEmpty = (claims: Wants["claims"]): ReadonlyArray<Statement> => {
  const [claim, ...others] = claims
  if (claim === undefined) return []
  if (others.length === 0) {
    const { dueBy, namespace, taskQueue, workflowTypes } = claim
    return [{ sql: nothingDueFor, params: [text(namespace), text(taskQueue), texts(workflowTypes), int8(dueBy)] }]
  }
  const places = claims.flatMap(({ dueBy: at, namespace, taskQueue, workflowTypes }) =>
    workflowTypes.map((workflowType) => ({ namespace, taskQueue, workflowType, at }))
  )
  return [{ sql: nothingDueForAny, params: arraysOfPlaces(places) }]
}

/** After a start with an id that there was already, so many without come first before ids are taken to be new again. */
const afterRepetition = 16

/** Without the rest of the message that it came in, where that is large. */
const alone = <P extends Payload | undefined>(payload: P): P =>
  payload === undefined || payload.data.buffer.byteLength <= 2 * payload.data.byteLength
    ? payload
    : { ...payload, data: payload.data.slice() }

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
  statement: ReturnType<typeof isSame>,
  revisions: ReadonlyMap<string, number>,
  isSingle: boolean
): ReadonlyArray<Statement> =>
  revisions.size === 0
    ? []
    : [
        statement(
          Array.from(revisions, ([id, revision]) => ({ id, revision })),
          isSingle
        )
      ]

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
  /** All attempts of steps of those runs, by id. */
  readonly #steps = new Registry<string, StepRecord>()
  /** How many starts have to be loaded before ids are taken to be new. */
  #repeated = 0
  #bytes = 0

  /** All that is wanted, if it is known. */
  recall(wants: Wants): Recalled | undefined {
    const { claims, externalIds, namespaces, runs, stepIds, steps, workers, ...others } = wants
    if (!Object.values(others).every(isNothing)) return undefined
    if (!claims.every((claim) => this.#empty.has(keyOf(claim)))) return undefined
    if (externalIds.length > 0 && this.#repeated > 0) return undefined
    const loaded = new Loaded()
    const { revisions } = loaded
    if (
      !takeAll(namespaces, this.#namespaces, loaded.namespaces, revisions.namespaces) ||
      !takeAll(workers, this.#workers, loaded.workers, revisions.workers) ||
      !takeAll(runs, this.#runs, loaded.runs, revisions.runs)
    ) {
      return undefined
    }
    for (const stepId of stepIds) {
      const step = this.#steps.get(stepId)
      if (step === undefined || !runs.has(step.runId)) return undefined
      loaded.steps.set(stepId, step)
    }
    for (const { name, runId, stepId } of steps) {
      const run = this.#runs.get(runId)
      if (run === undefined) return undefined
      for (const step of [run.latest.get(name), stepId === undefined ? undefined : this.#steps.get(stepId)]) {
        if (step !== undefined) loaded.steps.set(step.stepId, step)
      }
    }
    const isSingle = Object.values(revisions).every(({ size }) => size <= 1)
    return {
      loaded,
      verify: [
        ...verify(sameWorkers, revisions.workers, isSingle),
        ...verify(sameRuns, revisions.runs, isSingle),
        ...verify(sameNamespaces, revisions.namespaces, isSingle),
        ...expectEmpty(claims)
      ].map(giving)
    }
  }

  clear(): void {
    this.#namespaces.clear()
    this.#workers.clear()
    this.#runs.clear()
    this.#steps.clear()
    this.#empty.clear()
    this.#bytes = 0
  }

  /** Takes in what a transaction has loaded. */
  loaded({ claims, externalIds, namespaces, runs, workers }: Wants, loaded: Loaded): void {
    const { revisions } = loaded
    const isRepeated = ({ externalId, namespace }: Wants["externalIds"][number]) =>
      Array.from(loaded.runs.values()).some((run) => run.externalId === externalId && run.namespace === namespace)
    if (externalIds.some(isRepeated)) this.#repeated = afterRepetition
    else if (externalIds.length > 0 && this.#repeated > 0) this.#repeated--
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
    this.#runs.set(run.runId, { record: run, revision, bytes: recordBytes, steps: new Set(), latest: new Map() })
    this.#bytes += recordBytes
  }

  #stepWritten(written: StepRecord): void {
    const run = this.#runs.get(written.runId)
    if (run === undefined) return
    const step = { ...written, input: alone(written.input), ...(written.output && { output: alone(written.output) }) }
    const added = this.#sizeOf(step) - this.#sizeOf(this.#steps.get(step.stepId))
    run.bytes += added
    this.#bytes += added
    run.steps.add(step.stepId)
    this.#steps.set(step.stepId, step)
    if (step.attempt >= (run.latest.get(step.name)?.attempt ?? 0)) run.latest.set(step.name, step)
  }

  #sizeOf(step: StepRecord | undefined): number {
    if (step === undefined) return 0
    return recordBytes + payloadBytes(step.input) + payloadBytes(step.output) + failureBytes(step.error)
  }

  #forgetRun(runId: string): void {
    const run = this.#runs.get(runId)
    if (run === undefined) return
    this.#bytes -= run.bytes
    this.#runs.delete(runId)
    for (const stepId of run.steps) this.#steps.delete(stepId)
  }
}
