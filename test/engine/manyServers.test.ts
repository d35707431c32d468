/** Servers of one database: what each does of what others started, ended, made and left. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import type * as Engine from "../../src/engine/Engine.ts"
import { claim, register, start } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"
import { ask, bench, ended, heldOf, quietly, serve, type Server, server, servers, soon, until } from "./Servers.ts"

for (const deaf of [false, true]) {
  /** What is found by looking takes some seconds, and what is told does not. */
  const inTime = deaf ? Effect.timeout("12 seconds") : soon
  describe(deaf ? "a server whose hints are lost" : "a server that is told what others do", () => {
    it.live("hands runs that others start to workers of its own, whatever way they wait", () =>
      Effect.gen(function* () {
        const [a, b, c] = yield* servers(3, { deaf })
        const polling = yield* Effect.forkChild(claim(bench(b!), yield* register(bench(b!))))
        const { told } = serve(c!, yield* register(bench(c!)), 10)
        yield* Effect.sleep("50 millis")
        yield* start(bench(a!))
        const third = yield* Effect.forEach([1, 2, 3], () => start(bench(a!)))
        assert.strictEqual(third.length, 3)
        yield* inTime(until(() => told.tasks.length + (polling.pollUnsafe() === undefined ? 0 : 1) >= 4))
        assert.isAtLeast(told.tasks.length, 3)
        yield* Fiber.interrupt(polling)
      }).pipe(quietly, Effect.scoped)
    )

    it.live("tells the results of runs that end elsewhere, of many at once too", () =>
      Effect.gen(function* () {
        const [a, b, c] = yield* servers(3, { deaf })
        const count = 50
        const runs = yield* Effect.forEach(Array.from({ length: count }), () => start(bench(a!)), {
          concurrency: "unbounded"
        })
        const watching = yield* Effect.forEach(runs, ({ runId }) => Effect.forkChild(ended(c!, runId)))
        const long = yield* Effect.forkChild(c!.engine.awaitRun("default", runs[0]!.runId, 30_000))
        yield* Effect.sleep("50 millis")
        const { told } = serve(b!, yield* register(bench(b!)), count)
        yield* inTime(until(() => told.tasks.length === count))
        yield* Effect.forEach(
          told.tasks,
          (task) => b!.engine.execute({ _tag: "CompleteRun", ...heldOf(task), output: payload(task.run.runId) }),
          { concurrency: "unbounded" }
        )
        const results = yield* inTime(Effect.forEach(watching, Fiber.join))
        for (const [index, result] of results.entries()) {
          const { success } = result as { success: { status: string; output: unknown } }
          assert.strictEqual(success.status, "COMPLETED")
          assert.deepStrictEqual(success.output, payload(runs[index]!.runId))
        }
        assert.strictEqual((yield* inTime(Fiber.join(long))).status, "COMPLETED")
      }).pipe(quietly, Effect.scoped)
    )

    it.live("tells a worker of runs that were ended elsewhere, and a client that came for one of them", () =>
      Effect.gen(function* () {
        const [a, b] = yield* servers(2, { deaf })
        const { told } = serve(a!, yield* register(bench(a!)), 2)
        yield* start(bench(a!))
        yield* start(bench(a!))
        yield* soon(until(() => told.tasks.length === 2))
        const [cancelled, terminated] = told.tasks.map(heldOf)
        yield* b!.engine.execute({ _tag: "CancelRun", ...cancelled! })
        const result = yield* Effect.forkChild(ended(a!, cancelled!.runId), { startImmediately: true })
        yield* b!.engine.execute({ _tag: "TerminateRun", ...terminated!, reason: "" })
        yield* inTime(until(() => told.lost.length === 2))
        assert.deepStrictEqual(
          told.lost.map(({ ended }) => ended),
          [true, true]
        )
        const { success } = (yield* inTime(Fiber.join(result))) as { success: { status: string } }
        assert.strictEqual(success.status, "CANCELLED")
      }).pipe(quietly, Effect.scoped)
    )

    it.live("fires schedules that others make, once for each time", () =>
      Effect.gen(function* () {
        const three = yield* servers(3, { deaf })
        yield* createSchedule(three[0]!)
        yield* Effect.sleep("3500 millis")
        const { items } = yield* three[1]!.engine.listRuns({ namespace: "default" }, { limit: 100, count: false })
        const slots = items.map(({ externalId }) => externalId)
        assert.isAtLeast(slots.length, 2)
        assert.deepStrictEqual(slots, [...new Set(slots)])
        assert.isAtMost(slots.length, 4)
      }).pipe(quietly, Effect.scoped)
    )
  })
}

