import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeWorld, refusal } from "./World.ts"

describe("registering", () => {
  it.effect("gives the same id for the same key until the worker is offline", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const first = world.register({ instanceId: "i" })
      world.send({ _tag: "DeregisterWorker", workerId: first, drain: true })
      assert.strictEqual(world.register({ instanceId: "i", workflowTypes: ["order", "more"] }), first)
      assert.deepStrictEqual(world.changes?.updateWorkers[0]?.workflowTypes, ["order", "more"])
      assert.strictEqual(world.changes?.updateWorkers[0]?.status, "ONLINE")
      assert.notStrictEqual(world.register({ instanceId: "other" }), first)
      world.send({ _tag: "DeregisterWorker", workerId: first, drain: false })
      assert.notStrictEqual(world.register({ instanceId: "i" }), first)
    })
  )

  it.effect("makes the namespace, and refuses what names no work", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      world.register({ namespace: "new" })
      assert.strictEqual(world.changes?.insertNamespaces[0]?.namespace, "new")
      const register = (fields: object) =>
        world.try({
          _tag: "RegisterWorker",
          workerId: world.id(),
          namespaceId: world.id(),
          namespace: "default",
          taskQueue: "queue",
          hostname: "",
          pid: 0,
          instanceId: "",
          version: "",
          workflowTypes: ["order"],
          labels: {},
          workflowTypeConcurrency: {},
          ...fields
        })
      for (const fields of [{ namespace: "" }, { taskQueue: "" }, { workflowTypes: [] }, { workflowTypes: [""] }]) {
        refusal(register(fields), "InvalidArgument", "must not")
      }
    })
  )
})

describe("a heartbeat", () => {
  it.effect("sets the lease of the runs that are held to a full one, and says which are lost or cancelled", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const kept = world.running()
      const { workerId } = kept
      const hold = () => {
        const runId = world.start()
        return { runId, lease: Number(world.claim(workerId)?.lease) }
      }
      const cancelled = hold()
      const terminated = hold()
      const ended = hold()
      const stale = hold()
      const gone = { runId: world.id(), lease: 1 }
      world.send({ _tag: "CancelRun", namespace: "default", runId: cancelled.runId })
      world.send({ _tag: "TerminateRun", namespace: "default", runId: terminated.runId, reason: "" })
      world.send({
        _tag: "CompleteRun",
        namespace: "default",
        ...ended,
        output: { data: new Uint8Array([48]), metadata: {} }
      })
      world.now += 30_000
      const { lease, runId } = kept.run
      const held = [{ runId, lease }, cancelled, terminated, ended, { ...stale, lease: 9 }, gone]
      const reply = world.send({ _tag: "Heartbeat", workerId, held })
      assert.deepStrictEqual(reply, {
        shouldDrain: false,
        patienceMillis: 20_000,
        lost: [ended, { ...stale, lease: 9 }, gone],
        cancelled: [cancelled, terminated]
      })
      world.send({ _tag: "Heartbeat", workerId, held })
      assert.strictEqual(world.run(kept.run).dueAt, world.now + 60_000)
      // the lease under which it is the worker's has not reached it
      assert.deepInclude(world.run(stale), { status: "PENDING", dueAt: world.now })
    })
  )

  it.effect("takes back a run that never reached the worker, but not one that may be on its way", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      world.now += 5_000
      world.send({ _tag: "Heartbeat", workerId, held: [] })
      assert.strictEqual(world.run(run).status, "RUNNING")
      world.now += 1
      world.send({ _tag: "Heartbeat", workerId, held: [] })
      assert.strictEqual(world.run(run).status, "PENDING")
      assert.strictEqual(world.run(run).dueAt, world.now)
    })
  )

  it.effect("that comes over an earlier stream is refused, and takes nothing back", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = world.register({ instanceId: "i" })
      const runId = world.start()
      const run = { runId, lease: Number(world.claim(workerId)?.lease) }
      const held = [run]
      world.send({ _tag: "Heartbeat", workerId, held, resumes: true, stream: 2 })
      world.now += 6_000
      for (const late of [{ held: [] }, { held: [], resumes: true }, {}]) {
        refusal(world.try({ _tag: "Heartbeat", workerId, stream: 1, ...late }), "PreconditionFailed", "later stream")
        assert.strictEqual(world.run(run).status, "RUNNING")
        assert.strictEqual(world.run(run).dueAt, world.now + 54_000)
      }
      assert.deepStrictEqual(world.send({ _tag: "Heartbeat", workerId, held, stream: 2 }).lost, [])
      assert.deepStrictEqual(world.send({ _tag: "Heartbeat", workerId, held, stream: 3 }).lost, [])
      // of peers that number no streams nothing is known
      world.send({ _tag: "Heartbeat", workerId, held })
      // nor does a registration change that which is carried out late
      assert.strictEqual(world.register({ instanceId: "i" }), workerId)
      refusal(world.try({ _tag: "Heartbeat", workerId, held, stream: 2 }), "PreconditionFailed")
    })
  )

  it.effect("is taken over any stream from a worker without an id of its own that registers again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = world.register({ instanceId: "" })
      world.send({ _tag: "Heartbeat", workerId, held: [], stream: 2 })
      assert.strictEqual(world.register({ instanceId: "" }), workerId)
      world.send({ _tag: "Heartbeat", workerId, held: [], stream: 1 })
    })
  )

  it.effect("cuts no lease short that was renewed by a server whose time is ahead", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const renewed = () => {
        world.send({ _tag: "Heartbeat", workerId, held: [run] })
        return world.run(run).dueAt
      }
      world.now += 20_000
      const end = renewed()
      world.now -= 1_000
      assert.strictEqual(renewed(), end)
      // nor is the worker silent for longer than it is
      world.now += 30_000
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 0 })
      assert.strictEqual(renewed(), world.now + 60_000)
      // the clock was set back
      world.now -= 7_200_000
      assert.strictEqual(renewed(), world.now + 60_000)
      world.now += 30_000
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 1 })
    })
  )

  it.effect(
    "keeps runs for two of the intervals that the worker was told, also with servers that ask for more of them",
    () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const { run, workerId } = world.running()
        world.settings = { leaseMillis: 2_000, staleMillis: 2_000, heartbeatMillis: 1_000 }
        const other = world.start()
        assert.strictEqual(world.claim(workerId)?.run.runId, other)
        assert.strictEqual(world.run({ runId: other }).dueAt, world.now + 20_000)
        world.now += 19_000
        world.send({ _tag: "Heartbeat", workerId, held: [run, { runId: other, lease: 1 }] })
        assert.strictEqual(world.run({ runId: other }).dueAt, world.now + 20_000)
        world.now += 19_999
        assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 0 })
        world.now += 1
        assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 1 })
      })
  )

  it.effect("extends all its runs when the worker does not say which it holds", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      world.now += 30_000
      world.send({ _tag: "Heartbeat", workerId })
      assert.strictEqual(world.run(run).dueAt, world.now + 60_000)
    })
  )

  it.effect("tells a draining worker, and is not accepted from one that is unknown or offline", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = world.register()
      world.send({ _tag: "DeregisterWorker", workerId, drain: true })
      assert.isTrue(world.send({ _tag: "Heartbeat", workerId }).shouldDrain)
      world.send({ _tag: "DeregisterWorker", workerId, drain: false })
      refusal(world.try({ _tag: "Heartbeat", workerId }), "NotFound", "worker")
      refusal(world.try({ _tag: "Heartbeat", workerId: world.id() }), "NotFound", "worker")
    })
  )
})

