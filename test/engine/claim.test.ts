import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import type { Task } from "../../src/engine/Engine.ts"
import { type Bench, claim, makeBench, register, running, settle, start } from "./Bench.ts"
import { payload, read } from "./lifecycle/World.ts"

describe("waiting for a run", () => {
  it.effect("hands out a run that is there, with its input and history", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const workerId = yield* register(bench)
      const run = yield* running(bench, workerId)
      const stepId = yield* bench.engine.newId
      yield* bench.engine.execute({ _tag: "BeginStep", ...run, stepId, name: "a", kind: "FUNCTION", input: payload(1) })
      yield* bench.engine.execute({ _tag: "CompleteStep", ...run, stepId, output: payload(2) })
      yield* bench.engine.execute({ _tag: "ReleaseRun", ...run })
      const task = yield* claim(bench, workerId)
      assert.strictEqual(task?.lease, 2)
      assert.strictEqual(read(task?.run.input), "input")
      assert.deepStrictEqual(
        task?.history.map(({ name, output }) => [name, read(output)]),
        [["a", 2]]
      )
      assert.isFalse(task?.historyMore)
    })
  )

  it.effect("leaves a history that is too long for one page to be asked for", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ historyBytes: 150 })
      const workerId = yield* register(bench)
      const run = yield* running(bench, workerId)
      for (const name of ["a", "b", "c"]) {
        const stepId = yield* bench.engine.newId
        const input = payload("x".repeat(100))
        yield* bench.engine.execute({ _tag: "BeginStep", ...run, stepId, name, kind: "FUNCTION", input })
      }
      yield* bench.engine.execute({ _tag: "ReleaseRun", ...run })
      const task = yield* claim(bench, workerId)
      assert.isTrue(task?.historyMore)
      assert.deepStrictEqual(
        task?.history.map(({ name }) => name),
        ["a"]
      )
      const next = yield* bench.engine.history("default", run.runId, 1)
      assert.deepStrictEqual(
        next.steps.map(({ name }) => name),
        ["b"]
      )
      assert.isTrue(next.hasMore)
      assert.strictEqual((yield* Effect.flip(bench.engine.history("other", run.runId, 0)))._tag, "NotFound")
    })
  )

  it.effect("is woken by a start at once", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const waiting = yield* Effect.forkChild(claim(bench, yield* register(bench)))
      yield* settle
      const { runId } = yield* start(bench)
      assert.strictEqual((yield* Fiber.join(waiting))?.run.runId, runId)
    })
  )

  it.effect("wakes one waiter for each run, and the others go on waiting", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const waiting = yield* Effect.forEach(Array(5).keys(), () =>
        Effect.flatMap(register(bench), (workerId) => Effect.forkChild(claim(bench, workerId)))
      )
      yield* settle
      bench.control.transactions.length = 0
      yield* start(bench)
      yield* settle
      const done = waiting.filter((fiber) => fiber.pollUnsafe() !== undefined)
      assert.strictEqual(done.length, 1)
      // One for the start and one for the claim.
      assert.strictEqual(bench.control.transactions.length, 2)
      yield* Effect.forEach(Array(4).keys(), () => start(bench), { concurrency: "unbounded" })
      const tasks = yield* Effect.forEach(waiting, Fiber.join)
      assert.strictEqual(new Set(tasks.map((task) => task?.run.runId)).size, 5)
    })
  )

  it.effect("does not miss a run that is started while the waiter asks", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const workerId = yield* register(bench)
      bench.control.gate.closeUnsafe()
      const waiting = yield* Effect.forkChild(claim(bench, workerId))
      yield* settle
      const starting = yield* Effect.forkChild(start(bench))
      yield* settle
      bench.control.gate.openUnsafe()
      const { runId } = yield* Fiber.join(starting)
      assert.strictEqual((yield* Fiber.join(waiting))?.run.runId, runId)
    })
  )

  it.effect("does not miss a run that is started while the waiter reads when to look again", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      bench.control.readGate.closeUnsafe()
      const waiting = yield* Effect.forkChild(claim(bench, yield* register(bench)))
      yield* settle
      const { runId } = yield* start(bench)
      bench.control.readGate.openUnsafe()
      assert.strictEqual((yield* Fiber.join(waiting))?.run.runId, runId)
    })
  )

  it.effect("leaves a run that another server is taking alone for a moment", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const workerId = yield* register(bench)
      const { runId } = yield* start(bench)
      bench.control.hideClaims = true
      const waiting = yield* Effect.forkChild(claim(bench, workerId))
      yield* settle
      bench.control.transactions.length = 0
      yield* TestClock.adjust(100)
      assert.isAtMost(bench.control.transactions.length, 20)
      assert.isAtLeast(bench.control.transactions.length, 5)
      // one that hangs is not asked for without end
      yield* TestClock.adjust("20 seconds")
      bench.control.transactions.length = 0
      yield* TestClock.adjust("10 seconds")
      assert.isAtMost(bench.control.transactions.length, 20)
      bench.control.hideClaims = false
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(waiting))?.run.runId, runId)
    })
  )

  it.effect("gives each run to a waiter that can take it, whatever the others take", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const both = yield* register(bench, ["order", "other"])
      const one = yield* register(bench, ["order"])
      // Whoever knows both is announced the order first, and then also finds the other.
      const wide = yield* Effect.forkChild(claim(bench, both, { workflowTypes: ["order", "other"] }))
      yield* settle
      const narrow = yield* Effect.forkChild(claim(bench, one))
      yield* settle
      bench.control.gate.closeUnsafe()
      const starts = yield* Effect.forkChild(
        Effect.all([start(bench, { workflowType: "other" }), start(bench)], { concurrency: "unbounded" })
      )
      yield* settle
      bench.control.gate.openUnsafe()
      yield* Fiber.join(starts)
      const taken = [(yield* Fiber.join(wide))?.run.workflowType, (yield* Fiber.join(narrow))?.run.workflowType]
      assert.deepStrictEqual(taken, ["other", "order"])
    })
  )

  it.effect("passes on what was announced to a waiter that is gone", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const [first, second] = [yield* register(bench), yield* register(bench)]
      const gone = yield* Effect.forkChild(claim(bench, first))
      yield* settle
      const waiting = yield* Effect.forkChild(claim(bench, second))
      yield* settle
      const starting = yield* Effect.forkChild(start(bench))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      const { runId } = yield* Fiber.join(starting)
      assert.strictEqual((yield* Fiber.join(waiting))?.run.runId, runId)
    })
  )

  it.effect("ends with nothing when its time is over", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ staleMillis: 1_000_000 })
      const workerId = yield* register(bench)
      const short = yield* Effect.forkChild(claim(bench, workerId, { timeoutMillis: 1_500 }))
      const long = yield* Effect.forkChild(claim(bench, workerId, { timeoutMillis: 1_000_000 }))
      yield* TestClock.adjust(1_499)
      assert.isUndefined(short.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isUndefined(yield* Fiber.join(short))
      yield* TestClock.adjust(60_000)
      assert.isUndefined(yield* Fiber.join(long))
      assert.isUndefined(yield* claim(bench, workerId, { timeoutMillis: 0 }))
    })
  )

  it.effect("ends for a worker that drains or leaves meanwhile", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      for (const drain of [true, false]) {
        const workerId = yield* register(bench)
        const waiting = yield* Effect.forkChild(claim(bench, workerId))
        yield* settle
        yield* bench.engine.execute({ _tag: "DeregisterWorker", workerId, drain })
        const failure = yield* Effect.flip(Fiber.join(waiting))
        assert.strictEqual(failure._tag, "PreconditionFailed")
      }
    })
  )
})

