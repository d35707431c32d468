/** Sessions with a real server, over connections that are good and over such as break. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, type Scope } from "effect"
import type { Held, Task, WorkerLink } from "../../src/protocol/Protocol.ts"
import * as Node from "../../src/protocol/node.ts"
import { Rpc, type Shape } from "../../src/protocol/Rpc.ts"
import * as Unary from "../../src/protocol/unary.ts"
import { KagziServer } from "../../src/server/index.ts"
import { decoded, json, nextTask, startRequest, workerOptions } from "../contract/protocolRequests.ts"
import * as CuttingProxy from "../support/cuttingProxy.ts"

const namespace = "default"

const serve: Effect.Effect<string, unknown, Scope.Scope> = Effect.map(
  Layer.build(
    Layer.fresh(
      KagziServer.layer({ store: KagziServer.memory, heartbeatInterval: "1 second", lease: "1 minute", port: 0 })
    )
  ),
  (context) => Context.get(context, KagziServer.KagziServer).address
)

/** A client of an address, and how often it made which single call. */
const client = Effect.fnUntraced(function* (address: string) {
  const rpc = yield* Node.make({ address })
  const calls: Array<string> = []
  const counting: Shape = {
    ...rpc,
    call: (method, input, options) =>
      Effect.suspend(() => {
        calls.push(method.name)
        return rpc.call(method, input, options)
      })
  }
  return { protocol: yield* Unary.make().pipe(Effect.provideService(Rpc, Rpc.of(counting))), calls }
})

const step = (name: string) => ({ name, kind: "FUNCTION" as const, input: json(name) })

/** Works through a run of five steps; the code of each counts as done when it is begun. */
const work = Effect.fnUntraced(function* (link: WorkerLink, task: Task, done: (step: string) => void) {
  for (let n = task.history.length; n < 5; n++) {
    const ahead = link.beginAhead(task, step(`step ${n}`))
    const begun = ahead ?? (yield* link.beginStep(task, step(`step ${n}`))).step
    assert.strictEqual(begun.status, "RUNNING")
    done(`${task.runId} ${n}`)
    // by then some are on their way
    if (n % 2 === 0) yield* Effect.yieldNow
    const { step: ended } = yield* link.completeStep(task, begun.stepId, json(n))
    assert.strictEqual(ended.sequence, n + 1)
  }
  yield* link.completeRun(task, json("done"))
})

describe("a session with a server", () => {
  it.live("does all that is frequent on one stream", () =>
    Effect.gen(function* () {
      const { calls, protocol } = yield* client(yield* serve)
      const link = yield* protocol.connect(workerOptions(namespace))
      const { runId } = yield* protocol.start(startRequest(namespace))
      const task = yield* nextTask(link)
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runId))
      yield* work(link, task, () => undefined)
      assert.strictEqual(decoded((yield* Fiber.join(waiting)).output), "done")
      assert.deepStrictEqual(calls, ["GetServerInfo"])
    })
  )

  it.live("serves the queues of several workers on one stream", () =>
    Effect.gen(function* () {
      const { calls, protocol } = yield* client(yield* serve)
      const queues = ["a", "b", "c"]
      const links = yield* Effect.forEach(queues, (taskQueue) =>
        protocol.connect(workerOptions(namespace, { taskQueue }))
      )
      for (const taskQueue of queues) {
        yield* protocol.start(startRequest(namespace, { externalId: taskQueue, taskQueue }))
      }
      const tasks = yield* Effect.forEach(links, nextTask)
      assert.deepStrictEqual(
        tasks.map(({ run }) => run.externalId),
        queues
      )
      assert.deepStrictEqual(calls, ["GetServerInfo"])
    })
  )

  it.live("pushes the loss of a run at once", () =>
    Effect.gen(function* () {
      const { protocol } = yield* client(yield* serve)
      const { runId } = yield* protocol.start(startRequest(namespace))
      const held: Array<Held> = []
      const link = yield* protocol.connect(workerOptions(namespace, { held: () => held }))
      const task = yield* nextTask(link)
      yield* protocol.cancelRun(namespace, runId)
      assert.deepStrictEqual(yield* link.notice, { _tag: "Cancelled", held: { runId, lease: task.lease } })
      // so that no code runs for it any more
      assert.isUndefined(link.beginAhead(task, step("late")))
      assert.strictEqual((yield* Effect.flip(link.beginStep(task, step("late"))))._tag, "PreconditionFailed")
    })
  )

  it.live("loses and repeats nothing that was acknowledged while its connection is cut every 100 ms", () =>
    Effect.gen(function* () {
      const address = yield* serve
      const proxy = yield* CuttingProxy.make({ target: address, seed: "session", meanMillis: 100, cutting: true })
      const good = (yield* client(address)).protocol
      const { protocol } = yield* client(proxy.address)
      const active = new Map<string, Held>()
      const link = yield* protocol.connect(workerOptions(namespace, { held: () => [...active.values()] }))
      const counts = new Map<string, number>()
      const ids = yield* Effect.forEach(
        Array.from({ length: 200 }, (_, n) => n),
        (n) => good.start(startRequest(namespace, { externalId: `order-${n}` })),
        { concurrency: 20 }
      )
      const waiting = yield* Effect.forkChild(
        Effect.forEach(ids, ({ runId }) => protocol.awaitRun(namespace, runId), { concurrency: "unbounded" })
      )
      const working = Effect.gen(function* () {
        const task = yield* nextTask(link)
        active.set(task.runId, task)
        yield* work(link, task, (done) => counts.set(done, (counts.get(done) ?? 0) + 1))
        active.delete(task.runId)
      })
      // few at a time, so that it lasts for some cuts
      const workers = Effect.forEach(Array.from({ length: 4 }), () => Effect.forever(working), {
        concurrency: "unbounded"
      })
      const ended = yield* Effect.raceFirst(Fiber.join(waiting), Effect.as(workers, []))
      assert.deepStrictEqual(
        [...new Set(ended.map(({ output, status }) => `${status} ${decoded(output)}`))],
        ["COMPLETED done"]
      )
      assert.strictEqual(counts.size, 1_000)
      assert.deepStrictEqual(
        [...counts.values()].filter((count) => count !== 1),
        []
      )
      assert.isAtLeast(proxy.counts().cuts, 3)
    })
  )
})
