import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as KagziError from "../../src/KagziError.ts"
import type { Held } from "../../src/protocol/Protocol.ts"
import * as Node from "../../src/protocol/node.ts"
import { Rpc, type Shape } from "../../src/protocol/Rpc.ts"
import * as Unary from "../../src/protocol/unary.ts"
import { KagziServer } from "../../src/server/index.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { decoded, json, nextTask, startRequest, workerOptions } from "../contract/protocolRequests.ts"

const namespace = "default"

const engine = KagziServer.layerEngine({ store: KagziServer.memory, heartbeatInterval: "1 second" })

const inProcess = Effect.map(Layer.build(Layer.fresh(InProcess.layer.pipe(Layer.provide(engine)))), (context) =>
  Context.get(context, Rpc)
)

const protocolOver = (rpc: Shape, options: Unary.Options = {}) =>
  Unary.make(options).pipe(Effect.provideService(Rpc, Rpc.of(rpc)))

const lost = new KagziError.Unavailable({ message: "The answer was lost" })

/** Loses the answer to the first call of each method, which the server has carried out by then. */
const losingAnswers = (rpc: Shape, methods: ReadonlyArray<string>) => {
  const left = new Set(methods)
  const shape: Shape = {
    call: (method, input, options) =>
      Effect.flatMap(rpc.call(method, input, options), (answer) =>
        left.delete(method.name) ? Effect.fail(lost) : Effect.succeed(answer)
      )
  }
  return { rpc: shape, left }
}

/** Loses calls on their way while told to, and counts those that get through. */
const switchable = (rpc: Shape) => {
  const state = { down: (_: string): boolean => false, calls: new Map<string, number>() }
  const shape: Shape = {
    call: (method, input, options) =>
      Effect.suspend(() => {
        if (state.down(method.name)) return Effect.fail(lost)
        state.calls.set(method.name, (state.calls.get(method.name) ?? 0) + 1)
        return rpc.call(method, input, options)
      })
  }
  return { rpc: shape, state }
}

const step = (name: string) => ({ name, kind: "FUNCTION" as const, input: json(name) })

const nap = { name: "nap", kind: "SLEEP" as const, input: json(null), sleep: { millis: 5 } }

const timedOut: KagziError.Detail = {
  code: "Timeout",
  message: "took too long",
  nonRetryable: true,
  subject: "",
  subjectId: "",
  metadata: {}
}

