import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import type { Held } from "../../src/protocol/Protocol.ts"
import { json, startRequest } from "../contract/protocolRequests.ts"
import { serve } from "./scripted.ts"
import {
  serverNow,
  begun,
  begunAhead,
  completed,
  connected,
  done,
  heard,
  namespace,
  polled,
  refused,
  runOf,
  started,
  step,
  task,
  workerId
} from "./scriptedWorker.ts"

describe("a worker over a session", () => {
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

  it.live("waits for the beginning of a step until a sign of life is answered when the lease may have ended", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const held: Array<Held> = []
      // a lease is relied on for 1.75 intervals of heartbeats
      const { link, protocol, stream } = yield* connected(server, () => held, 1)
      const run = yield* polled(link, stream, 1)
      held.push(run)
      // the clock is the real one
      yield* Effect.sleep("1500 millis")
      const early = begunAhead(link, run, "early")
      const { id: first } = yield* stream.expect("heartbeat")
      const { id: earlyId } = yield* stream.expect("beginStep")
      yield* Effect.sleep("600 millis")
      // it says that the server is there, and nothing of how long the lease is good
      stream.answer(begun(earlyId, early.stepId, "early"))
      yield* stream.expect("heartbeat")
      const starting = yield* Effect.forkChild(protocol.start(startRequest(namespace)))
      const start = yield* stream.expect("startWorkflow")
      stream.answer(started(start.id, runOf(9)))
      yield* Fiber.join(starting)
      assert.isUndefined(link.beginAhead(run, step("late")))
      const beginning = yield* Effect.forkChild(link.beginStep(run, step("late")))
      const begin = yield* stream.expect("beginStep")
      assert.isUndefined(beginning.pollUnsafe())
      stream.answer(heard(first), begun(begin.id, begin.value.stepId))
      assert.isTrue((yield* Fiber.join(beginning)).execute)
      const { id: third } = yield* stream.expect("heartbeat")
      stream.answer(heard(third))
      const again = yield* Effect.forkChild(protocol.start(startRequest(namespace)))
      stream.answer(started((yield* stream.expect("startWorkflow")).id, runOf(8)))
      yield* Fiber.join(again)
      begunAhead(link, run, "renewed")
    })
  )

  it.live("waits for the beginning of a step of a run that took long to come", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server, () => [], 1)
      const late = yield* polled(link, stream, 1, 1, { ...serverNow(), seconds: serverNow().seconds - 3n })
      assert.isUndefined(link.beginAhead(late, step("late")))
      const early = yield* polled(link, stream, 2)
      begunAhead(link, early, "early")
      yield* stream.expect("beginStep")
      // this sign of life does not name the run that comes before it is answered
      yield* stream.expect("heartbeat")
      const doubtful = yield* polled(link, stream, 3)
      assert.isUndefined(link.beginAhead(doubtful, step("doubtful")))
    })
  )

  it.live("waits for the beginning of a step of a run that it has told the server nothing of", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server, () => [], 1)
      const run = yield* polled(link, stream, 1)
      const first = yield* stream.expect("heartbeat")
      assert.lengthOf(first.value.heldRuns, 1)
      stream.answer(heard(first.id))
      // nobody has reported it since it was polled, two heartbeats ago or nearly so
      let beat = yield* stream.expect("heartbeat")
      if (beat.value.heldRuns.length > 0) {
        stream.answer(heard(beat.id))
        beat = yield* stream.expect("heartbeat")
      }
      assert.lengthOf(beat.value.heldRuns, 0)
      assert.isUndefined(link.beginAhead(run, step("doubtful")))
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

  it.live("names a run twice that came again while the worker is at work on it, and is told which is gone", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const held: Array<Held> = []
      const { link, stream } = yield* connected(server, () => held)
      const old = yield* polled(link, stream, 1)
      held.push({ runId: old.runId, lease: old.lease })
      const again = yield* polled(link, stream, 1, 2)
      stream.end()
      const next = yield* server.accept
      const serving = yield* next.expect("serve")
      assert.sameDeepMembers(
        serving.value.heldRuns.map(({ leaseEpoch, runId }) => ({ runId, lease: Number(leaseEpoch) })),
        [
          { runId: runOf(1), lease: 1 },
          { runId: runOf(1), lease: 2 }
        ]
      )
      next.answer({
        id: serving.id,
        event: {
          case: "heard",
          value: { accepted: true, now: serverNow(), lostRuns: [{ runId: runOf(1), leaseEpoch: 1n }] }
        }
      })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Lost", held: { runId: runOf(1), lease: 1 } })
      assert.isDefined(link.beginAhead(again, step("a")))
      assert.isUndefined(link.beginAhead(old, step("a")))
    })
  )

  it.live("is not made certain of a run by the answer to a sign of life, if a later one did not name it", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { link, stream } = yield* connected(server, () => [], 1)
      const run = yield* polled(link, stream, 1)
      let beat = yield* stream.expect("heartbeat")
      assert.lengthOf(beat.value.heldRuns, 1)
      let earlier = beat
      while (beat.value.heldRuns.length > 0) {
        earlier = beat
        beat = yield* stream.expect("heartbeat")
      }
      stream.answer(heard(earlier.id))
      const starting = yield* Effect.forkChild(link.beginStep(run, step("a")))
      const begin = yield* stream.expect("beginStep")
      stream.answer(begun(begin.id, runOf(77), "a"))
      yield* Fiber.join(starting)
      assert.isUndefined(link.beginAhead(run, step("b")))
    })
  )

  it.live("numbers the streams over which it shows that it lives", () =>
    Effect.gen(function* () {
      const server = yield* serve()
      const { stream } = yield* connected(server, () => [], 1)
      assert.strictEqual((yield* stream.expect("heartbeat")).value.stream, 1)
      stream.end()
      for (const number of [2, 3]) {
        const next = yield* server.accept
        const serving = yield* next.expect("serve")
        assert.strictEqual(serving.value.stream, number)
        next.answer(heard(serving.id))
        assert.strictEqual((yield* next.expect("heartbeat")).value.stream, number)
        next.end()
      }
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
})
