import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { WorkingSet } from "../../../src/engine/lifecycle/WorkingSet.ts"
import { wantsOf } from "../../../src/engine/lifecycle/wants.ts"
import { detail, makeWorld, payload, read, refusal } from "./World.ts"

describe("a batch", () => {
  it.effect("lets later commands see earlier ones and writes each row once", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const begin = world.beginCommand(run, "a")
      const replies = world.batch([
        begin,
        { _tag: "CompleteStep", ...run, stepId: begin.stepId, output: payload(1) },
        world.beginCommand(run, "a"),
        { _tag: "CompleteRun", ...run, output: payload(2) }
      ])
      assert.deepStrictEqual(
        replies.map((reply) => reply._tag),
        ["Success", "Success", "Success", "Success"]
      )
      assert.strictEqual(world.changes?.insertSteps.length, 1)
      assert.strictEqual(world.changes?.updateSteps.length, 0)
      assert.strictEqual(world.changes?.updateRuns.length, 1)
      assert.strictEqual(read(world.history(run)[0]?.output), 1)
      assert.strictEqual(read(world.read(run.runId).output), 2)
    })
  )

  it.effect("completes the attempt that is meant, whatever else the batch begins", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const first = world.begin(run, "a").step.stepId
      world.fail(run, first, { retryAfterMillis: 0 })
      // the same messages again, because their answers were lost
      const [begun, completed] = world.batch([
        world.beginCommand(run, "a", { stepId: first }),
        { _tag: "CompleteStep", ...run, stepId: first, output: payload(1) }
      ])
      assert.isTrue(begun !== undefined && Result.isSuccess(begun))
      refusal(completed!, "PreconditionFailed", "FAILED")
    })
  )

  it.effect("begins no step under an id that another has, and leaves that one alone", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { run: other } = world.running()
      const { stepId } = world.begin(run, "a").step
      const again = world.beginCommand(other, "b", { stepId })
      const complete = { _tag: "CompleteStep", ...run, stepId, output: payload(1) } as const
      for (const batch of [
        [again, complete],
        [complete, again]
      ] as const) {
        const replies = world.batch(batch)
        refusal(replies[batch.indexOf(again as never)]!, "InvalidArgument", stepId)
        assert.isTrue(Result.isSuccess(replies[batch.indexOf(complete as never)]!))
      }
      const failing = world.begin(other, "c").step.stepId
      const fail = { _tag: "FailStep", ...other, stepId: failing, error: detail(), nextStepId: stepId } as const
      refusal(world.batch([complete, fail])[1]!, "InvalidArgument", stepId)
      assert.deepStrictEqual(
        [...world.history(run), ...world.history(other)].map(({ name, status }) => [name, status]),
        [
          ["a", "COMPLETED"],
          ["c", "RUNNING"]
        ]
      )
    })
  )

  it.effect("inserts a run that is started and ended in it once", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const start = world.startCommand()
      world.batch([start, { _tag: "CancelRun", namespace: "default", runId: start.runId }])
      assert.strictEqual(world.changes?.insertRuns.length, 1)
      assert.strictEqual(world.changes?.updateRuns.length, 0)
      assert.strictEqual(world.run(start).status, "CANCELLED")
    })
  )

  it.effect("carries on after a refused command as if it had not been there", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const replies = world.batch([
        world.beginCommand(run, "a"),
        world.beginCommand(run, "a", { kind: "SLEEP", sleep: { millis: 5 } }),
        world.beginCommand({ ...run, lease: 99 }, "b"),
        world.beginCommand(run, "c")
      ])
      assert.deepStrictEqual(
        replies.map((reply) => reply._tag),
        ["Success", "Failure", "Failure", "Success"]
      )
      assert.deepStrictEqual(
        world.history(run).map(({ name, position }) => [name, position]),
        [
          ["a", 1],
          ["c", 2]
        ]
      )
    })
  )

  it("undoes what a failing command wrote, and nothing of those before it", () => {
    const wants = wantsOf([], { now: 0, staleMillis: 0 })
    const set = new WorkingSet(wants, {
      namespaces: [],
      runs: [],
      steps: [],
      workers: [],
      claims: [],
      occupancy: [],
      schedules: [],
      slots: []
    })
    const namespace = (name: string, displayName: string) => ({
      id: name,
      namespace: name,
      displayName,
      description: "",
      enabled: true,
      createdAt: 0,
      updatedAt: 0
    })
    set.attempt(() => Result.succeed(set.putNamespace(namespace("a", "kept"))))
    set.attempt(() => {
      set.putNamespace(namespace("a", "undone"))
      set.putNamespace(namespace("b", "undone"))
      set.putInput("run", payload(1))
      set.copyInput("copy", "other")
      set.putOutput("run", payload(2))
      return Result.fail("refused")
    })
    const changes = set.changes()
    assert.deepStrictEqual(changes.insertNamespaces, [namespace("a", "kept")])
    assert.deepStrictEqual([changes.inputs, changes.copyInputs, changes.outputs], [[], [], []])
    assert.isUndefined(set.namespace("b"))
  })
})
