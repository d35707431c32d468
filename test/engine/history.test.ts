import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { claim, makeBench, register, running } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"

const mebibyte = 1_048_576

it.effect("a page of history, and a task, is ended by large failures as by large payloads", () =>
  Effect.gen(function* () {
    const bench = yield* makeBench()
    const { engine } = bench
    const workerId = yield* register(bench)
    const run = yield* running(bench, workerId)
    const error = {
      code: "Internal",
      message: "x".repeat(2 * mebibyte),
      nonRetryable: true,
      subject: "",
      subjectId: "",
      metadata: {}
    } as const
    for (const name of ["a", "b", "c"]) {
      const { step } = yield* engine.execute({
        _tag: "BeginStep",
        ...run,
        stepId: yield* engine.newId,
        name,
        kind: "FUNCTION",
        input: payload("x".repeat(mebibyte)),
        retryPolicy: RetryPolicy.none
      })
      const { stepId } = step
      yield* engine.execute({ _tag: "FailStep", ...run, stepId, error, nextStepId: yield* engine.newId })
    }
    const names: Array<string> = []
    let after = 0
    for (let more = true; more; ) {
      const page = yield* engine.history(run.namespace, run.runId, after)
      assert.strictEqual(page.steps.length, 1)
      for (const step of page.steps) names.push(step.name)
      after = page.steps.at(-1)?.position ?? 0
      more = page.hasMore
    }
    assert.deepStrictEqual(names, ["a", "b", "c"])
    yield* engine.execute({ _tag: "ReleaseRun", ...run })
    const task = yield* claim(bench, workerId)
    assert.deepStrictEqual([task?.history.length, task?.historyMore], [0, true])
  })
)

it.effect("a page of history is ended by many failures that are small", () =>
  Effect.gen(function* () {
    const bench = yield* makeBench({ historyBytes: 10_000 })
    const { engine } = bench
    const run = yield* running(bench, yield* register(bench))
    const error = {
      code: "Internal",
      message: "",
      nonRetryable: true,
      subject: "",
      subjectId: "",
      metadata: { "kagzi.error": "x".repeat(4_000) }
    } as const
    for (let index = 0; index < 4; index++) {
      const { step } = yield* engine.execute({
        _tag: "BeginStep",
        ...run,
        stepId: yield* engine.newId,
        name: `step ${index}`,
        kind: "FUNCTION",
        input: payload(null),
        retryPolicy: RetryPolicy.none
      })
      const { stepId } = step
      yield* engine.execute({ _tag: "FailStep", ...run, stepId, error, nextStepId: yield* engine.newId })
    }
    const page = yield* engine.history(run.namespace, run.runId, 0)
    assert.deepStrictEqual([page.steps.length, page.hasMore], [2, true])
  })
)
