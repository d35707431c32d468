/** The pure core on real rows: each batch is loaded from and saved to a store, at a time of our own. */
import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import type { Claimed, Command, Reply } from "../../../src/engine/Command.ts"
import { type Decided, decide } from "../../../src/engine/lifecycle/decide.ts"
import type { Decision } from "../../../src/engine/lifecycle/failures.ts"
import { wantsOf } from "../../../src/engine/lifecycle/wants.ts"
import type { Code, Detail, KagziError } from "../../../src/KagziError.ts"
import type { RetryPolicy } from "../../../src/RetryPolicy.ts"
import type { Payload, Run } from "../../../src/Run.ts"
import type { Changes, RunRecord, ScheduleRecord, Shape, StepRecord } from "../../../src/store/Store.ts"
import * as Stores from "../../support/stores.ts"

export const payload = (value: unknown): Payload => ({
  data: new TextEncoder().encode(JSON.stringify(value)),
  metadata: {}
})

export const read = (value: Payload | undefined): unknown =>
  value === undefined ? undefined : JSON.parse(new TextDecoder().decode(value.data))

export const detail = (fields: Partial<Detail> = {}): Detail => ({
  code: "Internal",
  message: "it broke",
  nonRetryable: false,
  subject: "",
  subjectId: "",
  metadata: {},
  ...fields
})

/** Asserts that a command was refused, and gives the error. */
export const refusal = (decision: Decision<unknown>, code: Code, text = ""): KagziError => {
  assert.isTrue(Result.isFailure(decision), `expected a ${code}`)
  const { failure } = decision as Result.Failure<unknown, KagziError>
  assert.strictEqual(failure._tag, code)
  assert.include(failure.message, text)
  return failure
}

const orFail = <A>(decision: Decision<A>): A => {
  if (Result.isFailure(decision)) assert.fail(`${decision.failure._tag}: ${decision.failure.message}`)
  return decision.success
}

export class World {
  readonly #store: Shape
  now = 1_700_000_000_000
  /** Of the server that carries out what comes next. */
  settings = { leaseMillis: 60_000, staleMillis: 30_000, heartbeatMillis: 10_000 }
  random = 0.5
  changes: Changes | undefined
  #ids = 0

  constructor(store: Shape) {
    this.#store = store
  }

  /** A new UUID; later ones sort after earlier ones. */
  id(): string {
    return `00000000-0000-7000-8000-${String(++this.#ids).padStart(12, "0")}`
  }

