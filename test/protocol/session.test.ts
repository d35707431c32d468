import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import type { Held, WorkerLink } from "../../src/protocol/Protocol.ts"
import { json, startRequest, workerOptions } from "../contract/protocolRequests.ts"
import { client, type Event, type Scripted, serve, type Stream } from "./scripted.ts"

const namespace = "default"
const workerId = "018f3a1e-0000-7000-8000-00000000000a"
const runOf = (n: number) => `018f3a1e-0000-7000-8000-${String(n).padStart(12, "0")}`
const at = { seconds: 1_700_000_000n, nanos: 0 }

const started = (id: number, runId: string): Event => ({
  id,
  event: { case: "started", value: { runId, alreadyExists: false } }
})

const heard = (id: number): Event => ({ id, event: { case: "heard", value: { accepted: true } } })

const done = (id: number): Event => ({ id, event: { case: "done", value: {} } })

const refused = (id: number, code: ErrorCode, message: string, metadata: Record<string, string> = {}): Event => ({
  id,
  event: { case: "error", value: { code, message, metadata } }
})

const result = (id: number, runId: string): Event => ({
  id,
  event: { case: "result", value: { workflow: { runId, namespace, status: 4, createdAt: at } } }
})

const task = (n: number, lease = 1): Event => ({
  event: {
    case: "task",
    value: {
      workerId,
      task: {
        runId: runOf(n),
        workflowType: "order",
        leaseEpoch: BigInt(lease),
        workflow: { runId: runOf(n), namespace, taskQueue: "orders", workflowType: "order", status: 2, createdAt: at },
        claimedAt: at
      }
    }
  }
})

const completed = (id: number, sequence: number): Event => ({
  id,
  event: {
    case: "step",
    value: { record: { status: 3, sequence: BigInt(sequence), createdAt: at, finishedAt: at, kind: 1 } }
  }
})

const begun = (id: number, stepId: string, name = "charge"): Event => ({
  id,
  event: {
    case: "step",
    value: { record: { stepId, name, kind: 1, status: 2, attemptNumber: 1, createdAt: at }, execute: true }
  }
})

const step = (name: string) => ({ name, kind: "FUNCTION" as const, input: json(name) })

/** Registers a worker with a server, answers its first sign of life, and gives its side of the stream. */
const connected = Effect.fnUntraced(function* (
  server: Scripted,
  held: () => ReadonlyArray<Held> = () => [],
  heartbeatIntervalSecs = 60
) {
  const protocol = yield* client(server.address)
  const connecting = yield* Effect.forkChild(protocol.connect(workerOptions(namespace, { held })))
  const stream = yield* server.accept
  const { id } = yield* stream.expect("register")
  stream.answer({
    id,
    event: { case: "registered", value: { workerId, heartbeatIntervalSecs, maxPayloadBytes: 2_000_000 } }
  })
  const link = yield* Fiber.join(connecting)
  const serving = yield* stream.expect("serve")
  assert.isTrue(serving.value.resumes)
  stream.answer(heard(serving.id))
  return { protocol, link, stream }
})

/** Polls, which asks the server for one more run, and hands the run over. */
/** A step that is begun without waiting for the server. */
const begunAhead = (link: WorkerLink, run: Held, name: string) => {
  const begun = link.beginAhead(run, step(name))
  assert.isDefined(begun)
  return begun
}

