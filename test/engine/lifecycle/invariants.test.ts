/** Whatever is sent in whatever order, some things always hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Command } from "../../../src/engine/Command.ts"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { isTerminal } from "../../../src/Run.ts"
import type { RunRecord, StepRecord } from "../../../src/store/Store.ts"
import { onPostgres } from "../../support/stores.ts"
import { detail, makeWorld, payload, read, type World } from "./World.ts"

/** What may be done, and how often beside the others. */
const weights = {
  BeginStep: 20,
  CompleteStep: 10,
  FailStep: 8,
  SuspendRun: 12,
  CancelRun: 1,
  ClaimRun: 12,
  SleepStep: 4,
  TerminateRun: 1,
  CancelStep: 3,
  ReleaseRun: 3,
  FailRun: 2,
  Heartbeat: 4,
  CompleteRun: 1,
  ExpireWorkers: 2,
  DeregisterWorker: 1,
  StartRun: 2
} as const
type Kind = keyof typeof weights
const kinds = (Object.keys(weights) as Array<Kind>).flatMap((kind) => Array<Kind>(weights[kind]).fill(kind))

const ofSteps: ReadonlySet<Kind> = new Set(["CompleteStep", "FailStep", "SleepStep", "CancelStep"])
const ofWorkers: ReadonlySet<Kind> = new Set([
  ...ofSteps,
  "BeginStep",
  "SuspendRun",
  "ReleaseRun",
  "CompleteRun",
  "FailRun"
])

/** Indexes into these are drawn, so that an entry that is there more often is drawn more often. */
const delays = [0, 0, 0, 0, 0, 0, 1, 50, 100, 100, 5_001, 60_000]
/** The latest lease, the one before, or none. */
const leases = ["latest", "latest", "latest", "latest", "stale", "none"] as const

const below = (size: number) => Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: size - 1 })))

/** One action: what is done, to which run and step, under which lease, and how much time passes first. */
const Action = Schema.Struct({
  kind: below(kinds.length),
  run: below(2),
  step: below(4),
  lease: below(leases.length),
  /** An error that is not retried, a sleep of no length, a drain. */
  final: Schema.Boolean,
  delay: below(delays.length),
  /** Whether it belongs to the same batch as the one before. */
  joined: Schema.Boolean
})
type Action = typeof Action.Type

const externalIds = ["a", "b"]
/** Two steps and two sleeps. */
const names = ["code", "more", "nap", "rest"]

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
    const lease = world.run({ runId }).leaseEpoch - (leases[action.lease] === "stale" ? 1 : 0)
    const of = { namespace: "default", runId, ...(leases[action.lease] === "none" ? {} : { lease }) }
    const name = names[action.step] ?? ""
    const kind = this.#likely(action, runId, name)
    const stepId = this.#stepIds.get(`${runId} ${name}`) ?? world.id()
    const begin = (fields: object) => {
      const command = world.beginCommand(of, name, fields)
      const known = world.history({ runId }).find((step) => step.name === name)
      this.#stepIds.set(`${runId} ${name}`, known?.stepId ?? command.stepId)
      return command
    }
    const error = detail({ nonRetryable: action.final })
    switch (kind) {
      case "StartRun":
        return [world.startCommand({ externalId: externalIds[action.run] ?? "" })]
      case "CancelRun":
        return [{ _tag: "CancelRun", namespace: "default", runId }]
      case "SuspendRun":
      case "ReleaseRun":
        return [{ _tag: kind, ...of }]
      case "TerminateRun":
        return [{ _tag: "TerminateRun", namespace: "default", runId, reason: "" }]
      case "ClaimRun":
        return [world.claimCommand(this.workerId)]
      case "BeginStep":
        return [
          action.step < 2
            ? begin({})
            : begin({ kind: "SLEEP", ...(action.final ? {} : { sleep: { millis: 50 * action.step } }) })
        ]
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
            : { _tag: "Heartbeat", workerId: this.workerId, held: [{ runId, lease }] }
        ]
      case "ExpireWorkers":
        return [{ _tag: "ExpireWorkers" }]
      case "DeregisterWorker":
        return [{ _tag: "DeregisterWorker", workerId: this.workerId, drain: action.final }]
    }
  }

  /** What was drawn, or mostly, where that could only be refused, what makes it possible next time. */
  #likely(action: Action, runId: string, name: string): Kind {
    const kind = kinds[action.kind] ?? "ClaimRun"
    if (leases[action.lease] !== "latest") return kind
    const { status } = this.world.run({ runId })
    if (isTerminal(status)) return "StartRun"
    if (status !== "RUNNING" && ofWorkers.has(kind)) return "ClaimRun"
    return ofSteps.has(kind) && !this.#stepIds.has(`${runId} ${name}`) ? "BeginStep" : kind
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

