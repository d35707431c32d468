/** Generated sequences of commands, carried out by the pure core on a store and by the model, and compared after each. */
import { assert } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import type { Command } from "../../src/engine/Command.ts"
import { decide } from "../../src/engine/lifecycle/decide.ts"
import { wantsOf } from "../../src/engine/lifecycle/wants.ts"
import type { Detail } from "../../src/KagziError.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { isTerminal } from "../../src/Run.ts"
import type { Shape } from "../../src/store/Store.ts"
import { Chance } from "../../src/testing/simulator/Chance.ts"
import { type Answer, leaseMillis, Model, stepPolicy } from "./Model.ts"

const place = { namespace: "default", taskQueue: "queue" }
const workflowTypes = ["order"]
const payload = (text: string) => ({ data: new TextEncoder().encode(text), metadata: {} })
const textOf = (data: Uint8Array | undefined) => (data === undefined ? undefined : new TextDecoder().decode(data))

const error = (nonRetryable: boolean): Detail => ({
  code: "Internal",
  message: "it broke",
  nonRetryable,
  subject: "",
  subjectId: "",
  metadata: {}
})

/** A command for the engine, what the model says to it, and what of the engine's reply counts. */
interface Move {
  readonly command: Command
  readonly expected: () => Answer
  readonly counts: (reply: never) => Answer
}

const move = (command: Command, expected: () => Answer, counts: (reply: never) => Answer = () => ({})): Move => ({
  command,
  expected,
  counts
})

const steps = [
  { name: "code", kind: "FUNCTION" },
  { name: "more", kind: "FUNCTION" },
  { name: "nap", kind: "SLEEP" },
  { name: "rest", kind: "SLEEP" }
] as const

class Script {
  readonly model = new Model()
  readonly workers: ReadonlyArray<string>
  readonly #chance: Chance
  #ids = 0

  constructor(chance: Chance) {
    this.#chance = chance
    this.model.now = 1_700_000_000_000
    this.workers = [this.id(), this.id()]
  }

  id(): string {
    return `00000000-0000-7000-8000-${String(++this.#ids).padStart(12, "0")}`
  }

  register(workerId: string): Command {
    const key = { ...place, hostname: "host", pid: 1, instanceId: workerId }
    return {
      _tag: "RegisterWorker",
      workerId,
      namespaceId: this.id(),
      ...key,
      version: "1",
      workflowTypes,
      labels: {},
      workflowTypeConcurrency: {}
    }
  }

  /** Mostly what makes sense, and often what does not. */
  next(): Move {
    const chance = this.#chance
    const { model } = this
    const running = model.runs.filter(({ status }) => status === "RUNNING")
    const run = chance.happens(0.8) ? (chance.pick(running) ?? chance.pick(model.runs)) : chance.pick(model.runs)
    const worker = chance.pick(this.workers) ?? ""
    const roll = chance.fraction()
    if (run === undefined || roll < 0.06) return this.#start()
    if (roll < 0.2 || (running.length === 0 && roll < 0.8)) return this.#claim(worker)
    if (roll < 0.25) return this.#heartbeat(worker)
    return this.#onRun(run.runId, run.lease - (chance.happens(0.1) ? 1 : 0), roll)
  }