const polled = Effect.fnUntraced(function* (link: WorkerLink, stream: Stream, n: number, lease = 1) {
  const polling = yield* Effect.forkChild(link.poll, { startImmediately: true })
  const { id } = yield* stream.expect("serve")
  stream.answer(heard(id), task(n, lease))
  return Option.getOrThrow(yield* Fiber.join(polling))
})

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

  it.live("begins a fresh step without waiting, and waits for its end", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const made = begunAhead(link, run, "charge")
      assert.deepInclude(made, { name: "charge", kind: "FUNCTION", status: "RUNNING", attempt: 1 })
      const begin = yield* stream.expect("beginStep")
      assert.strictEqual(begin.value.stepId, made.stepId)
      assert.isUndefined(begin.value.output)
      const completing = yield* Effect.forkChild(link.completeStep(run, made.stepId, json(42)))
      const complete = yield* stream.expect("completeStep")
      assert.strictEqual(complete.value.stepId, made.stepId)
      stream.answer(done(begin.id), completed(complete.id, 7))
      const { step: ended } = yield* Fiber.join(completing)
      assert.deepInclude(ended, { stepId: made.stepId, name: "charge", output: json(42), sequence: 7 })
    })
  )

  it.live("tells of a step in one command when its code has ended before its beginning was sent", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const made = begunAhead(link, run, "charge")
      const other = begunAhead(link, run, "large")
      const completing = [
        yield* Effect.forkChild(link.completeStep(run, made.stepId, json(42)), { startImmediately: true }),
        yield* Effect.forkChild(link.completeStep(run, other.stepId, json("x".repeat(70_000))), {
          startImmediately: true
        })
      ]
      const both = yield* stream.expect("beginStep")
      assert.deepStrictEqual(both.value.output?.data, json(42).data)
      // an output that is more likely to be refused goes by itself
      const begin = yield* stream.expect("beginStep")
      assert.isUndefined(begin.value.output)
      const complete = yield* stream.expect("completeStep")
      stream.answer(completed(both.id, 1), done(begin.id), completed(complete.id, 2))
      const { step: ended } = yield* Fiber.join(completing[0]!)
      assert.deepInclude(ended, { stepId: made.stepId, name: "charge", output: json(42), sequence: 1 })
      assert.strictEqual((yield* Fiber.join(completing[1]!)).step.sequence, 2)
      assert.strictEqual(stream.waiting(), 0)
    })
  )

  it.live("tells the end of a step that was told of in one command why it was refused", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const complete = (name: string) => {
        const { stepId } = begunAhead(link, run, name)
        return Effect.forkChild(Effect.flip(link.completeStep(run, stepId, json(42))), { startImmediately: true })
      }
      const before = yield* complete("begun before")
      const known = yield* stream.expect("beginStep")
      stream.answer(begun(known.id, runOf(77), "begun before"))
      assert.strictEqual((yield* Fiber.join(before)).message, 'The step was begun before: "begun before"')
      const { stepId } = begunAhead(link, run, "refused")
      const failing = yield* Effect.forkChild(Effect.flip(link.completeStep(run, stepId, json(42))), {
        startImmediately: true
      })
      const refusing = yield* stream.expect("beginStep")
      stream.answer(refused(refusing.id, ErrorCode.INVALID_ARGUMENT, "no such name"))
      assert.strictEqual((yield* Fiber.join(failing)).message, "no such name")
      // nor is its failure any better
      const { message } = yield* Effect.flip(
        link.failStep(run, stepId, KagziError.toDetail(yield* Fiber.join(failing)))
      )
      assert.strictEqual(message, "no such name")
    })
  )

  it.live("tells the end of a step why its beginning was refused", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const made = begunAhead(link, run, "charge")
      const begin = yield* stream.expect("beginStep")
      const completing = yield* Effect.forkChild(Effect.flip(link.completeStep(run, made.stepId, json(42))))
      const complete = yield* stream.expect("completeStep")
      stream.answer(
        refused(begin.id, ErrorCode.PRECONDITION_FAILED, "the lease is gone", { "kagzi.lease": "lost" }),
        refused(complete.id, ErrorCode.NOT_FOUND, "no such step")
      )
      assert.strictEqual((yield* Fiber.join(completing)).message, "the lease is gone")
    })
  )

  it.live("waits for the beginning of a step that is large or sleeps", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const large = { ...step("large"), input: json("x".repeat(70_000)) }
      const nap = { ...step("nap"), kind: "SLEEP" as const, sleep: { millis: 5 } }
      for (const request of [large, nap]) {
        assert.isUndefined(link.beginAhead(run, request))
        const beginning = yield* Effect.forkChild(link.beginStep(run, request))
        const begin = yield* stream.expect("beginStep")
        assert.isUndefined(beginning.pollUnsafe())
        stream.answer(begun(begin.id, runOf(77), request.name))
        assert.strictEqual((yield* Fiber.join(beginning)).step.stepId, runOf(77))
      }
      const beginning = yield* Effect.forkChild(link.beginStep(run, step("as asked")))
      const begin = yield* stream.expect("beginStep")
      stream.answer(done(begin.id))
      const reply = yield* Fiber.join(beginning)
      assert.isTrue(reply.execute)
      assert.deepInclude(reply.step, { stepId: begin.value.stepId, name: "as asked", status: "RUNNING", attempt: 1 })
    })
  )

  it.live("waits for the beginning of a step when nothing was answered for long", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      // a lease is trusted for two intervals of heartbeats
      const { link, stream } = yield* connected(server, () => [], 1)
      const run = yield* polled(link, stream, 1)
      // the clock is the real one: this lets the two seconds pass
      yield* Effect.sleep("2100 millis")
      assert.isUndefined(link.beginAhead(run, step("late")))
      const beginning = yield* Effect.forkChild(link.beginStep(run, step("late")))
      yield* stream.expect("heartbeat")
      yield* stream.expect("heartbeat")
      const begin = yield* stream.expect("beginStep")
      assert.isUndefined(beginning.pollUnsafe())
      stream.answer(begun(begin.id, begin.value.stepId))
      assert.isTrue((yield* Fiber.join(beginning)).execute)
    })
  )

  it.live("tells the server its capacity when that changes, and not otherwise", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      link.offer(10, 0)
      const ten = yield* stream.expect("serve")
      assert.strictEqual(ten.value.capacity, 10)
      assert.isFalse(ten.value.resumes)
      stream.answer(heard(ten.id), task(1))
      const run = Option.getOrThrow(yield* link.poll)
      link.offer(9, 1)
      const ending = yield* Effect.forkChild(link.completeRun(run, json(1)))
      const { id } = yield* stream.expect("completeWorkflow")
      stream.answer(done(id))
      yield* Fiber.join(ending)
      link.offer(10, 0)
      link.offer(4, 0)
      assert.strictEqual((yield* stream.expect("serve")).value.capacity, 4)
    })
  )

  it.live("gives back a run that nobody polls for, and wants no more until someone does", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      link.offer(2, 0)
      const two = yield* stream.expect("serve")
      stream.answer(heard(two.id), task(1), task(2))
      const run = Option.getOrThrow(yield* link.poll)
      assert.strictEqual(run.runId, runOf(1))
      const given = yield* stream.expect("releaseRun")
      assert.strictEqual(given.value.runId, runOf(2))
      const less = yield* stream.expect("serve")
      assert.strictEqual(less.value.capacity, 1)
      stream.answer(done(given.id), heard(less.id))
      const polling = yield* Effect.forkChild(link.poll)
      assert.strictEqual((yield* stream.expect("serve")).value.capacity, 2)
      stream.answer(task(3))
      assert.strictEqual(Option.getOrThrow(yield* Fiber.join(polling)).runId, runOf(3))
    })
  )

  it.live("names runs that wait to be polled among those it holds", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      link.offer(1, 0)
      const { id } = yield* stream.expect("serve")
      stream.answer(heard(id), task(1))
      stream.end()
      const next = yield* server.accept
      const serving = yield* next.expect("serve")
      assert.deepStrictEqual(
        serving.value.heldRuns.map(({ runId }) => runId),
        [runOf(1)]
      )
      assert.strictEqual(serving.value.capacity, 1)
    })
  )

  it.live("passes on what the server says of a worker", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      const run = yield* polled(link, stream, 1)
      const lost = { runId: run.runId, leaseEpoch: 1n }
      stream.answer({ event: { case: "lost", value: { workerId, run: lost, ended: true } } })
      stream.answer({ event: { case: "lost", value: { workerId, run: { runId: runOf(9), leaseEpoch: 3n } } } })
      stream.answer({ event: { case: "drain", value: { workerId } } })
      stream.answer({ event: { case: "forgotten", value: { workerId } } })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Cancelled", held: { runId: runOf(1), lease: 1 } })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Lost", held: { runId: runOf(9), lease: 3 } })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Drain" })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Forgotten" })
    })
  )

  it.live("counts a worker as forgotten when the next stream refuses it", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server)
      stream.end()
      const next = yield* server.accept
      const { id } = yield* next.expect("serve")
      next.answer(refused(id, ErrorCode.NOT_FOUND, "no such worker"))
      assert.deepStrictEqual(yield* link.notice, { _tag: "Forgotten" })
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
