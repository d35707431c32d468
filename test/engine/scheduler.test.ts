/** Schedules fire by the clock, whoever else fires them too and whatever breaks. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Engine from "../../src/engine/Engine.ts"
import type { CreateSchedule } from "../../src/engine/ScheduleCommand.ts"
import { type Changes, type Shape, Store, StoreError } from "../../src/store/Store.ts"
import * as Stores from "../support/stores.ts"
import { settle } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"

const at = (text: string) => Date.parse(text)
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** An engine on a store, with the others that are on it. */
const openEngine = (store: Shape) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Engine.layer({ staleMillis: 1_000 * day })).pipe(Layer.provide(Layer.succeed(Store, store)))
    ),
    (context) => Context.get(context, Engine.Engine)
  )

type EngineShape = Engine.Engine["Service"]

const create = Effect.fnUntraced(function* (engine: EngineShape, fields: Partial<CreateSchedule> = {}) {
  return yield* engine.execute({
    _tag: "CreateSchedule",
    scheduleId: yield* engine.newId,
    namespaceId: yield* engine.newId,
    namespace: "default",
    taskQueue: "queue",
    workflowType: "order",
    cronExpr: "0 * * * *",
    timezone: "UTC",
    version: "",
    input: payload(null),
    enabled: true,
    maxCatchup: 50,
    overlap: "allow",
    ...fields
  })
})

const slotIn = /@(.*):00\.000Z$/

/** The slots that have runs, the earliest first. */
const slots = Effect.fnUntraced(function* (store: Shape, scheduleId: string) {
  const { items } = yield* store.listRuns({ namespace: "default", scheduleId }, { limit: 10_000, count: false })
  return items.map((run) => slotIn.exec(run.externalId)?.[1] ?? run.externalId).sort()
})

/** Lets time pass in steps, so that what is due comes up at its time and not all at once. */
const pass = Effect.fnUntraced(function* (millis: number, step: number) {
  for (let passed = 0; passed < millis; passed += step) {
    yield* TestClock.adjust(step)
    yield* settle
  }
})

const begin = (text: string) => TestClock.setTime(at(text))

describe("a schedule", () => {
  it.effect("fires at its millisecond", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:59:00Z")
      const store = yield* Stores.open
      const engine = yield* openEngine(store)
      const { scheduleId } = yield* create(engine)
      yield* TestClock.adjust(minute - 1)
      yield* settle
      assert.deepStrictEqual(yield* slots(store, scheduleId), [])
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(yield* slots(store, scheduleId), ["2026-05-04T01:00"])
    })
  )

  it.effect("that comes up, or is changed to be, before the one that is waited for is not late", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:10:00Z")
      const store = yield* Stores.open
      const engine = yield* openEngine(store)
      const late = yield* create(engine)
      yield* settle
      const early = yield* create(engine, { cronExpr: "20 * * * *" })
      const changed = yield* create(engine, { cronExpr: "50 23 * * *" })
      yield* settle
      yield* engine.execute({
        _tag: "UpdateSchedule",
        namespace: "default",
        scheduleId: changed.scheduleId,
        nextFireAt: at("2026-05-04T00:25:00Z")
      })
      yield* settle
      yield* TestClock.adjust(10 * minute)
      yield* settle
      assert.deepStrictEqual(yield* slots(store, early.scheduleId), ["2026-05-04T00:20"])
      yield* TestClock.adjust(5 * minute)
      yield* settle
      assert.deepStrictEqual(yield* slots(store, changed.scheduleId), ["2026-05-04T00:25"])
      assert.deepStrictEqual(yield* slots(store, late.scheduleId), [])
    })
  )

  it.effect("wakes a worker that waits for its runs", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:59:30Z")
      const engine = yield* Effect.flatMap(Stores.open, openEngine)
      const { scheduleId } = yield* create(engine)
      const worker = yield* engine.execute({
        _tag: "RegisterWorker",
        workerId: yield* engine.newId,
        namespaceId: yield* engine.newId,
        namespace: "default",
        taskQueue: "queue",
        hostname: "host",
        pid: 1,
        instanceId: "",
        version: "1",
        workflowTypes: ["order"],
        labels: {},
        workflowTypeConcurrency: {}
      })
      const waiting = yield* Effect.forkChild(
        engine.claim({ namespace: "default", taskQueue: "queue", workerId: worker.workerId, workflowTypes: ["order"] })
      )
      yield* TestClock.adjust(30_000)
      yield* settle
      const exit = waiting.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && exit.value?.run.scheduleId === scheduleId)
    })
  )

  it.effect("nobody is kept busy by those that are paused or have no time left", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:59:30Z")
      const store = yield* Stores.open
      let reads = 0
      const engine = yield* openEngine({
        ...store,
        schedulesByDue: (...args) =>
          Effect.andThen(
            Effect.sync(() => reads++),
            store.schedulesByDue(...args)
          )
      })
      yield* create(engine, { enabled: false })
      yield* create(engine, { cronExpr: "0 0 30 2 *" })
      yield* settle
      const before = reads
      yield* TestClock.adjust(400 * day)
      yield* settle
      assert.strictEqual(reads, before)
    })
  )
})

