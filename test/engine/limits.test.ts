/** Workers that wait while a limit holds runs up. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Task } from "../../src/engine/Engine.ts"
import { type Bench, claim, makeBench, register, settle, start } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"

const types = ["order", "mail"]

const held = (task: Task | undefined) => {
  assert.isDefined(task)
  return { namespace: "default", runId: task.run.runId, lease: task.lease }
}

const complete = (bench: Bench, task: Task | undefined) =>
  bench.engine.execute({ _tag: "CompleteRun", ...held(task), output: payload(null) })

/** A worker that waits, as far as it gets without time passing. */
const waiting = Effect.fnUntraced(function* (bench: Bench, workerId: string, workflowTypes = types) {
  const fiber = yield* Effect.forkChild(claim(bench, workerId, { workflowTypes }))
  yield* settle
  return fiber
})

/** An engine with room for one run, which is taken, and with another that is due. */
const full = Effect.fnUntraced(function* (fields: Parameters<typeof register>[2] = { queueConcurrencyLimit: 1 }) {
  const bench = yield* makeBench({ staleMillis: 1_000_000, pollTimeoutMillis: 1_000_000 })
  const workerId = yield* register(bench, types, fields)
  yield* start(bench)
  const task = yield* claim(bench, workerId, { workflowTypes: types })
  const { runId } = yield* start(bench)
  return { bench, workerId, task, runId }
})

