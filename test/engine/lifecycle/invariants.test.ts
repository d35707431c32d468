/** Whatever is sent in whatever order, some things always hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Command } from "../../../src/engine/Command.ts"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { isTerminal } from "../../../src/Run.ts"
import type { RunRecord, StepRecord } from "../../../src/store/Store.ts"
import { detail, makeWorld, payload, read, type World } from "./World.ts"

const kinds = [
  "StartRun",
  "CancelRun",
  "TerminateRun",
  "ClaimRun",
  "ClaimRun",
  "BeginStep",
  "BeginStep",
  "BeginSleep",
  "BeginSleep",
  "CompleteStep",
  "CompleteStep",
  "FailStep",
  "SleepStep",
  "CancelStep",
  "SuspendRun",
  "SuspendRun",
  "ReleaseRun",
  "CompleteRun",
  "FailRun",
  "Heartbeat",
  "Expire",
  "Deregister",
  "Pass"
] as const

const small = (most: number) => Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: most })))

/** One action: what is done, to which run and step, under which lease, and how much time passes first. */
const Action = Schema.Struct({
  kind: Schema.Literals(kinds),
  run: small(1),
  step: small(2),
  /** 0 is the latest lease, 1 the one before, 2 none. */
  lease: small(2),
  final: Schema.Boolean,
  millis: Schema.Literals([0, 1, 100, 5_001, 30_000, 60_000]),
  /** Whether it belongs to the same batch as the one before. */
  joined: Schema.Boolean
})
type Action = typeof Action.Type

const externalIds = ["a", "b"]
const names = ["x", "y", "z"]

/** Turns actions into commands on what is there. */
class Script {
  readonly world: World
  readonly runIds: Array<string>
  workerId: string
  readonly #stepIds = new Map<string, string>()

  constructor(world: World) {
    this.world = world
    this.workerId = world.register({ instanceId: "w" })
    const retryPolicy = RetryPolicy.make({ maximumAttempts: 3, initialInterval: 100 })
    this.runIds = externalIds.map((externalId) => world.start({ externalId, retryPolicy }))
  }

  commands(action: Action): ReadonlyArray<Command> {
    const { world } = this
    const runId = this.runIds[action.run] ?? ""
    const epoch = world.run({ runId }).leaseEpoch
    const of = { namespace: "default", runId, ...(action.lease === 2 ? {} : { lease: epoch - action.lease }) }
    const name = names[action.step] ?? ""
    const stepId = this.#stepIds.get(`${runId} ${name}`) ?? world.id()
    const begin = (fields: object) => {
      const command = world.beginCommand(of, name, fields)
      const known = world.history({ runId }).find((step) => step.name === name)
      this.#stepIds.set(`${runId} ${name}`, known?.stepId ?? command.stepId)
      return command
    }
    const error = detail({ nonRetryable: action.final })
    switch (action.kind) {
      case "StartRun":
        return [world.startCommand({ externalId: externalIds[action.run] ?? "" })]
      case "CancelRun":
        return [{ _tag: "CancelRun", namespace: "default", runId }]
      case "SuspendRun":
      case "ReleaseRun":
        return [{ _tag: action.kind, ...of }]
      case "TerminateRun":
        return [{ _tag: "TerminateRun", namespace: "default", runId, reason: "" }]
      case "ClaimRun":
        return [world.claimCommand(this.workerId)]
      case "BeginStep":
        return [begin({})]
      case "BeginSleep":
        return [begin({ kind: "SLEEP", ...(action.final ? {} : { sleep: { millis: 100 } }) })]
      case "CompleteStep":
        return [{ _tag: "CompleteStep", ...of, stepId, output: payload(world.id()) }]
      case "FailStep":
        return [{ _tag: "FailStep", ...of, stepId, error, nextStepId: world.id() }]
      case "SleepStep":
        return [{ _tag: "SleepStep", ...of, stepId, millis: action.final ? 0 : 100 }]
      case "CancelStep":
        return [{ _tag: "CancelStep", ...of, stepId }]
      case "CompleteRun":
        return [{ _tag: "CompleteRun", ...of, output: payload(world.id()) }]
      case "FailRun":
        return [{ _tag: "FailRun", ...of, error }]
      case "Heartbeat":
        return [
          action.final
            ? { _tag: "Heartbeat", workerId: this.workerId }
            : { _tag: "Heartbeat", workerId: this.workerId, held: [{ runId, lease: epoch - action.lease }] }
        ]
      case "Expire":
        return [{ _tag: "ExpireWorkers" }]
      case "Deregister":
        return [{ _tag: "DeregisterWorker", workerId: this.workerId, drain: action.final }]
      case "Pass":
        return []
    }
  }

  /** After a batch: new runs take the place of ended ones, and a worker that left comes back. */
  refresh(): void {
    for (const run of this.world.changes?.insertRuns ?? []) {
      const index = externalIds.indexOf(run.externalId)
      if (index >= 0) this.runIds[index] = run.runId
    }
    this.workerId = this.world.register({ instanceId: "w" })
  }
}

const ended = (step: StepRecord) => step.status === "COMPLETED" || (step.status === "FAILED" && !step.cancelled)