describe("several engines on one store", () => {
  it.effect("fire each slot once, and go on when one of them is gone", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:30:00Z")
      const store = yield* Stores.open
      const scopes = yield* Effect.forEach([1, 2, 3], () => Scope.make())
      const first = yield* Scope.provide(openEngine(store), scopes[0]!)
      const schedules = yield* Effect.forEach(["*/20 * * * *", "0 */2 * * *", "30 15 * * * *"], (cronExpr) =>
        create(first, { cronExpr })
      )
      for (const scope of scopes.slice(1)) yield* Scope.provide(openEngine(store), scope)
      yield* settle
      yield* pass(6 * hour, 5 * minute)
      yield* Scope.close(scopes[0]!, Exit.void)
      yield* pass(6 * hour, 5 * minute)

      const expected = (every: number, from: number) =>
        Array.from({ length: Math.ceil((12 * hour) / every) }, (_, index) =>
          new Date(at("2026-05-04T00:00:00Z") + from * minute + index * every).toISOString().slice(0, 16)
        ).filter((slot) => slot > "2026-05-04T00:30" && slot <= "2026-05-04T12:30")
      const found = yield* Effect.forEach(schedules, ({ scheduleId }) => slots(store, scheduleId))
      assert.deepStrictEqual(found[0], [...expected(20 * minute, 0), "2026-05-04T12:00", "2026-05-04T12:20"])
      assert.deepStrictEqual(found[1], [...expected(2 * hour, 0), "2026-05-04T12:00"])
      assert.strictEqual(found[2]?.length, 12)
      assert.strictEqual(new Set(found[2]).size, 12)
      for (const [index, schedule] of schedules.entries()) {
        const row = yield* Effect.flatMap(store.getSchedule("default", schedule.scheduleId), Effect.fromOption)
        assert.strictEqual(row.totalRuns, found[index]?.length)
      }
      for (const scope of scopes.slice(1)) yield* Scope.close(scope, Exit.void)
    })
  )
})

describe("after a time without any engine", () => {
  /** What a schedule fires that missed a day and 20 minutes. */
  const afterDowntime = (fields: Partial<CreateSchedule>, from: string, downtime: number) =>
    Effect.gen(function* () {
      yield* begin(from)
      const store = yield* Stores.open
      const { scheduleId } = yield* Effect.scoped(Effect.flatMap(openEngine(store), (engine) => create(engine, fields)))
      yield* TestClock.adjust(downtime)
      yield* openEngine(store)
      yield* settle
      return yield* slots(store, scheduleId)
    })

  const missed = ["06", "07", "08", "09", "10", "11"].map((found) => `2026-05-04T${found}:00`)
  for (const [maxCatchup, expected] of [
    [0, missed.slice(-1)],
    [3, missed.slice(-3)],
    [-1, missed]
  ] as const) {
    it.effect(`a schedule with a limit of ${maxCatchup} makes up for ${expected.length} of 6 slots`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* afterDowntime({ maxCatchup }, "2026-05-04T05:30:00Z", 6 * hour), expected)
      })
    )
  }

  it.effect("a schedule without a limit makes up for thousands of slots", () =>
    Effect.gen(function* () {
      const found = yield* afterDowntime(
        { maxCatchup: -1, cronExpr: "* * * * *" },
        "2026-05-04T05:30:30Z",
        2_500 * minute
      )
      assert.strictEqual(found.length, 2_500)
      assert.strictEqual(new Set(found).size, 2_500)
    })
  )

  it.effect("slots around changes of the clock are made up for like others", () =>
    Effect.gen(function* () {
      const daily = (timezone: string, from: string) =>
        afterDowntime({ maxCatchup: -1, cronExpr: "30 2 * * *", timezone }, from, 2 * day)
      assert.deepStrictEqual(yield* daily("Europe/Berlin", "2026-03-28T12:00:00Z"), [
        "2026-03-29T01:30",
        "2026-03-30T00:30"
      ])
      assert.deepStrictEqual(yield* daily("Europe/Berlin", "2026-10-24T12:00:00Z"), [
        "2026-10-25T00:30",
        "2026-10-26T01:30"
      ])
      assert.deepStrictEqual(yield* daily("America/New_York", "2026-03-07T12:00:00Z"), [
        "2026-03-08T07:30",
        "2026-03-09T06:30"
      ])
      assert.deepStrictEqual(yield* daily("America/New_York", "2026-10-31T12:00:00Z"), [
        "2026-11-01T07:30",
        "2026-11-02T07:30"
      ])
    })
  )
})