  /** Applies commands in one batch. */
  batch(commands: ReadonlyArray<Command>): Decided["replies"] {
    const at = { now: this.now, ...this.settings }
    const wants = wantsOf(commands, at)
    const submitted = commands.map((command) => ({ command, random: this.random }))
    const decided = Effect.runSync(
      this.#store.transact(wants, (rows) => {
        const value = decide(wants, rows, submitted, at)
        return { changes: value.changes, value }
      })
    )
    this.changes = decided.changes
    return decided.replies
  }

  try<C extends Command>(command: C): Decision<Reply[C["_tag"]]> {
    return this.batch([command])[0] as Decision<Reply[C["_tag"]]>
  }

  send<C extends Command>(command: C): Reply[C["_tag"]] {
    return orFail(this.try(command))
  }

  startCommand(fields: Partial<Extract<Command, { _tag: "StartRun" }>> = {}) {
    return {
      _tag: "StartRun",
      runId: this.id(),
      namespaceId: this.id(),
      namespace: "default",
      externalId: this.id(),
      taskQueue: "queue",
      workflowType: "order",
      version: "",
      input: payload("input"),
      ifExists: "use-active",
      ...fields
    } as const satisfies Command
  }

  start(fields: Partial<Extract<Command, { _tag: "StartRun" }>> = {}): string {
    return this.send(this.startCommand(fields)).runId
  }

  register(fields: Partial<Extract<Command, { _tag: "RegisterWorker" }>> = {}): string {
    return this.send({
      _tag: "RegisterWorker",
      workerId: this.id(),
      namespaceId: this.id(),
      namespace: "default",
      taskQueue: "queue",
      hostname: "host",
      pid: 1,
      instanceId: this.id(),
      version: "1",
      workflowTypes: ["order"],
      labels: {},
      workflowTypeConcurrency: {},
      ...fields
    }).workerId
  }

  claimCommand(workerId: string) {
    return {
      _tag: "ClaimRun",
      namespace: "default",
      workerId,
      taskQueue: "queue",
      workflowTypes: ["order"],
      limit: 1
    } as const satisfies Command
  }

  claim(workerId: string): Claimed | undefined {
    return this.send(this.claimCommand(workerId)).runs[0]
  }

  /** A run that a new worker holds. Without a policy unless one is given. */
  running(retryPolicy?: RetryPolicy): { run: HeldRun; workerId: string } {
    const workerId = this.register()
    const runId = this.start(retryPolicy === undefined ? {} : { retryPolicy })
    const claimed = this.claim(workerId)
    assert.isDefined(claimed)
    assert.strictEqual(claimed.run.runId, runId)
    return { run: { namespace: "default", runId, lease: claimed.lease }, workerId }
  }

  begin(run: OfRun, name: string, fields: Partial<Extract<Command, { _tag: "BeginStep" }>> = {}) {
    return this.send(this.beginCommand(run, name, fields))
  }

  beginCommand(run: OfRun, name: string, fields: Partial<Extract<Command, { _tag: "BeginStep" }>> = {}) {
    return {
      _tag: "BeginStep",
      ...run,
      stepId: this.id(),
      name,
      kind: "FUNCTION",
      input: payload(null),
      ...fields
    } as const satisfies Command
  }

  complete(run: OfRun, stepId: string, output: unknown = "done") {
    return this.send({ _tag: "CompleteStep", ...run, stepId, output: payload(output) })
  }

  fail(run: OfRun, stepId: string, error: Partial<Detail> = {}) {
    return this.send({ _tag: "FailStep", ...run, stepId, error: detail(error), nextStepId: this.id() })
  }

  run({ runId }: { readonly runId: string }): RunRecord {
    const wants = wantsOf([{ _tag: "CompleteRun", namespace: "", runId, output: payload(null) }], {
      now: 0,
      staleMillis: 0
    })
    const [found] = Effect.runSync(
      this.#store.transact(wants, (rows) => ({ changes: decide(wants, rows, [], never).changes, value: rows.runs }))
    )
    assert.isDefined(found)
    return found
  }

  /** The latest attempt of each step, by position. */
  history({ runId }: { readonly runId: string }): ReadonlyArray<StepRecord> {
    return Effect.runSync(this.#store.history(runId, 0, 1e9)).steps
  }

  /** All attempts. */
  attempts({ runId }: { readonly runId: string }, name: string) {
    const filter = { namespace: "default", runId, name }
    return Effect.runSync(this.#store.listSteps(filter, { limit: 1_000, count: false })).items
  }

  read(runId: string) {
    return Effect.runSync(Effect.flatMap(this.#store.getRun("default", runId), Effect.fromOption))
  }

  schedule({ scheduleId }: { readonly scheduleId: string }): ScheduleRecord {
    const wants = { ...wantsOf([], { now: 0, staleMillis: 0 }), schedules: new Set([scheduleId]) }
    const [found] = Effect.runSync(
      this.#store.transact(wants, (rows) => ({
        changes: decide(wants, rows, [], never).changes,
        value: rows.schedules
      }))
    )
    assert.isDefined(found)
    return found
  }

  /** Writes a schedule as no command would. */
  writeSchedule(schedule: ScheduleRecord): void {
    const wants = wantsOf([], { now: 0, staleMillis: 0 })
    Effect.runSync(
      this.#store.transact(wants, (rows) => ({
        changes: { ...decide(wants, rows, [], never).changes, updateSchedules: [schedule] },
        value: undefined
      }))
    )
  }

  /** Newest first. */
  scheduleRuns(scheduleId: string): ReadonlyArray<Run> {
    const filter = { namespace: "default", scheduleId }
    return Effect.runSync(this.#store.listRuns(filter, { limit: 1_000, count: false })).items
  }

  disableNamespace(name: string): void {
    const wants = { ...wantsOf([], { now: 0, staleMillis: 0 }), namespaces: new Set([name]) }
    Effect.runSync(
      this.#store.transact(wants, (rows) => ({
        changes: {
          ...decide(wants, rows, [], never).changes,
          updateNamespaces: rows.namespaces.map((row) => ({ ...row, enabled: false }))
        },
        value: undefined
      }))
    )
  }
}

export interface OfRun {
  readonly namespace: string
  readonly runId: string
  readonly lease?: number
}

export interface HeldRun extends OfRun {
  readonly lease: number
}

/** The same run for a peer that knows nothing of leases. */
export const unleased = ({ namespace, runId }: OfRun): OfRun => ({ namespace, runId })

const never = { now: 0, leaseMillis: 0, staleMillis: 0, heartbeatMillis: 0 }

export const makeWorld = Effect.map(Stores.open, (store) => new World(store))