describe("a run claimed for a caller that is gone", () => {
  it.effect("is put back when the caller is interrupted before the commit", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const [first, second] = [yield* register(bench), yield* register(bench)]
      const { runId } = yield* start(bench)
      bench.control.gate.closeUnsafe()
      const gone = yield* Effect.forkChild(claim(bench, first))
      yield* settle
      yield* Fiber.interrupt(gone)
      bench.control.gate.openUnsafe()
      const task = yield* claim(bench, second)
      assert.strictEqual(task?.run.runId, runId)
      assert.strictEqual(task?.lease, 2)
    })
  )

  it.effect("is put back whenever the caller is interrupted, and never lost", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const [first, second] = [yield* register(bench), yield* register(bench)]
      for (let turns = 0; turns < 30; turns++) {
        const { runId } = yield* start(bench)
        const caller = yield* Effect.forkChild(claim(bench, first))
        yield* Effect.repeat(Effect.yieldNow, { times: turns })
        yield* Fiber.interrupt(caller)
        const exit = yield* Fiber.await(caller)
        const task = exit._tag === "Success" ? exit.value : yield* claim(bench, second)
        assert.strictEqual(task?.run.runId, runId, `after ${turns} turns`)
        const run = { namespace: "default", runId, lease: task?.lease ?? -1 }
        yield* bench.engine.execute({ _tag: "CompleteRun", ...run, output: payload(null) })
      }
    })
  )

  it.effect("is put back when it can't be read", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const workerId = yield* register(bench)
      const { runId } = yield* start(bench)
      bench.control.failReads = true
      assert.strictEqual((yield* Effect.flip(claim(bench, workerId)))._tag, "Unavailable")
      bench.control.failReads = false
      const task = yield* claim(bench, workerId)
      assert.strictEqual(task?.run.runId, runId)
      assert.strictEqual(task?.lease, 2)
    })
  )

  it.effect("leaves a worker that lost its lease with nothing to write", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ staleMillis: 1_000_000 })
      const workerId = yield* register(bench)
      const run = yield* running(bench, workerId)
      yield* TestClock.adjust(60_000)
      assert.strictEqual((yield* claim(bench, workerId))?.lease, 2)
      const stepId = yield* bench.engine.newId
      const failure = yield* Effect.flip(
        bench.engine.execute({ _tag: "BeginStep", ...run, stepId, name: "a", kind: "FUNCTION", input: payload(1) })
      )
      assert.deepStrictEqual(failure.metadata, { "kagzi.lease": "lost" })
      assert.deepStrictEqual((yield* bench.engine.history("default", run.runId, 0)).steps, [])
    })
  )
})

