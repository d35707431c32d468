/** The limits on how many runs of a queue, and of a type, execute at once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import type { Claimed, Command, Reply } from "../../../src/engine/Command.ts"
import type { Decision } from "../../../src/engine/lifecycle/failures.ts"
import { heldUp } from "../../../src/engine/lifecycle/limits.ts"
import { makeWorld, payload, refusal, type World } from "./World.ts"

const types = ["order", "mail"]

const claimCommand = (world: World, workerId: string, workflowTypes: ReadonlyArray<string> = types) => ({
  ...world.claimCommand(workerId),
  workflowTypes
})

const claim = (world: World, workerId: string): Claimed | undefined => world.send(claimCommand(world, workerId)).runs[0]

const got = (reply: Decision<Reply[Command["_tag"]]> | undefined) =>
  (Result.getOrThrow(reply!) as Reply["ClaimRun"]).runs[0]

/** The types of the runs that so many claims get, in one batch or one after the other. */
const claimed = (world: World, workerId: string, count: number, joined = false) => {
  const commands = Array.from({ length: count }, () => claimCommand(world, workerId))
  const replies = joined ? world.batch(commands) : commands.map((command) => world.try(command))
  return replies.map((reply) => got(reply)?.run.workflowType)
}

const startAll = (world: World, workflowTypes: ReadonlyArray<string>) =>
  workflowTypes.map((workflowType) => {
    world.now++
    return world.start({ workflowType })
  })

const register = (world: World, fields: Partial<Extract<Command, { _tag: "RegisterWorker" }>> = {}) =>
  world.register({ workflowTypes: types, ...fields })