describe("what breaks", () => {
  const busy = new StoreError({ message: "busy", transient: true })
  const refused = new StoreError({ message: "refused", transient: false })

  /** Fails where the test says: before a transaction has any effect, or when it has been committed already. */
  const faulty = (store: Shape, fault: (changes: Changes) => "before" | "after" | undefined, error = busy): Shape => ({
    ...store,
    transact: (wants, decide) =>
      Effect.suspend(() => {
        let found: "before" | "after" | undefined
        const ghost = { runId: "00000000-0000-0000-0000-000000000000", payload: payload(null) }
        return store
          .transact(wants, (rows) => {
            const decided = decide(rows)
            found = fault(decided.changes)
            return found === "before" ? { ...decided, changes: { ...decided.changes, outputs: [ghost] } } : decided
          })
          .pipe(
            Effect.mapError((failed) => (found === undefined ? failed : error)),
            Effect.flatMap((value) => (found === "after" ? Effect.fail(error) : Effect.succeed(value)))
          )
      })
  })

  for (const when of ["before", "after"] as const) {
    it.effect(`a transaction that fails ${when} its commit leaves no slot without a run, and none with two`, () =>
      Effect.gen(function* () {
        yield* begin("2026-05-04T00:30:00Z")
        const store = yield* Stores.open
        let firings = 0
        const engine = yield* openEngine(
          faulty(store, (changes) => (changes.insertRuns.length > 0 && ++firings % 3 !== 0 ? when : undefined))
        )
        const { scheduleId } = yield* create(engine, { cronExpr: "*/10 * * * *" })
        yield* pass(3 * hour, minute)
        yield* TestClock.adjust(minute)
        yield* settle
        const found = yield* slots(store, scheduleId)
        assert.strictEqual(found.length, 18)
        assert.strictEqual(new Set(found).size, 18)
        assert.isAtLeast(firings, 18)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
    )
  }

  it.effect("one schedule that can't be fired holds up no other, and fires when it can be", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:30:00Z")
      const store = yield* Stores.open
      let broken = ""
      const engine = yield* openEngine(
        faulty(
          store,
          (changes) => (changes.insertRuns.some((run) => run.scheduleId === broken) ? "before" : undefined),
          refused
        )
      )
      const [first, second] = [yield* create(engine), yield* create(engine)]
      broken = first.scheduleId
      yield* pass(2 * hour, 10 * minute)
      const hours = ["2026-05-04T01:00", "2026-05-04T02:00"]
      assert.deepStrictEqual(
        [yield* slots(store, first.scheduleId), yield* slots(store, second.scheduleId)],
        [[], hours]
      )
      broken = ""
      yield* pass(minute, 1_000)
      assert.deepStrictEqual(yield* slots(store, first.scheduleId), hours)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.effect("a store that can't be read for a while makes nobody miss a slot", () =>
    Effect.gen(function* () {
      yield* begin("2026-05-04T00:30:00Z")
      const store = yield* Stores.open
      let down = false
      const engine = yield* openEngine({
        ...store,
        schedulesByDue: (...args) => (down ? Effect.fail(busy) : store.schedulesByDue(...args))
      })
      const { scheduleId } = yield* create(engine)
      yield* settle
      down = true
      yield* pass(hour, 10 * minute)
      assert.deepStrictEqual(yield* slots(store, scheduleId), [])
      down = false
      yield* pass(minute, 1_000)
      assert.deepStrictEqual(yield* slots(store, scheduleId), ["2026-05-04T01:00"])
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )
})