const createSchedule = Effect.fnUntraced(function* (on: Server) {
  const { engine } = on
  const scheduleId = yield* engine.newId
  yield* engine.execute({
    _tag: "CreateSchedule",
    scheduleId,
    namespaceId: yield* engine.newId,
    namespace: "default",
    taskQueue: "scheduled",
    workflowType: "order",
    cronExpr: "* * * * * *",
    timezone: "",
    version: "",
    enabled: true,
    maxCatchup: 0,
    overlap: "allow",
    input: payload(null)
  })
  return scheduleId
})

describe("servers of one database", () => {
  it.live("ask once each for a run that one of them gets, and not again and again", () =>
    Effect.gen(function* () {
      const four = yield* servers(4)
      const told = yield* Effect.forEach(four.slice(1), (each) =>
        Effect.map(register(bench(each)), (workerId) => serve(each, workerId, 5).told)
      )
      yield* Effect.sleep("100 millis")
      for (const each of four) each.claims.asked = 0
      yield* start(bench(four[0]!))
      yield* soon(until(() => told.flatMap(({ tasks }) => tasks).length === 1))
      yield* Effect.sleep("300 millis")
      const asked = four.map(({ claims }) => claims.asked)
      // once where it is gone, twice where it turned out to be locked or where room was left
      assert.isAtMost(Math.max(...asked), 4, `claims: ${asked}`)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("never execute more at a time than a limit allows, and use what it allows", () =>
    Effect.gen(function* () {
      const three = yield* servers(3)
      const limit = 2
      const count = 30
      const executing = new Set<string>()
      const executed = new Set<string>()
      let most = 0
      const workers = yield* Effect.forEach(three, (each) =>
        Effect.map(register(bench(each), ["order"], { queueConcurrencyLimit: limit }), (workerId) => ({
          each,
          ...serve(each, workerId, 10)
        }))
      )
      const execute = ({ each, serving }: (typeof workers)[number], task: Engine.Task) =>
        Effect.gen(function* () {
          executing.add(task.run.runId)
          most = Math.max(most, executing.size)
          yield* Effect.sleep("20 millis")
          executing.delete(task.run.runId)
          yield* each.engine.execute({ _tag: "CompleteRun", ...heldOf(task), output: payload(null) })
          serving.drop(task.run.runId)
          executed.add(task.run.runId)
        })
      // one server may get all that the limit allows: each executes what it has at the same time
      const work = (worker: (typeof workers)[number]) =>
        Effect.gen(function* () {
          for (;;) {
            const task = worker.told.tasks.shift()
            yield* task === undefined ? Effect.sleep("1 millis") : Effect.forkChild(execute(worker, task))
          }
        })
      const working = yield* Effect.forEach(workers, (worker) => Effect.forkChild(work(worker)))
      yield* Effect.forEach(Array.from({ length: count }), (_, n) => start(bench(three[n % 3]!)), {
        concurrency: "unbounded"
      })
      yield* Effect.timeout(
        until(() => executed.size === count),
        "20 seconds"
      )
      assert.strictEqual(most, limit)
      yield* Fiber.interruptAll(working)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("take a silent worker's runs away once, all of them at the same time", () =>
    Effect.gen(function* () {
      const three = yield* servers(3, { staleMillis: 600, heartbeatMillis: 200 })
      const [a, b] = three
      const gone = yield* register(bench(a!))
      const { told, serving } = serve(a!, gone, 5)
      yield* start(bench(a!))
      yield* soon(until(() => told.tasks.length === 1))
      const { runId } = told.tasks[0]!.run
      const next = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (;;) {
            const task = yield* claim(bench(b!), yield* register(bench(b!)), { timeoutMillis: 300 })
            if (task !== undefined) return task
          }
        })
      )
      const task = yield* soon(Fiber.join(next))
      assert.strictEqual(task.run.runId, runId)
      assert.strictEqual(task.lease, 2)
      yield* soon(until(() => told.forgotten + told.replaced === 1))
      const late = yield* Effect.flip(
        a!.engine.execute({ _tag: "CompleteRun", ...heldOf(told.tasks[0]!), output: payload(1) })
      )
      assert.strictEqual(late._tag, "PreconditionFailed")
      serving.close()
      const record = yield* b!.store.getRunRecord("default", runId)
      assert.strictEqual(record._tag === "Some" ? record.value.expiries : -1, 1)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("go by the database's clock, however wrong their own are", () =>
    Effect.gen(function* () {
      const real = yield* Clock.Clock
      const skewed = (millis: number): Clock.Clock => ({
        ...real,
        currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + millis,
        currentTimeMillis: Effect.sync(() => real.currentTimeMillisUnsafe() + millis),
        currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n,
        currentTimeNanos: Effect.sync(() => real.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n),
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
        sleep: (duration) => real.sleep(duration)
      })
      const at = (millis: number) =>
        Effect.provideService(server({ leaseMillis: 2_000, heartbeatMillis: 1_000 }), Clock.Clock, skewed(millis))
      const slow = yield* at(-600_000)
      const fast = yield* at(600_000)
      const before = real.currentTimeMillisUnsafe()
      const { serving, told } = serve(slow, yield* register(bench(slow)), 1)
      const { runId } = yield* start(bench(fast))
      yield* soon(until(() => told.tasks.length === 1))
      const task = told.tasks[0]!
      serving.close()
      const after = real.currentTimeMillisUnsafe()
      for (const time of [task.run.createdAt, task.claimedAt]) {
        assert.isAtLeast(time, before - 50)
        assert.isAtMost(time, after + 50)
      }
      // a timer that the one starts and the other ends
      const run = heldOf(task)
      const stepId = yield* slow.engine.newId
      yield* slow.engine.execute({
        _tag: "BeginStep",
        ...run,
        stepId,
        name: "nap",
        kind: "SLEEP",
        input: payload(null),
        sleep: { millis: 700 }
      })
      const began = real.currentTimeMillisUnsafe()
      const { suspended } = yield* slow.engine.execute({ _tag: "SuspendRun", ...run })
      assert.isTrue(suspended)
      const woken = yield* soon(claim(bench(fast), yield* register(bench(fast))))
      const slept = real.currentTimeMillisUnsafe() - began
      assert.strictEqual(woken?.run.runId, runId)
      assert.isAtLeast(slept, 650)
      assert.isAtMost(slept, 2_000)
      // a lease that one grants and nobody renews
      const claimed = real.currentTimeMillisUnsafe()
      const other = yield* register(bench(slow))
      const again = yield* Effect.timeout(claim(bench(slow), other), "8 seconds")
      assert.strictEqual(again?.run.runId, runId)
      assert.isAtLeast(real.currentTimeMillisUnsafe() - claimed, 1_900)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("know a worker by one id that registers with all of them at once, and make a namespace once", () =>
    Effect.gen(function* () {
      const three = yield* servers(3)
      for (let n = 0; n < 10; n++) {
        const fields = { namespace: `new-${n}`, instanceId: `instance-${n}` }
        const ids = yield* Effect.forEach(three, (each) => register(bench(each), ["order"], fields), {
          concurrency: "unbounded"
        })
        assert.strictEqual(new Set(ids).size, 1)
        yield* Effect.forEach(
          three,
          ({ engine }) => engine.execute({ _tag: "Heartbeat", workerId: ids[0]!, held: [] }),
          {
            concurrency: "unbounded"
          }
        )
      }
    }).pipe(quietly, Effect.scoped)
  )

  it.live("tell a worker that is to drain, and one that is gone", () =>
    Effect.gen(function* () {
      const [a, b] = yield* servers(2)
      const workerId = yield* register(bench(a!))
      const { told } = serve(a!, workerId, 1)
      yield* b!.engine.execute({ _tag: "DrainWorker", workerId })
      yield* soon(until(() => told.drains === 1))
      yield* b!.engine.execute({ _tag: "DeregisterWorker", workerId, drain: false })
      yield* soon(until(() => told.forgotten === 1))
    }).pipe(quietly, Effect.scoped)
  )

  it.live("take a worker over from each other with what it holds, and put back what never reached it", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* servers(3, { staleMillis: 2_000, heartbeatMillis: 1_000 })
      const workerId = yield* register(bench(a!))
      const first = serve(a!, workerId, 2)
      yield* start(bench(a!))
      yield* start(bench(a!))
      yield* soon(until(() => first.told.tasks.length === 2))
      const [reached, lost] = first.told.tasks
      // the worker is heard of by another server, which never saw it, and names one of the two
      const held = [{ runId: reached!.run.runId, lease: reached!.lease }]
      const heard = yield* b!.engine.execute({ _tag: "Heartbeat", workerId, held, resumes: true })
      assert.deepStrictEqual([heard.lost, heard.cancelled], [[], []])
      const second = serve(b!, workerId, 2, held)
      yield* soon(until(() => second.told.tasks.length === 1))
      assert.strictEqual(second.told.tasks[0]!.run.runId, lost!.run.runId)
      assert.strictEqual(second.told.tasks[0]!.lease, 2)
      const late = yield* Effect.flip(
        a!.engine.execute({ _tag: "CompleteRun", ...heldOf(lost!), output: payload("stale") })
      )
      assert.strictEqual(late._tag, "PreconditionFailed")
      yield* c!.engine.execute({ _tag: "CompleteRun", ...heldOf(reached!), output: payload("1") })
      // the first one does not go on sending runs to nowhere
      const beat = Effect.gen(function* () {
        for (;;) {
          yield* Effect.sleep("500 millis")
          const held = second.told.tasks.map(({ lease, run: { runId } }) => ({ runId, lease }))
          yield* b!.engine.execute({ _tag: "Heartbeat", workerId, held })
          second.serving.heardAt = yield* b!.engine.now
        }
      })
      const beating = yield* Effect.forkChild(beat)
      yield* Effect.timeout(
        until(() => first.told.replaced === 1),
        "15 seconds"
      )
      assert.strictEqual(second.told.replaced, 0)
      yield* Fiber.interrupt(beating)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("let go of a worker at once that is served elsewhere, and of none that was heard of since", () =>
    Effect.gen(function* () {
      const [a, b] = yield* servers(2)
      const workerId = yield* register(bench(a!))
      const first = serve(a!, workerId, 10, [], yield* a!.engine.now)
      const moved = Effect.fnUntraced(function* (to: Server) {
        // their clocks differ by as much as the database takes to answer
        yield* Effect.sleep("50 millis")
        const at = yield* to.engine.now
        return { at, ...serve(to, workerId, 10, [], at) }
      })
      const second = yield* moved(b!)
      yield* soon(until(() => first.told.replaced === 1))
      yield* start(bench(a!))
      yield* soon(until(() => second.told.tasks.length === 1))
      assert.lengthOf(first.told.tasks, 0)

      const third = yield* moved(a!)
      yield* soon(until(() => second.told.replaced === 1))
      // told once more, late
      b!.store.tell?.({ _tag: "WorkerServed", workerId, at: second.at })
      const repeated = () => a!.heard.filter((hint) => hint._tag === "WorkerServed" && hint.at === second.at)
      yield* soon(until(() => repeated().length === 2))
      yield* start(bench(b!))
      yield* soon(until(() => third.told.tasks.length === 1))
      assert.strictEqual(third.told.replaced, 0)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("start one run for each id, whoever is asked, and carry out the commands of a run in their order", () =>
    Effect.gen(function* () {
      const three = yield* servers(3, { slowness: 8 })
      // slow enough for several lanes, which servers find out
      for (const each of three) for (let n = 0; n < 25; n++) yield* start(bench(each))
      for (const { transactions } of three) assert.strictEqual(transactions.most, 1)
      const ids = Array.from({ length: 20 }, (_, n) => `same-${n}`)
      const replies = yield* Effect.forEach(
        ids.flatMap((externalId) => three.map((each) => ({ each, externalId }))),
        ({ each, externalId }) =>
          Effect.map(start(bench(each), { externalId }), ({ runId }) => ({ externalId, runId })),
        { concurrency: "unbounded" }
      )
      for (const id of ids) {
        const runs = replies.filter(({ externalId }) => externalId === id).map(({ runId }) => runId)
        assert.strictEqual(new Set(runs).size, 1)
      }
      const { told } = serve(three[0]!, yield* register(bench(three[0]!)), 1_000)
      const count = ids.length + 75
      yield* soon(until(() => told.tasks.length === count))
      const done: Array<string> = []
      const { engine } = three[0]!
      for (const task of told.tasks) {
        const run = heldOf(task)
        for (let n = 0; n < 5; n++) {
          const stepId = engine.newIdUnsafe()
          const step = { ...run, stepId, name: `step-${n}`, kind: "FUNCTION" as const, input: payload(n) }
          engine.submit({ _tag: "BeginStep", ...step }, (reply) => done.push(`${run.runId} ${reply._tag}`))
          engine.submit({ _tag: "CompleteStep", ...run, stepId, output: payload(n) }, (reply) =>
            done.push(`${run.runId} ${reply._tag}`)
          )
        }
        engine.submit({ _tag: "CompleteRun", ...run, output: payload(null) }, (reply) =>
          done.push(`${run.runId} ${reply._tag}`)
        )
      }
      yield* soon(until(() => done.length === 11 * count))
      assert.deepStrictEqual(
        done.filter((line) => !line.endsWith("Success")),
        []
      )
      assert.isAbove(three[0]!.transactions.most, 1)
    }).pipe(quietly, Effect.scoped)
  )

  it.live("look at everything again when the connection that hints come over was lost", () =>
    Effect.gen(function* () {
      const [a, b] = yield* servers(2)
      const { runId } = yield* start(bench(a!))
      const result = yield* Effect.forkChild(ended(a!, runId), { startImmediately: true })
      const task = yield* claim(bench(b!), yield* register(bench(b!)))
      yield* Effect.sleep("100 millis")
      const missed = a!.heard.filter(({ _tag }) => _tag === "Missed").length
      yield* ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`)
      yield* b!.engine.execute({ _tag: "CompleteRun", ...heldOf(task!), output: payload("1") })
      const { success } = (yield* soon(Fiber.join(result))) as { success: { status: string } }
      assert.strictEqual(success.status, "COMPLETED")
      assert.isAbove(a!.heard.filter(({ _tag }) => _tag === "Missed").length, missed)
    }).pipe(Effect.scoped)
  )

  it.live("tell who waits for a run that it ended and was removed before they heard of it", () =>
    Effect.gen(function* () {
      const [a, b] = yield* servers(2, { deaf: true })
      const { runId } = yield* start(bench(a!))
      const waiting = yield* Effect.forkChild(ended(b!, runId), { startImmediately: true })
      const long = yield* Effect.forkChild(Effect.flip(b!.engine.awaitRun("default", runId, 30_000)))
      const task = yield* claim(bench(a!), yield* register(bench(a!)))
      yield* a!.engine.execute({ _tag: "CompleteRun", ...heldOf(task!), output: payload("1") })
      const which = { namespace: "default", status: "COMPLETED", endedBy: Number.MAX_SAFE_INTEGER } as const
      assert.strictEqual((yield* a!.store.removeEnded(which, { rows: 10, bytes: 1_000 })).removed, 1)
      const { failure } = (yield* Effect.timeout(Fiber.join(waiting), "12 seconds")) as { failure: { _tag: string } }
      assert.strictEqual(failure._tag, "NotFound")
      assert.strictEqual((yield* Effect.timeout(Fiber.join(long), "12 seconds"))._tag, "NotFound")
    }).pipe(Effect.scoped)
  )

  it.live("remove ended runs at the same time, each once, while others are started and ended", () =>
    Effect.gen(function* () {
      // all that have ended are to be removed at once
      const three = yield* servers(3, { retentionMillis: 1 })
      const kept = yield* start(bench(three[0]!), { taskQueue: "other" })
      yield* Effect.forEach(
        Array.from({ length: 600 }, (_, n) => three[n % 3]!),
        (on) =>
          Effect.gen(function* () {
            const { runId } = yield* start(bench(on))
            yield* on.engine.execute({ _tag: "TerminateRun", namespace: "default", runId, reason: "enough" })
          }),
        { concurrency: 50, discard: true }
      )
      const count = Effect.map(three[1]!.engine.stats(), ({ runs }) => runs)
      yield* Effect.timeout(
        Effect.repeat(Effect.tap(count, Effect.sleep("20 millis")), { until: (runs) => runs === 1 }),
        "20 seconds"
      )
      assert.deepStrictEqual(yield* ask("SELECT run_id FROM kagzi.runs"), [{ run_id: kept.runId }])
    }).pipe(quietly, Effect.scoped)
  )
})