/** What must hold of any run by itself. */
const checkRun = (run: RunRecord, history: ReadonlyArray<StepRecord>) => {
  assert.strictEqual(run.dueAt === undefined, isTerminal(run.status), `dueAt of ${run.status}`)
  assert.strictEqual(run.finishedAt === undefined, !isTerminal(run.status))
  assert.strictEqual(run.stepCount, history.length)
  assert.deepStrictEqual(
    history.map(({ position }) => position),
    history.map((_, index) => index + 1)
  )
  const sequences = history.flatMap(({ sequence }) => (sequence === undefined ? [] : [sequence]))
  assert.deepStrictEqual(
    sequences.sort((a, b) => a - b),
    Array.from({ length: run.sequence }, (_, index) => index + 1)
  )
  for (const step of history) {
    if (ended(step)) assert.isDefined(step.sequence, `${step.name} has ended`)
    if (step.status === "COMPLETED") assert.isDefined(step.output)
    if (step.status === "PENDING") assert.isDefined(step.dueAt)
    if (step.kind === "SLEEP" && step.status === "COMPLETED") {
      assert.isAtLeast(Number(step.finishedAt), Number(step.dueAt), "never early")
    }
  }
  const waits = history.filter(
    (step) => !step.cancelled && step.dueAt !== undefined && (step.status === "PENDING" || step.status === "RUNNING")
  )
  if (run.status === "SLEEPING") {
    assert.strictEqual(run.dueAt, Math.min(...waits.map(({ dueAt }) => Number(dueAt))), "wakes for the earliest")
  }
}

/** What must hold between the state before a batch and after it. */
const checkChange = (
  before: { readonly run: RunRecord; readonly history: ReadonlyArray<StepRecord> },
  after: { readonly run: RunRecord; readonly history: ReadonlyArray<StepRecord> }
) => {
  if (isTerminal(before.run.status)) assert.deepStrictEqual(after, before, "an ended run never changes")
  assert.isAtLeast(after.run.leaseEpoch, before.run.leaseEpoch)
  assert.isAtLeast(after.run.sequence, before.run.sequence)
  before.history.forEach((step, index) => {
    const now = after.history[index]
    assert.strictEqual(now?.name, step.name)
    if (step.sequence !== undefined) {
      assert.strictEqual(now?.sequence, step.sequence)
      assert.strictEqual(now?.status, step.status)
      assert.deepStrictEqual(now?.error, step.error)
      assert.deepStrictEqual(read(now?.output), read(step.output))
    }
    if (step.cancelled) assert.isTrue(now?.cancelled)
  })
}

/** A command under a lease that is not the latest may not have been accepted while the run was still open. */
const checkFencing = (command: Command, tag: "Success" | "Failure", epochs: ReadonlyMap<string, number>) => {
  if (!("lease" in command) || command.lease === undefined || tag === "Failure") return
  assert.strictEqual(command.lease, epochs.get(command.runId), `${command._tag} under a stale lease`)
}

describe("any sequence of commands", () => {
  it.effect.prop(
    "keeps what has ended, fences stale leases, numbers the ends without gaps, and never loses a run",
    [Schema.Array(Action).pipe(Schema.check(Schema.isMinLength(10), Schema.isMaxLength(60)))],
    ([actions]) =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const script = new Script(world)
        const known = new Set(script.runIds)
        const look = () =>
          new Map(
            Array.from(known, (runId) => [runId, { run: world.run({ runId }), history: world.history({ runId }) }])
          )
        let before = look()
        let batch: Array<Command> = []
        const flush = () => {
          const replies = world.batch(batch)
          const alone = batch.length === 1
          replies.forEach((reply, index) => {
            const command = batch[index]
            if (alone && command !== undefined) {
              checkFencing(command, reply._tag, new Map(Array.from(before, ([id, { run }]) => [id, run.leaseEpoch])))
              if (reply._tag === "Failure") assert.deepStrictEqual(Object.values(world.changes ?? {}).flat(), [])
            }
          })
          batch = []
          for (const run of world.changes?.insertRuns ?? []) known.add(run.runId)
          script.refresh()
          const after = look()
          for (const [runId, state] of after) {
            checkRun(state.run, state.history)
            const earlier = before.get(runId)
            if (earlier !== undefined) checkChange(earlier, state)
          }
          before = after
        }
        for (const action of actions) {
          if (!action.joined || action.millis > 0) flush()
          world.now += action.millis
          batch.push(...script.commands(action))
        }
        flush()

        // Every run that has not ended can still be brought to its end by a worker that only does what it is given.
        for (const runId of known) {
          if (isTerminal(world.run({ runId }).status)) continue
          world.now = Math.max(world.now, Number(world.run({ runId }).dueAt))
          let claimed = world.claim(script.workerId)
          while (claimed !== undefined && claimed.run.runId !== runId) claimed = world.claim(script.workerId)
          if (isTerminal(world.run({ runId }).status)) continue
          assert.isDefined(claimed, "a run that is due can be claimed")
          const of = { namespace: "default", runId, lease: claimed.lease }
          assert.strictEqual(world.send({ _tag: "CompleteRun", ...of, output: payload(1) }).status, "COMPLETED")
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 150 } }
  )
})