describe("a worker that finds only runs that a limit holds up", () => {
  it.effect("waits without asking again and again, also when more of them come", () =>
    Effect.gen(function* () {
      const { bench, workerId } = yield* full()
      const fiber = yield* waiting(bench, workerId)
      bench.control.transactions.length = 0
      yield* TestClock.adjust(30_000)
      assert.lengthOf(bench.control.transactions, 0)
      yield* start(bench)
      yield* start(bench, { workflowType: "mail" })
      yield* settle
      assert.lengthOf(bench.control.transactions, 2)
      assert.isUndefined(fiber.pollUnsafe())
    })
  )

  const releases: ReadonlyArray<
    readonly [
      name: string,
      release: (of: { bench: Bench; task: Task | undefined; workerId: string }) => Effect.Effect<unknown, unknown>
    ]
  > = [
    ["run ends", ({ bench, task }) => complete(bench, task)],
    ["run is cancelled", ({ bench, task }) => bench.engine.execute({ _tag: "CancelRun", ...held(task) })],
    [
      "run is parked",
      Effect.fnUntraced(function* ({ bench, task }) {
        const stepId = yield* bench.engine.newId
        const nap = { stepId, name: "nap", kind: "SLEEP", input: payload(null), sleep: { millis: 900_000 } } as const
        yield* bench.engine.execute({ _tag: "BeginStep", ...held(task), ...nap })
        yield* bench.engine.execute({ _tag: "SuspendRun", ...held(task) })
      })
    ],
    [
      "limit is raised",
      ({ bench }) => register(bench, types, { hostname: "h", pid: 5, instanceId: "same", queueConcurrencyLimit: 2 })
    ],
    [
      "worker that declared it is gone",
      Effect.fnUntraced(function* ({ bench }) {
        const same = { hostname: "h", pid: 5, instanceId: "same", queueConcurrencyLimit: 1 }
        yield* bench.engine.execute({
          _tag: "DeregisterWorker",
          workerId: yield* register(bench, types, same),
          drain: false
        })
      })
    ]
  ]
  for (const [name, release] of releases) {
    it.effect(`is woken at once when the ${name}`, () =>
      Effect.gen(function* () {
        const { bench, runId, task } = yield* full({
          hostname: "h",
          pid: 5,
          instanceId: "same",
          queueConcurrencyLimit: 1
        })
        const workerId = yield* register(bench, types)
        const fiber = yield* waiting(bench, workerId)
        assert.isUndefined(fiber.pollUnsafe())
        yield* release({ bench, task, workerId })
        // The run of a worker that is gone is claimable too.
        assert.include([runId, task?.run.runId], (yield* Fiber.join(fiber))?.run.runId)
      })
    )
  }

  it.effect("takes the slot of a lease that runs out, at that moment", () =>
    Effect.gen(function* () {
      const { bench, task, workerId } = yield* full()
      const fiber = yield* waiting(bench, workerId)
      yield* TestClock.adjust(59_000)
      yield* bench.engine.execute({ _tag: "Heartbeat", workerId, held: [held(task)] })
      yield* TestClock.adjust(59_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(yield* Fiber.join(fiber))
    })
  )

  it.effect("is woken alone for one free slot, and the next of them when it does not use it", () =>
    Effect.gen(function* () {
      const { bench, task, workerId } = yield* full()
      // The first takes only what nobody has.
      const mail = yield* waiting(bench, workerId, ["mail"])
      yield* start(bench, { workflowType: "mail" })
      yield* settle
      const other = yield* waiting(bench, workerId)
      const third = yield* waiting(bench, workerId)
      yield* complete(bench, task)
      yield* settle
      const done = [mail, other, third].filter((fiber) => fiber.pollUnsafe() !== undefined)
      assert.lengthOf(done, 1)
      // Nothing is lost with a waiter that goes away.
      const next = yield* Effect.forkChild(complete(bench, yield* Fiber.join(done[0]!)))
      const [gone, stays] = [mail, other, third].filter((fiber) => !done.includes(fiber))
      yield* Fiber.interrupt(gone!)
      yield* Fiber.join(next)
      yield* settle
      const found = stays!.pollUnsafe()
      assert.isTrue(found !== undefined || gone!.pollUnsafe()?._tag === "Success")
    })
  )

  it.effect("is woken by a slot that becomes free while it asks", () =>
    Effect.gen(function* () {
      const { bench, runId, task, workerId } = yield* full()
      bench.control.readGate.closeUnsafe()
      const fiber = yield* waiting(bench, workerId)
      yield* complete(bench, task)
      bench.control.readGate.openUnsafe()
      assert.strictEqual((yield* Fiber.join(fiber))?.run.runId, runId)
    })
  )

  it.effect("is woken by runs of other types, where the limit is that of a type", () =>
    Effect.gen(function* () {
      const { bench, workerId } = yield* full({ workflowTypeConcurrency: { order: 1 } })
      const fiber = yield* waiting(bench, workerId)
      yield* start(bench)
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      const { runId } = yield* start(bench, { workflowType: "mail" })
      assert.strictEqual((yield* Fiber.join(fiber))?.run.runId, runId)
    })
  )
})

describe("many workers under limits", () => {
  it.effect("never exceed them, reach them, and finish everything", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const active: Record<string, number> = { order: 0, mail: 0 }
      let most = 0
      let mostOrders = 0
      let finished = 0
      const work = Effect.fnUntraced(function* (workerId: string) {
        for (;;) {
          const task = yield* claim(bench, workerId, { workflowTypes: types })
          const type = task!.run.workflowType
          active[type]!++
          most = Math.max(most, active.order! + active.mail!)
          mostOrders = Math.max(mostOrders, active.order!)
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          active[type]!--
          yield* complete(bench, task)
          finished++
        }
      })
      const workers = yield* Effect.forEach(Array(12).keys(), (index) =>
        Effect.flatMap(
          register(bench, types, { queueConcurrencyLimit: 5 + index, workflowTypeConcurrency: { order: 2 } }),
          (workerId) => Effect.forkChild(work(workerId))
        )
      )
      yield* Effect.forEach(
        Array(200).keys(),
        (index) => start(bench, { workflowType: index % 4 === 0 ? "mail" : "order" }),
        { concurrency: 20 }
      )
      while (finished < 200) yield* Effect.yieldNow
      assert.deepStrictEqual([most, mostOrders], [5, 2])
      yield* Fiber.interruptAll(workers)
    })
  )
})