describe("unary protocol", () => {
  for (const plain of [false, true]) {
    const contract = plain ? "the plain contract" : "leases"
    const commands = [
      "BeginStep",
      "CompleteStep",
      "FailStep",
      plain ? "Sleep" : "SuspendRun",
      "AwaitResult",
      "GetWorkflow"
    ]

    it.live(`does everything once when the first answer to each command is lost, by ${contract}`, () =>
      Effect.gen(function* () {
        const { left, rpc } = losingAnswers(yield* inProcess, commands)
        const protocol = yield* protocolOver(rpc, { plain })
        const { runId } = yield* protocol.start(startRequest(namespace))
        const link = yield* protocol.connect(workerOptions(namespace))
        const task = yield* nextTask(link)
        const charge = yield* link.beginStep(task, step("charge"))
        assert.strictEqual((yield* link.completeStep(task, charge.step.stepId, json(1))).step.status, "COMPLETED")
        const ship = yield* link.beginStep(task, step("ship"))
        const failed = yield* link.failStep(task, ship.step.stepId, timedOut)
        assert.isFalse(failed.retry)
        // a recorded Timeout is an answer and no reason to ask again
        assert.deepStrictEqual((yield* link.beginStep(task, step("ship"))).step.error, timedOut)
        yield* link.beginStep(task, nap)
        const parked = yield* Effect.exit(link.suspend(task))
        // the repeated call may find the run parked by the first, which is no longer the worker's then
        if (Exit.isFailure(parked)) assert.include(String(parked.cause), "PreconditionFailed")
        const retaken = yield* nextTask(link)
        assert.strictEqual((yield* link.beginStep(retaken, nap)).step.status, "COMPLETED")
        const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runId))
        yield* link.completeRun(retaken, json("done"))
        assert.strictEqual(decoded((yield* Fiber.join(waiting)).output), "done")
        const { items } = yield* protocol.listSteps({ namespace, runId }, {})
        assert.deepStrictEqual(
          items.map(({ attempt, name, status }) => [name, status, attempt]),
          [
            ["charge", "COMPLETED", 1],
            ["ship", "FAILED", 1],
            ["nap", "COMPLETED", 1]
          ]
        )
        assert.deepStrictEqual([...left], plain ? ["AwaitResult"] : ["GetWorkflow"])
      })
    )
  }

  it.effect("gives a command up with Unavailable after about the time of a lease", () =>
    Effect.gen(function* () {
      const { rpc, state } = switchable(yield* inProcess)
      const protocol = yield* protocolOver(rpc)
      yield* protocol.start(startRequest(namespace))
      const link = yield* protocol.connect(workerOptions(namespace))
      const task = yield* nextTask(link)
      state.down = (method) => method === "BeginStep"
      const fiber = yield* Effect.forkChild(Effect.flip(link.beginStep(task, step("charge"))))
      yield* TestClock.adjust("50 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Unavailable")
      // the poll is not repeated: whoever polls decides
      state.down = (method) => method === "PollTask"
      assert.strictEqual((yield* Effect.flip(link.poll))._tag, "Unavailable")
    })
  )

  it.effect("goes on with a command when the server is back in time", () =>
    Effect.gen(function* () {
      const { rpc, state } = switchable(yield* inProcess)
      const protocol = yield* protocolOver(rpc)
      yield* protocol.start(startRequest(namespace))
      const held: Array<Held> = []
      const link = yield* protocol.connect(workerOptions(namespace, { held: () => held }))
      const task = yield* nextTask(link)
      held.push(task)
      state.down = (method) => method === "BeginStep"
      const fiber = yield* Effect.forkChild(link.beginStep(task, step("charge")))
      yield* TestClock.adjust("30 seconds")
      state.down = () => false
      yield* TestClock.adjust("2 seconds")
      assert.isTrue((yield* Fiber.join(fiber)).execute)
      assert.strictEqual(state.calls.get("BeginStep"), 1)
    })
  )

  it.effect("waits for a result through an outage of any length", () =>
    Effect.gen(function* () {
      const { rpc, state } = switchable(yield* inProcess)
      const protocol = yield* protocolOver(rpc)
      const { runId } = yield* protocol.start(startRequest(namespace))
      yield* protocol.cancelRun(namespace, runId)
      state.down = () => true
      const fiber = yield* Effect.forkChild(protocol.awaitRun(namespace, runId))
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(fiber.pollUnsafe())
      state.down = () => false
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, "CANCELLED")
    })
  )

  it.effect("asks what the server can do once, and again after a lost connection", () =>
    Effect.gen(function* () {
      const { rpc, state } = switchable(yield* inProcess)
      const protocol = yield* protocolOver(rpc)
      const start = protocol.start(startRequest(namespace, { ifExists: "return-finished" }))
      yield* start
      yield* start
      assert.strictEqual(state.calls.get("GetServerInfo"), 1)
      state.down = () => true
      yield* Effect.flip(start)
      state.down = () => false
      yield* start
      assert.strictEqual(state.calls.get("GetServerInfo"), 2)
    })
  )

  it.effect("sends a sign of life at once and at every interval, with the runs that are held then", () =>
    Effect.gen(function* () {
      const beats: Array<number> = []
      const inner = yield* inProcess
      const counting: Shape = {
        call: (method, input, options) => {
          if (method.name === "Heartbeat") beats.push((input as { heldRuns: ReadonlyArray<unknown> }).heldRuns.length)
          return inner.call(method, input, options)
        }
      }
      const protocol = yield* protocolOver(counting)
      const held: Array<Held> = []
      const scope = yield* Scope.make()
      yield* Scope.provide(protocol.connect(workerOptions(namespace, { held: () => held })), scope)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(beats, [0])
      held.push({ runId: "018f3a1e-0000-7000-8000-000000000000", lease: 1 })
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(beats, [0, 1, 1])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(beats, [0, 1, 1])
    })
  )

  it.effect("leaves without the server when that does not answer", () =>
    Effect.gen(function* () {
      const inner = yield* inProcess
      const deaf: Shape = {
        call: (method, input, options) =>
          method.name === "Deregister" ? Effect.never : inner.call(method, input, options)
      }
      const protocol = yield* protocolOver(deaf)
      const scope = yield* Scope.make()
      yield* Scope.provide(protocol.connect(workerOptions(namespace)), scope)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
    })
  )

  it.live("waits and works through a restart of the server", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "kagzi-protocol-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const serve = Effect.fnUntraced(function* (port: number) {
        const scope = yield* Scope.make()
        const store = KagziServer.sqlite(join(folder, "kagzi.db"))
        const layer = KagziServer.layer({ port, store, heartbeatInterval: "1 second", grace: 0 })
        const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
        return { scope, ...Context.get(context, KagziServer.KagziServer) }
      })
      const first = yield* serve(0)
      const protocol = yield* protocolOver(yield* Node.make({ address: first.address }))
      const { runId } = yield* protocol.start(startRequest(namespace))
      const held: Array<Held> = []
      const link = yield* protocol.connect(workerOptions(namespace, { held: () => held }))
      const task = yield* nextTask(link)
      held.push(task)
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runId), { startImmediately: true })

      yield* Scope.close(first.scope, Exit.void)
      const begun = yield* Effect.forkChild(link.beginStep(task, step("charge")), { startImmediately: true })
      const second = yield* serve(first.port)

      const { step: charge } = yield* Fiber.join(begun)
      yield* link.completeStep(task, charge.stepId, json(1))
      yield* link.completeRun(task, json("done"))
      assert.strictEqual(decoded((yield* Fiber.join(waiting)).output), "done")
      const other = yield* protocol.start(startRequest(namespace))
      const next = yield* nextTask(link)
      assert.strictEqual(next.runId, other.runId)
      held.push(next)
      yield* protocol.cancelRun(namespace, other.runId)
      const cancelled = { _tag: "Cancelled", held: { runId: next.runId, lease: next.lease } } as const
      yield* Effect.repeat(link.notice, {
        until: (notice) => notice._tag === "Cancelled" && notice.held.runId === cancelled.held.runId
      })
      yield* Scope.close(second.scope, Exit.void)
    })
  )

  it.live("fails to connect with Unavailable where nothing listens", () =>
    Effect.gen(function* () {
      const rpc = yield* Node.make({ address: "http://127.0.0.1:1" })
      for (const plain of [false, true]) {
        const protocol = yield* protocolOver(rpc, { plain })
        const error = yield* Effect.flip(protocol.connect(workerOptions(namespace)))
        assert.strictEqual(error._tag, "Unavailable")
        assert.include(error.message, "127.0.0.1:1")
      }
    })
  )

  it.live("answers none when a long poll comes back empty", () =>
    Effect.gen(function* () {
      const quick = InProcess.layer.pipe(Layer.provide(KagziServer.layerEngine({ pollTimeout: "1 second" })))
      const context = yield* Layer.build(Layer.fresh(quick))
      const protocol = yield* protocolOver(Context.get(context, Rpc))
      const link = yield* protocol.connect(workerOptions(namespace))
      assert.isTrue(Option.isNone(yield* link.poll))
    })
  )
})