const hasEnded = (step: StepRecord) => step.status === "COMPLETED" || (step.status === "FAILED" && !step.cancelled)

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
    if (hasEnded(step)) assert.isDefined(step.sequence, `${step.name} has ended`)
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

interface State {
  readonly run: RunRecord
  readonly history: ReadonlyArray<StepRecord>
}

/** What must hold between the state before a batch and after it. */
const checkChange = (before: State, after: State) => {
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
const checkFencing = (command: Command, tag: "Success" | "Failure", before: ReadonlyMap<string, State>) => {
  if (!("lease" in command) || command.lease === undefined || tag === "Failure") return
  assert.strictEqual(command.lease, before.get(command.runId)?.run.leaseEpoch, `${command._tag} under a stale lease`)
}

describe("any sequence of commands", () => {
  it.effect.prop(
    "keeps what has ended, fences stale leases, numbers the ends without gaps, and never loses a run",
    [Schema.Array(Action).pipe(Schema.check(Schema.isMinLength(60), Schema.isMaxLength(120)))],
    ([actions]) =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const script = new Script(world)
        const look = (runId: string) => ({ run: world.run({ runId }), history: world.history({ runId }) })
        const states = new Map(script.runIds.map((runId) => [runId, look(runId)]))
        let batch: Array<Command> = []
        const flush = () => {
          const replies = world.batch(batch)
          const alone = batch.length === 1
          replies.forEach((reply, index) => {
            const command = batch[index]
            if (alone && command !== undefined) {
              checkFencing(command, reply._tag, states)
              if (reply._tag === "Failure") assert.deepStrictEqual(Object.values(world.changes ?? {}).flat(), [])
            }
          })
          batch = []
          const changed = Object.values(world.changes ?? {}).flat()
          script.refresh()
          for (const runId of new Set(changed.flatMap((row) => ("runId" in row ? [row.runId] : [])))) {
            const before = states.get(runId)
            const after = look(runId)
            checkRun(after.run, after.history)
            if (before !== undefined) checkChange(before, after)
            states.set(runId, after)
          }
        }
        for (const action of actions) {
          const delay = delays[action.delay] ?? 0
          if (!action.joined || delay > 0) flush()
          world.now += delay
          batch.push(...script.commands(action))
        }
        flush()

        // Every run that has not ended can still be brought to its end by a worker that only does what it is given.
        for (const runId of states.keys()) {
          if (isTerminal(world.run({ runId }).status)) continue
          world.now = Math.max(world.now, Number(world.run({ runId }).dueAt))
          // Others may be due before it, or be given up at their claim.
          let claimed = world.claim(script.workerId)
          for (let tries = states.size; tries > 0 && claimed?.run.runId !== runId; tries--) {
            claimed = world.claim(script.workerId)
          }
          if (isTerminal(world.run({ runId }).status)) continue
          assert.isDefined(claimed, "a run that is due can be claimed")
          const of = { namespace: "default", runId, lease: claimed.lease }
          assert.strictEqual(world.send({ _tag: "CompleteRun", ...of, output: payload(1) }).status, "COMPLETED")
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: onPostgres ? 8 : 100 } }
  )
})