describe("the limit of a queue", () => {
  for (const joined of [false, true]) {
    it.effect(`is kept ${joined ? "within a batch" : "from batch to batch"}, over all types and workers`, () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const workerId = register(world)
        register(world, { queueConcurrencyLimit: 2 })
        startAll(world, ["order", "mail", "order", "order"])
        world.start({ taskQueue: "elsewhere" })
        assert.deepStrictEqual(claimed(world, workerId, 4, joined), ["order", "mail", undefined, undefined])
      })
    )
  }

  it.effect("is the smallest that a worker of the queue declares, as long as it is not offline", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world, { queueConcurrencyLimit: 3 })
      const strict = register(world, { queueConcurrencyLimit: 1 })
      register(world, { taskQueue: "elsewhere", queueConcurrencyLimit: 1 })
      world.send({ _tag: "DeregisterWorker", workerId: strict, drain: true })
      startAll(world, ["order", "order", "order", "order"])
      assert.deepStrictEqual(claimed(world, workerId, 2), ["order", undefined])
      world.send({ _tag: "DeregisterWorker", workerId: strict, drain: false })
      assert.deepStrictEqual(claimed(world, workerId, 3), ["order", "order", undefined])
    })
  )

  it.effect("is another when its worker registers again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const key = { hostname: "h", pid: 7, instanceId: "i" }
      const workerId = register(world, { ...key, queueConcurrencyLimit: 1 })
      startAll(world, Array(5).fill("order"))
      assert.deepStrictEqual(claimed(world, workerId, 2), ["order", undefined])
      assert.strictEqual(register(world, { ...key, queueConcurrencyLimit: 3 }), workerId)
      assert.deepStrictEqual(claimed(world, workerId, 3), ["order", "order", undefined])
      register(world, { ...key, queueConcurrencyLimit: 2 })
      assert.deepStrictEqual(claimed(world, workerId, 1), [undefined])
      register(world, key)
      assert.deepStrictEqual(claimed(world, workerId, 3), ["order", "order", undefined])
    })
  )

  it.effect("holds for claims of the batch in which it is declared", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world)
      startAll(world, ["order", "order"])
      const [, first, second] = world.batch([
        {
          ...({ _tag: "RegisterWorker", workerId: world.id(), namespaceId: world.id() } as const),
          ...{ namespace: "default", taskQueue: "queue", hostname: "h", pid: 9, instanceId: "", version: "1" },
          ...{ workflowTypes: types, labels: {}, queueConcurrencyLimit: 1, workflowTypeConcurrency: {} }
        },
        claimCommand(world, workerId),
        claimCommand(world, workerId)
      ])
      assert.isAtMost([first, second].filter((reply) => got(reply) !== undefined).length, 1)
      assert.deepStrictEqual(claimed(world, workerId, 2).filter((type) => type !== undefined).length, 1)
    })
  )

  it.effect("counts no lease that has ended, and the run of such a lease can take its slot again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world, { queueConcurrencyLimit: 1 })
      startAll(world, ["order", "order"])
      const first = claim(world, workerId)
      world.now += 59_999
      assert.deepStrictEqual(claimed(world, workerId, 1), [undefined])
      world.now += 1
      const second = claim(world, workerId)
      assert.isDefined(second)
      assert.notStrictEqual(second?.run.runId, first?.run.runId)
      world.send({ _tag: "CompleteRun", ...second!.run, lease: second!.lease, output: payload(null) })
      assert.strictEqual(claim(world, workerId)?.run.runId, first?.run.runId)
    })
  )

  for (const limits of [{ queueConcurrencyLimit: 1 }, { workflowTypeConcurrency: { order: 1 } }]) {
    for (const declares of [true, false]) {
      const who = declares ? "a worker" : "a worker that declares none itself"
      it.effect(
        `does not let ${who} renew a lease that has ended and whose slot is taken, by ${Object.keys(limits)}`,
        () =>
          Effect.gen(function* () {
            const world = yield* makeWorld
            const late = register(world, declares ? limits : {})
            const other = register(world, limits)
            startAll(world, ["order", "order"])
            const { lease, run } = claim(world, late)!
            world.now += 60_000
            assert.notStrictEqual(claim(world, other)?.run.runId, run.runId)
            const held = [{ runId: run.runId, lease }]
            assert.deepStrictEqual(world.send({ _tag: "Heartbeat", workerId: late, held }).lost, held)
            world.send({ _tag: "Heartbeat", workerId: late })
            assert.isAtMost(world.run(run).dueAt ?? 0, world.now)
            assert.deepStrictEqual(claimed(world, late, 1), [undefined])
          })
      )
    }
  }

  for (const named of [true, false]) {
    it.effect(`lets leases that have ended be renewed as far as there is room, ${named ? "" : "not "}named`, () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const workerId = register(world, { queueConcurrencyLimit: 2 })
        startAll(world, ["order", "order", "order"])
        const tasks = [1, 2].map(() => claim(world, workerId)!)
        world.now += 60_000
        const other = claim(world, register(world))!
        assert.notInclude(
          tasks.map(({ run }) => run.runId),
          other.run.runId
        )
        const held = tasks.map(({ lease, run }) => ({ runId: run.runId, lease }))
        const { lost } = world.send({ _tag: "Heartbeat", workerId, ...(named ? { held } : {}) })
        if (named) assert.deepStrictEqual(lost, held.slice(1))
        const ends = [...tasks, other].map(({ run }) => world.run(run).dueAt ?? 0)
        assert.lengthOf(
          ends.filter((dueAt) => dueAt > world.now),
          2
        )
      })
    )
  }

  const endings: ReadonlyArray<
    readonly [name: string, end: (world: World, run: { runId: string; lease: number }) => void]
  > = [
    ["completes", (world, run) => world.send({ _tag: "CompleteRun", ...of(run), output: payload(null) })],
    ["is cancelled", (world, run) => world.send({ _tag: "CancelRun", ...of(run) })],
    ["is terminated", (world, run) => world.send({ _tag: "TerminateRun", ...of(run), reason: "" })],
    ["is given back", (world, run) => world.send({ _tag: "ReleaseRun", ...of(run) })],
    [
      "is parked",
      (world, run) => {
        world.begin(of(run), "nap", { kind: "SLEEP", sleep: { millis: 1_000 } })
        world.send({ _tag: "SuspendRun", ...of(run) })
      }
    ]
  ]
  for (const [name, end] of endings) {
    it.effect(`has room again when a run ${name}, in that very batch too`, () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const workerId = register(world, { queueConcurrencyLimit: 1 })
        startAll(world, ["order", "mail"])
        const { lease, run } = claim(world, workerId)!
        assert.deepStrictEqual(claimed(world, workerId, 1), [undefined])
        end(world, { runId: run.runId, lease })
        assert.isDefined(claimed(world, workerId, 1)[0])
        assert.deepStrictEqual(claimed(world, workerId, 1), [undefined])
      })
    )
  }

  it.effect("has room again in the batch in which a run ends, and not after a command that failed", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world, { queueConcurrencyLimit: 1 })
      startAll(world, ["order", "mail"])
      const { lease, run } = claim(world, workerId)!
      const complete = { _tag: "CompleteRun", ...of({ runId: run.runId, lease }), output: payload(null) } as const
      const [stale, held, done, taken, full] = world.batch([
        { ...complete, lease: lease + 1 },
        claimCommand(world, workerId),
        complete,
        claimCommand(world, workerId),
        claimCommand(world, workerId)
      ])
      refusal(stale!, "PreconditionFailed")
      assert.isUndefined(got(held))
      assert.isTrue(Result.isSuccess(done!))
      assert.isDefined(got(taken))
      assert.isUndefined(got(full))
    })
  )
})

