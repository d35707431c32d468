import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import type { Held } from "../../src/protocol/Protocol.ts"
import { json, startRequest } from "../contract/protocolRequests.ts"
import { client, serve } from "./scripted.ts"
import {
  begun,
  begunAhead,
  completed,
  connected,
  done,
  heard,
  namespace,
  polled,
  refused,
  result,
  runOf,
  started
} from "./scriptedWorker.ts"

describe("session", () => {
  it.live("carries starts and waits for results on one stream", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const protocol = yield* client(server.address)
      const starting = yield* Effect.forkChild(protocol.start(startRequest(namespace)))
      const stream = yield* server.accept
      const start = yield* stream.expect("startWorkflow")
      assert.strictEqual(start.value.externalId, "order-1")
      stream.answer(started(start.id, runOf(1)))
      assert.deepStrictEqual(yield* Fiber.join(starting), { runId: runOf(1), alreadyExists: false })
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(1)))
      const wait = yield* stream.expect("awaitResult")
      stream.answer(result(wait.id, runOf(1)))
      assert.strictEqual((yield* Fiber.join(waiting)).status, "COMPLETED")
      assert.deepStrictEqual(server.calls, ["getServerInfo", "openSession"])
    })
  )

  it.live("holds 5,000 waiters on one stream, without a message while nothing happens", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const protocol = yield* client(server.address)
      const fibers = yield* Effect.forEach(
        Array.from({ length: 5_000 }, (_, n) => n),
        (n) => Effect.forkChild(protocol.awaitRun(namespace, runOf(n)))
      )
      const stream = yield* server.accept
      const waits = yield* Effect.forEach(fibers, () => stream.expect("awaitResult"))
      assert.isBelow(stream.messages(), 50)
      assert.strictEqual(stream.waiting(), 0)
      stream.answer(...waits.map(({ id, value }) => result(id, value.runId)))
      const runs = yield* Fiber.joinAll(fibers)
      assert.strictEqual(new Set(runs.map(({ runId }) => runId)).size, 5_000)
      assert.deepStrictEqual(server.calls, ["getServerInfo", "openSession"])
    })
  )

  it.live("takes back the wait of a caller that has gone", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const protocol = yield* client(server.address)
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(1)))
      const stream = yield* server.accept
      const wait = yield* stream.expect("awaitResult")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual((yield* stream.expect("abandon")).value.id, wait.id)
      stream.end()
      yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(2)))
      const next = yield* server.accept
      assert.strictEqual((yield* next.expect("awaitResult")).value.runId, runOf(2))
      assert.strictEqual(next.waiting(), 0)
    })
  )

  it.live("does not repeat a start whose stream breaks", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const protocol = yield* client(server.address)
      const starting = yield* Effect.forkChild(Effect.flip(protocol.start(startRequest(namespace))))
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(1)))
      const stream = yield* server.accept
      yield* stream.expect("startWorkflow")
      yield* stream.expect("awaitResult")
      stream.end()
      assert.strictEqual((yield* Fiber.join(starting))._tag, "Unavailable")
      const next = yield* server.accept
      const wait = yield* next.expect("awaitResult")
      next.answer(result(wait.id, runOf(1)))
      yield* Fiber.join(waiting)
      assert.strictEqual(next.waiting(), 0)
    })
  )

  it.live("sends again what was not answered, in its order and after what the worker holds", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const held: Array<Held> = []
      const { link, stream } = yield* connected(server, () => held)
      const one = yield* polled(link, stream, 1)
      const two = yield* polled(link, stream, 2)
      held.push(one, two)
      const first = begunAhead(link, one, "charge")
      const ids = [(yield* stream.expect("beginStep")).id]
      const completing = yield* Effect.forkChild(link.completeStep(one, first.stepId, json(1)))
      const ending = yield* Effect.forkChild(link.completeRun(two, json("done")))
      ids.push((yield* stream.expect("completeStep")).id, (yield* stream.expect("completeWorkflow")).id)
      // answered, so that it is not sent again
      stream.answer(begun(ids[0]!, first.stepId))
      stream.answer(done(ids[2]!))
      yield* Fiber.join(ending)
      const parking = yield* Effect.forkChild(link.suspend(one))
      yield* stream.expect("suspendRun")
      held.pop()
      stream.end()

      const next = yield* server.accept
      const serving = yield* next.expect("serve")
      assert.isTrue(serving.value.resumes)
      assert.deepStrictEqual(
        serving.value.heldRuns.map(({ leaseEpoch, runId }) => [runId, leaseEpoch]),
        [[runOf(1), 1n]]
      )
      const again = yield* next.expect("completeStep")
      assert.strictEqual(again.lease, 1)
      const parked = yield* next.expect("suspendRun")
      next.answer(heard(serving.id), completed(again.id, 1))
      next.answer({ id: parked.id, event: { case: "suspended", value: { suspended: true } } })
      const { step: ended } = yield* Fiber.join(completing)
      assert.deepInclude(ended, { name: "charge", status: "COMPLETED", sequence: 1, output: json(1) })
      assert.isTrue(yield* Fiber.join(parking))
      assert.strictEqual(next.waiting(), 0)
    })
  )

  it.live("sees a command through whose caller has gone", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const completing = yield* Effect.forkChild(link.completeRun(run, json(1)))
      yield* stream.expect("completeWorkflow")
      yield* Fiber.interrupt(completing)
      stream.end()
      const next = yield* server.accept
      yield* next.expect("serve")
      yield* next.expect("completeWorkflow")
    })
  )

  it.live("does the same by single calls when the server has no sessions any more", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, protocol, stream } = yield* connected(server)
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(1)))
      yield* stream.expect("awaitResult")
      server.features.delete("session.v1")
      stream.end()
      assert.deepStrictEqual(yield* link.notice, { _tag: "Forgotten" })
      assert.strictEqual((yield* Fiber.join(waiting)).runId, runOf(1))
      assert.strictEqual((yield* protocol.start(startRequest(namespace))).runId, "unary order-1")
    })
  )

  it.live("uses single calls where streams don't come through, whatever the server announces", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      server.refuses.add("streams")
      const protocol = yield* client(server.address)
      assert.strictEqual((yield* protocol.start(startRequest(namespace))).runId, "unary order-1")
      assert.strictEqual((yield* protocol.awaitRun(namespace, runOf(1))).runId, runOf(1))
      assert.deepStrictEqual(server.calls, [
        "getServerInfo",
        "openSession",
        "startWorkflow",
        "getServerInfo",
        "awaitResult"
      ])
    })
  )

  it.live("refuses a command that is too large for a message, and carries on", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const large = { data: new Uint8Array(5_000_000), metadata: {} }
      assert.strictEqual((yield* Effect.flip(link.completeRun(run, large)))._tag, "InvalidArgument")
      const ending = yield* Effect.forkChild(link.completeRun(run, json(1)))
      const { id } = yield* stream.expect("completeWorkflow")
      stream.answer(done(id))
      yield* Fiber.join(ending)
    })
  )

  it.effect("opens a broken stream again at once, and then less and less often", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { protocol, stream } = yield* connected(server)
      const attempts = () => server.calls.filter((call) => call === "openSession").length
      /** Lets whatever is on its way arrive. */
      const settled = Effect.repeat(protocol.serverInfo, { times: 10 })
      yield* TestClock.adjust("2 seconds")
      server.refuses.add("busy")
      stream.end()
      while (attempts() < 2) yield* settled
      yield* settled
      assert.strictEqual(attempts(), 2)
      yield* TestClock.adjust("25 millis")
      while (attempts() < 3) yield* settled
      yield* TestClock.adjust("25 millis")
      yield* settled
      assert.strictEqual(attempts(), 3)
      yield* TestClock.adjust("25 millis")
      while (attempts() < 4) yield* settled
      server.refuses.delete("busy")
      yield* TestClock.adjust("1 second")
      const next = yield* server.accept
      yield* next.expect("serve")
    })
  )

  it.effect("leaves a stream on which an answer is due and nothing is heard", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      yield* Effect.forkChild(link.completeRun(run, json(1)))
      yield* stream.expect("completeWorkflow")
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("1 second")
      const next = yield* server.accept
      yield* next.expect("serve")
      yield* next.expect("completeWorkflow")
    })
  )

  it.effect("gives commands up with Unavailable after about the time of a lease, and waits for results for ever", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const scope = yield* Scope.make()
      const { link, protocol, stream } = yield* Scope.provide(connected(server), scope)
      const run = yield* polled(link, stream, 1)
      const completing = yield* Effect.forkChild(Effect.flip(link.completeRun(run, json(1))))
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(1)))
      yield* stream.expect("completeWorkflow")
      yield* stream.expect("awaitResult")
      yield* server.peer.stop
      yield* TestClock.adjust("50 seconds")
      assert.isUndefined(completing.pollUnsafe())
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(completing))._tag, "Unavailable")
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(waiting.pollUnsafe())
      const leaving = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(leaving)
    })
  )

  it.effect("closes a stream that nobody uses, and opens one when there is need", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const protocol = yield* client(server.address)
      for (const n of [1, 2]) {
        const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runOf(n)))
        const stream = yield* server.accept
        const wait = yield* stream.expect("awaitResult")
        stream.answer(result(wait.id, runOf(n)))
        yield* Fiber.join(waiting)
        yield* TestClock.adjust("62 seconds")
        yield* stream.closed
      }
    })
  )

  it.effect("sends all of it again when a command could not be carried out for the moment", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const made = begunAhead(link, run, "charge")
      const begin = yield* stream.expect("beginStep")
      const completing = yield* Effect.forkChild(link.completeStep(run, made.stepId, json(42)))
      const complete = yield* stream.expect("completeStep")
      stream.answer(
        refused(begin.id, ErrorCode.UNAVAILABLE, "the disk is busy"),
        refused(complete.id, ErrorCode.NOT_FOUND, "no such step")
      )
      yield* TestClock.adjust("1 second")
      const next = yield* server.accept
      yield* next.expect("serve")
      const again = yield* next.expect("beginStep")
      assert.strictEqual(again.value.stepId, made.stepId)
      const end = yield* next.expect("completeStep")
      next.answer(begun(again.id, made.stepId), completed(end.id, 1))
      assert.strictEqual((yield* Fiber.join(completing)).step.status, "COMPLETED")
    })
  )
})