  #start(): Move {
    const runId = this.id()
    const externalId = `order ${this.#chance.between(1, 3)}`
    const ifExists = this.#chance.pick(["use-active", "use-active", "reject", "return-finished"] as const)
    const command = { ...place, namespaceId: this.id(), workflowType: "order", version: "", input: payload("1") }
    return move(
      { _tag: "StartRun", ...command, runId, externalId, ifExists },
      () => this.model.start(externalId, runId, ifExists),
      (reply: { readonly runId: string; readonly alreadyExists: boolean }) => ({
        runId: reply.runId,
        alreadyExists: reply.alreadyExists
      })
    )
  }

  #claim(workerId: string): Move {
    const limit = this.#chance.between(1, 3)
    return move(
      { _tag: "ClaimRun", ...place, workerId, workflowTypes, limit },
      () => this.model.claim(workerId, limit),
      ({
        runs
      }: {
        readonly runs: ReadonlyArray<{ readonly run: { readonly runId: string }; readonly lease: number }>
      }) => ({
        given: runs.map(({ lease, run }) => `${run.runId} ${lease}`)
      })
    )
  }

  #heartbeat(workerId: string): Move {
    const held = this.model.runs
      .filter((run) => run.holder === workerId && this.#chance.happens(0.8))
      .map(({ lease, runId }) => ({ runId, lease: lease - (this.#chance.happens(0.1) ? 1 : 0) }))
    const ids = (list: ReadonlyArray<{ readonly runId: string }>) => list.map(({ runId }) => runId)
    type Reply = { readonly lost: typeof held; readonly cancelled: typeof held }
    return move(
      { _tag: "Heartbeat", workerId, held },
      () => this.model.heartbeat(workerId, held),
      ({ cancelled, lost }: Reply) => ({ lost: ids(lost), cancelled: ids(cancelled) })
    )
  }

  #onRun(runId: string, lease: number, roll: number): Move {
    const chance = this.#chance
    const { model } = this
    const of = { namespace: "default", runId, lease }
    const { kind, name } = chance.pick(steps) ?? steps[0]
    const attempts = model.run(runId)?.steps.get(name)?.attempts ?? []
    // an earlier attempt now and then
    const stepId = (chance.happens(0.85) ? attempts.at(-1) : chance.pick(attempts))?.stepId ?? this.id()
    const output = `"${this.id()}"`
    const final = chance.happens(0.3)
    if (roll < 0.5) {
      const sleep = kind === "SLEEP" && chance.happens(0.9) ? chance.pick([0, 50, 100, 5_000]) : undefined
      const made = this.id()
      return move(
        {
          _tag: "BeginStep",
          ...of,
          stepId: made,
          name,
          kind,
          input: payload("null"),
          retryPolicy: RetryPolicy.make(stepPolicy),
          ...(sleep === undefined ? {} : { sleep: { millis: sleep } })
        },
        () => model.begin(runId, lease, name, kind, made, sleep),
        ({ execute, step }: { readonly execute: boolean; readonly step: { stepId: string; status: string } }) => ({
          stepId: step.stepId,
          status: step.status,
          execute
        })
      )
    }
    if (roll < 0.64) {
      return move(
        { _tag: "CompleteStep", ...of, stepId, output: payload(output) },
        () => model.complete(runId, lease, stepId, output),
        ({ step }: { readonly step: { readonly output?: { readonly data: Uint8Array } } }) => ({
          output: textOf(step.output?.data)
        })
      )
    }
    if (roll < 0.76) {
      const nextStepId = this.id()
      return move(
        { _tag: "FailStep", ...of, stepId, error: error(final), nextStepId },
        () => model.fail(runId, lease, stepId, final, nextStepId),
        ({ retry }: { readonly retry: boolean }) => ({ retry })
      )
    }
    if (roll < 0.79) {
      return move({ _tag: "CancelStep", ...of, stepId }, () => model.cancelStep(runId, lease, stepId))
    }
    if (roll < 0.91) {
      return move(
        { _tag: "SuspendRun", ...of },
        () => model.suspend(runId, lease),
        ({ suspended }: { readonly suspended: boolean }) => ({ suspended })
      )
    }
    if (roll < 0.94) return move({ _tag: "ReleaseRun", ...of }, () => model.release(runId, lease))
    if (roll < 0.96) {
      return move({ _tag: "CompleteRun", ...of, output: payload(output) }, () =>
        model.completeRun(runId, lease, output)
      )
    }
    if (roll < 0.97) return move({ _tag: "FailRun", ...of, error: error(final) }, () => model.failRun(runId, lease))
    if (roll < 0.98) {
      const newRunId = this.id()
      return move(
        { _tag: "RetryRun", namespace: "default", runId, newRunId },
        () => model.retry(runId, newRunId),
        (reply: { readonly newRunId: string }) => ({ newRunId: reply.newRunId })
      )
    }
    const reply = ({ status }: { readonly status: string }) => ({ status })
    return roll < 0.99
      ? move({ _tag: "CancelRun", namespace: "default", runId }, () => model.stop(runId, "CANCELLED"), reply)
      : move(
          { _tag: "TerminateRun", namespace: "default", runId, reason: "" },
          () => model.stop(runId, "FAILED"),
          reply
        )
  }
}

/** What a store has of a run, in the model's words. */
const stored = Effect.fnUntraced(function* (store: Shape, runId: string) {
  const record = Option.getOrThrow(yield* store.getRunRecord("default", runId))
  const output = Option.getOrUndefined(yield* store.getOutput(runId))
  const { steps: history } = yield* store.history(runId, 0, 1_000_000)
  return {
    status: record.status,
    lease: record.leaseEpoch,
    dueAt: record.dueAt,
    expiries: record.expiries,
    externalId: record.externalId,
    hasEnded: record.finishedAt !== undefined,
    output: record.status === "COMPLETED" ? textOf(output?.data) : undefined,
    steps: history.map((step) => ({
      name: step.name,
      stepId: step.stepId,
      attempt: step.attempt,
      status: step.status,
      // of one that has ended it is history
      dueAt: step.status === "PENDING" || step.status === "RUNNING" ? step.dueAt : undefined,
      sequence: step.sequence,
      cancelled: step.cancelled,
      output: textOf(step.output?.data)
    }))
  }
})

const modelled = (model: Model, runId: string) => {
  const { dueAt, expiries, externalId, lease, output, status, steps: all } = model.run(runId)!
  return {
    status,
    lease,
    dueAt,
    expiries,
    externalId,
    hasEnded: isTerminal(status),
    output,
    steps: [...all.values()].map(({ attempts, cancelled, name, sequence }) => {
      const attempt = attempts.at(-1)!
      return {
        name,
        stepId: attempt.stepId,
        attempt: attempts.length,
        status: attempt.status,
        dueAt: attempt.status === "PENDING" || attempt.status === "RUNNING" ? attempt.dueAt : undefined,
        sequence,
        cancelled,
        output: attempt.output
      }
    })
  }
}

const delays = [0, 0, 0, 0, 1, 50, 100, 1_000, 6_000, 61_000]

/** Carries out one sequence on an empty store. */
export const followsTheModel = Effect.fnUntraced(function* (store: Shape, seed: number, length: number) {
  const chance = new Chance(`model ${seed}`)
  const script = new Script(chance)
  const { model } = script
  const send = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
    const at = { now: model.now, leaseMillis, staleMillis: 30_000, heartbeatMillis: 10_000 }
    const wants = wantsOf(commands, at)
    const submitted = commands.map((command) => ({ command, random: 0.5 }))
    return yield* store.transact(wants, (rows) => {
      const value = decide(wants, rows, submitted, at)
      return { changes: value.changes, value }
    })
  })
  yield* send(script.workers.map((workerId) => script.register(workerId)))
  for (let turn = 0; turn < length; turn++) {
    model.now += chance.pick(delays) ?? 0
    const { command, counts, expected } = script.next()
    const where = () => `seed ${seed}, turn ${turn}: ${JSON.stringify(command)}`
    const said = expected()
    const { changes, replies } = yield* send([command])
    const [reply] = replies
    assert.isDefined(reply)
    const answer: Answer = Result.isSuccess(reply)
      ? counts(reply.success as never)
      : (reply.failure._tag as Extract<Answer, string>)
    assert.deepStrictEqual(answer, said, where())
    if (typeof said === "string") assert.deepStrictEqual(Object.values(changes).flat(), [], where())
    const touched = "runId" in command ? [command.runId] : model.runs.map(({ runId }) => runId)
    for (const runId of touched) {
      if (model.run(runId) !== undefined) {
        assert.deepStrictEqual(yield* stored(store, runId), modelled(model, runId), where())
      }
    }
    const due = model.runs.flatMap(({ dueAt }) => (dueAt === undefined ? [] : [dueAt]))
    const nextDue = yield* store.nextDue(place.namespace, place.taskQueue, workflowTypes)
    assert.strictEqual(
      Option.getOrElse(nextDue, () => Number.POSITIVE_INFINITY),
      Math.min(...due),
      where()
    )
  }
  const counted = yield* store.countRuns(undefined)
  assert.deepStrictEqual(
    Object.fromEntries(counted.map(({ count, status }) => [status, count])),
    Object.fromEntries(
      [...Map.groupBy(model.runs, ({ status }) => status)].map(([status, runs]) => [status, runs.length])
    )
  )
  for (const { runId } of model.runs) assert.deepStrictEqual(yield* stored(store, runId), modelled(model, runId))
  return model.runs.length
})