/** A worker with room for ten runs over an open connection, and the tasks that it is sent. */
const serve = Effect.fnUntraced(function* (bench: Bench, workflowTypes: ReadonlyArray<string> = ["order"]) {
  const workerId = yield* register(bench, workflowTypes)
  const tasks: Array<Task> = []
  const nothing = () => undefined
  const request = { namespace: "default", workerId, taskQueue: "queue", workflowTypes, capacity: 10 }
  const serving = bench.engine.servings.serve(request, [], {
    hasRoom: Latch.makeUnsafe(true),
    onTask: (task) => tasks.push(task),
    onLost: nothing,
    onDrain: nothing,
    onForgotten: nothing,
    onReplaced: nothing
  })
  yield* settle
  return { serving, tasks }
})

describe("workers that are served over open connections", () => {
  it.effect("share what is there at once, although one takes more types than the other", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const leaving = yield* register(bench)
      const runs = yield* Effect.forEach(Array.from({ length: 6 }), () => running(bench, leaving))
      const one = yield* serve(bench)
      const other = yield* serve(bench, ["order", "refund"])
      yield* bench.engine.execute({ _tag: "DeregisterWorker", workerId: leaving, drain: false })
      yield* settle
      // no time has passed, for which any of them could have waited
      assert.sameMembers(
        [...one.tasks, ...other.tasks].map(({ run }) => run.runId),
        runs.map(({ runId }) => runId)
      )
    })
  )

  it.effect("hands nothing to a worker that is silent, whose runs go to others, until it is heard of", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ heartbeatMillis: 1_000, leaseMillis: 2_000, staleMillis: 3_600_000 })
      const { engine } = bench
      const leases = ({ tasks }: Effect.Success<ReturnType<typeof serve>>) => tasks.map(({ lease }) => lease)
      const silent = yield* serve(bench)
      silent.serving.heardAt = yield* engine.now
      yield* start(bench)
      yield* settle
      assert.deepStrictEqual(leases(silent), [1])
      // its lease ends, and so do those that it would be given
      for (let n = 0; n < 5; n++) {
        yield* TestClock.adjust("2 seconds")
        yield* settle
      }
      yield* start(bench)
      yield* settle
      assert.deepStrictEqual(leases(silent), [1])

      const other = yield* serve(bench)
      other.serving.heardAt = yield* engine.now
      // what never began comes with its input at once, the other one has to be read
      assert.sameMembers(leases(other), [2, 1])
      yield* start(bench)
      yield* settle
      assert.sameMembers(leases(other), [2, 1, 1])

      other.serving.drain()
      yield* start(bench)
      yield* settle
      silent.serving.heardAt = yield* engine.now
      yield* settle
      assert.deepStrictEqual(leases(silent), [1, 1])
    })
  )

  it.effect("hands runs to a worker for as long as it was told elsewhere that it may be silent", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ heartbeatMillis: 1_000, leaseMillis: 3_600_000, staleMillis: 3_600_000 })
      const { serving, tasks } = yield* serve(bench)
      serving.patienceMillis = 20_000
      serving.heardAt = yield* bench.engine.now
      yield* TestClock.adjust("19 seconds")
      yield* settle
      yield* start(bench)
      yield* settle
      assert.lengthOf(tasks, 1)
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* start(bench)
      yield* settle
      assert.lengthOf(tasks, 1)
    })
  )
})