const of = ({ lease, runId }: { readonly runId: string; readonly lease: number }) => ({
  namespace: "default",
  runId,
  lease
})

describe("the limit of a type", () => {
  it.effect("keeps runs of that type back, and starves no other, however many of them are first in line", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world, { workflowTypeConcurrency: { order: 2 } })
      startAll(world, [...Array(20).fill("order"), "mail", "mail"])
      assert.deepStrictEqual(claimed(world, workerId, 5), ["order", "order", "mail", "mail", undefined])
    })
  )

  it.effect("counts beside that of the queue", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = register(world, { queueConcurrencyLimit: 3, workflowTypeConcurrency: { order: 1, mail: 5 } })
      startAll(world, ["order", "order", "mail", "mail", "mail"])
      assert.deepStrictEqual(claimed(world, workerId, 5, true), ["order", "mail", "mail", undefined, undefined])
    })
  )

  it.effect("is refused when it is not 1 or more", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const command = (fields: Partial<Extract<Command, { _tag: "RegisterWorker" }>>) =>
        world.try({
          ...({ _tag: "RegisterWorker", workerId: world.id(), namespaceId: world.id() } as const),
          ...{ namespace: "default", taskQueue: "queue", hostname: "h", pid: 9, instanceId: "", version: "1" },
          ...{ workflowTypes: types, labels: {}, workflowTypeConcurrency: {} },
          ...fields
        })
      refusal(command({ queueConcurrencyLimit: 0 }), "InvalidArgument", "queue_concurrency_limit")
      refusal(command({ workflowTypeConcurrency: { order: -1 } }), "InvalidArgument", "order")
      refusal(command({ workflowTypeConcurrency: { "": 1 } }), "InvalidArgument", "empty")
    })
  )
})

describe("what limits hold up", () => {
  const place = { namespace: "default", taskQueue: "queue" }
  it("is nothing as long as there is room", () => {
    const { types: found } = heldUp(types, [
      { ...place, limit: 2, active: 1 },
      { ...place, workflowType: "order", limit: 5, active: 1 }
    ])
    assert.deepStrictEqual([...found], [])
  })
  it("is the types at their own limit, or all of them at that of the queue, until the first lease ends", () => {
    const order = { ...place, workflowType: "order", limit: 1, active: 1, freeAt: 7 }
    const open = { ...place, limit: 5, active: 1, freeAt: 3 }
    const ofType = heldUp(types, [open, order])
    assert.deepStrictEqual([[...ofType.types], ofType.freeAt], [["order"], 7])
    const ofQueue = heldUp(types, [{ ...open, limit: 1 }, order])
    assert.deepStrictEqual([[...ofQueue.types], ofQueue.freeAt], [types, 3])
  })
})