describe("a worker that an earlier version has registered", () => {
  it.effect("is given the time of the first server that hears of it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { settings } = world
      world.settings = { ...settings, heartbeatMillis: 0 }
      const workerId = world.register()
      world.settings = settings
      assert.strictEqual(world.send({ _tag: "Heartbeat", workerId }).patienceMillis, 20_000)
      world.settings = { leaseMillis: 2_000, staleMillis: 2_000, heartbeatMillis: 1_000 }
      assert.strictEqual(world.send({ _tag: "Heartbeat", workerId }).patienceMillis, 20_000)
    })
  )
})

describe("a registration that is carried out late", () => {
  it.effect("takes nothing from the worker that it was told of since", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = world.register({ instanceId: "i" })
      const runId = world.start()
      const run = { runId, lease: Number(world.claim(workerId)?.lease) }
      world.now += 25_000
      world.send({ _tag: "Heartbeat", workerId, held: [run] })
      world.now -= 25_000
      world.settings = { leaseMillis: 2_000, staleMillis: 2_000, heartbeatMillis: 1_000 }
      assert.strictEqual(world.register({ instanceId: "i" }), workerId)
      world.now += 44_999
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 0 })
      world.now += 1
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 1 })
    })
  )
})

describe("a worker that goes", () => {
  it.effect("is not taken for gone before the lease of a run that it claimed has nearly ended", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const short = { leaseMillis: 2_000, staleMillis: 2_000, heartbeatMillis: 1_000 }
      const { settings } = world
      world.settings = short
      const workerId = world.register()
      // with a server that has more patience
      world.settings = settings
      for (const _ of [1, 2, 3]) {
        world.now += 100
        world.claim(workerId)
      }
      world.now += 100
      const runId = world.start()
      assert.strictEqual(world.claim(workerId)?.run.runId, runId)
      world.now += 1_750
      world.settings = short
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 0 })
      assert.strictEqual(world.run({ runId }).status, "RUNNING")
    })
  )

  it.effect("gives its runs back at once, or finishes them when it drains", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      assert.deepStrictEqual(world.send({ _tag: "DeregisterWorker", workerId, drain: true }), { drained: false })
      assert.strictEqual(world.run(run).status, "RUNNING")
      assert.isTrue(world.begin(run, "a").execute)
      assert.deepStrictEqual(world.send({ _tag: "DeregisterWorker", workerId, drain: false }), { drained: true })
      assert.strictEqual(world.run(run).status, "PENDING")
      assert.strictEqual(world.run(run).workerId, workerId)
      assert.deepStrictEqual(world.send({ _tag: "DeregisterWorker", workerId, drain: false }), { drained: true })
      refusal(world.try({ _tag: "DeregisterWorker", workerId: world.id(), drain: false }), "NotFound", "worker")
    })
  )

  it.effect("is taken for gone after thirty seconds of silence, and polls count as signs of life", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const polling = world.register()
      world.now += 29_999
      world.claim(polling)
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 0 })
      world.now += 1
      assert.deepStrictEqual(world.send({ _tag: "ExpireWorkers" }), { expired: 1 })
      assert.strictEqual(world.run(run).status, "PENDING")
      refusal(world.try({ _tag: "Heartbeat", workerId }), "NotFound")
      assert.strictEqual(world.claim(polling)?.run.runId, run.runId)
      refusal(world.try(world.beginCommand(run, "a")), "PreconditionFailed", "lease")
    })
  )
})
