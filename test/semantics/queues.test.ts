import { assert, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { KagziClient, Step, Worker, Workflow } from "../../src/index.ts"
import { client } from "../support/harness.ts"

const Busy = Workflow.make("busy", { taskQueue: "busy", output: Schema.String })
const Idle = Workflow.make("idle", { taskQueue: "idle", output: Schema.String })

it.live("an idle queue keeps no room from a busy one, however little there is", () =>
  Effect.gen(function* () {
    let active = 0
    let most = 0
    const step = Effect.acquireUseRelease(
      Effect.sync(() => {
        most = Math.max(most, ++active)
      }),
      () => Effect.delay(Effect.succeed("done"), 2),
      () =>
        Effect.sync(() => {
          active--
        })
    )
    yield* Effect.forkChild(
      Worker.run({
        taskQueue: "elsewhere",
        workflows: [Idle.implement(() => Step.run("step", step)), Busy.implement(() => Step.run("step", step))],
        maxConcurrent: 1,
        gracePeriod: 0
      })
    )
    const results = yield* Effect.all(
      Array.from({ length: 6 }, () => Busy.execute(undefined)),
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual(
      results,
      Array.from({ length: 6 }, () => "done")
    )
    assert.strictEqual(yield* Idle.execute(undefined), "done")
    assert.strictEqual(most, 1)
  }).pipe(Effect.provide(client))
)

it.live("listings of steps tell what they wait for and which lost a race", () =>
  Effect.gen(function* () {
    const live = Busy.implement(() =>
      Effect.gen(function* () {
        yield* Workflow.race(Step.run("quick", Effect.succeed("quick")), Effect.as(Workflow.sleep("1 hour"), "slept"))
        yield* Workflow.sleep("1 hour")
        return "done"
      })
    )
    yield* Effect.forkChild(Worker.run({ taskQueue: "busy", workflows: [live], gracePeriod: 0 }))
    const run = yield* Busy.start(undefined)
    while ((yield* run.status) !== "SLEEPING") yield* Effect.sleep(1)
    const steps = yield* Stream.runCollect((yield* KagziClient).workflows.steps(run.runId))
    assert.deepStrictEqual(
      steps.map(({ cancelled, dueAt, name, status }) => [name, status, cancelled, dueAt !== undefined]),
      [
        ["quick@1.0", "COMPLETED", false, false],
        ["sleep@1.1", "FAILED", true, false],
        ["sleep", "RUNNING", false, true]
      ]
    )
  }).pipe(Effect.provide(client))
)
