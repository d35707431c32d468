/** What each want loads. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { type RunRecord, Store, type Wants, type WorkerRecord } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { at, endedRun, id, runIds, runOf, see, stepIds, stepOf, workerOf, write } from "./fixtures.ts"

type Claim = Wants["claims"][number]

const claim = (over: Partial<Claim> = {}): Claim => ({
  namespace: "default",
  taskQueue: "orders",
  workflowTypes: ["Order"],
  dueBy: at,
  limit: 10,
  ...over
})

const claimed = (...claims: ReadonlyArray<Claim>) => Effect.map(see({ claims }), (rows) => rows.claims)

export const wants = (test: Case) => {
  describe("runs by external id", () => {
    const order = { namespace: "default", externalId: "x" }
    const found = Effect.map(see({ externalIds: [order] }), runIds)
    test(
      "finds the active run, whatever ended before it",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            endedRun(1, { externalId: "x", createdAt: at - 1 }),
            endedRun(3, { externalId: "x", createdAt: at + 1 }),
            runOf(2, { externalId: "x", status: "SLEEPING" }),
            runOf(4, { externalId: "x", namespace: "other" }),
            runOf(5)
          ]
        })
        assert.deepStrictEqual(yield* found, [id(2)])
      })
    )
    test(
      "finds the newest that has ended when none is active, also among runs of one millisecond",
      Effect.gen(function* () {
        yield* write({ insertRuns: [endedRun(9, { externalId: "x" })] })
        yield* write({ insertRuns: [endedRun(3, { externalId: "x", status: "FAILED" })] })
        yield* write({ insertRuns: [endedRun(5, { externalId: "x", status: "CANCELLED" })] })
        assert.deepStrictEqual(yield* found, [id(5)])
      })
    )
    test(
      "finds nothing for an unknown id",
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* found, [])
      })
    )
  })

  const due = (n: number, over: Partial<RunRecord> = {}) => runOf(n, over)
  describe("claims", () => {
    test(
      "come in the order of due time, priority, age and run id, over all types asked for",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            due(1, { dueAt: at }),
            due(2, { dueAt: at, workflowType: "Refund" }),
            due(3, { dueAt: at, createdAt: at - 1 }),
            due(4, { dueAt: at, priority: 2, workflowType: "Refund" }),
            due(5, { dueAt: at, priority: 10 }),
            due(6, { dueAt: at - 1, priority: -5, createdAt: at + 1 }),
            due(7, { dueAt: at, workflowType: "Other" })
          ]
        })
        const expected = [6, 5, 4, 3, 1, 2].map(id)
        const workflowTypes = ["Refund", "Order", "Refund"]
        assert.deepStrictEqual(yield* claimed(claim({ workflowTypes })), [expected])
        assert.deepStrictEqual(yield* claimed(claim({ workflowTypes, limit: 4 })), [expected.slice(0, 4)])
      })
    )
    test(
      "are limited to the namespace, queue, types and time asked for, and answer one list for each",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            due(1),
            due(2, { namespace: "other" }),
            due(3, { taskQueue: "other" }),
            due(4, { workflowType: "Other" }),
            due(5, { dueAt: at + 1 }),
            endedRun(6)
          ]
        })
        assert.deepStrictEqual(
          yield* claimed(
            claim(),
            claim({ namespace: "other" }),
            claim({ taskQueue: "other" }),
            claim({ workflowTypes: ["Other"] }),
            claim({ dueBy: at + 1 }),
            claim({ dueBy: at - 1 }),
            claim({ workflowTypes: [] }),
            claim({ limit: 0 })
          ),
          [[id(1)], [id(2)], [id(3)], [id(4)], [id(1), id(5)], [], [], []]
        )
      })
    )
    test(
      "find sleeping runs and expired leases, and load the runs and their waits",
      Effect.gen(function* () {
        const sleeping = due(1, { status: "SLEEPING", stepCount: 1 })
        const expired = due(2, { status: "RUNNING", workerId: id(800), createdAt: at + 1 })
        const nap = stepOf(1, { kind: "SLEEP", dueAt: at })
        yield* write({ insertRuns: [sleeping, expired], insertSteps: [nap, stepOf(2)] })
        const rows = yield* see({ claims: [claim(), claim({ limit: 1 })] })
        assert.deepStrictEqual(rows.claims, [[id(1), id(2)], [id(1)]])
        assert.sameDeepMembers([...rows.runs], [sleeping, expired])
        assert.deepStrictEqual(rows.steps, [nap])
      })
    )
  })

  describe("limits", () => {
    const declaring = (n: number, over: Partial<WorkerRecord>) =>
      workerOf(n, { workflowTypes: ["Order", "Mail"], ...over })
    const running = (n: number, over: Partial<RunRecord> = {}) =>
      runOf(n, { status: "RUNNING", dueAt: at + n, workerId: id(801), ...over })
    const occupied = (workflowTypes: ReadonlyArray<string> = ["Order"], now = at) =>
      Store.use((store) => store.occupancy("default", "orders", workflowTypes, now))
    const orders = { namespace: "default", taskQueue: "orders" }
    test(
      "are the smallest that workers of the queue declare that are not offline",
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* occupied(), [])
        const strict = declaring(801, { queueConcurrencyLimit: 2, workflowTypeConcurrency: { Order: 1, Other: 1 } })
        yield* write({
          insertWorkers: [
            strict,
            declaring(802, { queueConcurrencyLimit: 10, workflowTypeConcurrency: { Order: 7 } }),
            declaring(803, { queueConcurrencyLimit: 1, taskQueue: "other" }),
            declaring(804, { queueConcurrencyLimit: 1, namespace: "other" }),
            declaring(805, { queueConcurrencyLimit: 1, status: "OFFLINE" })
          ]
        })
        assert.deepStrictEqual(yield* occupied(["Order", "Mail", "Order"]), [
          { ...orders, limit: 2, active: 0 },
          { ...orders, workflowType: "Order", limit: 1, active: 0 }
        ])
        yield* write({ updateWorkers: [{ ...strict, status: "DRAINING" }] })
        assert.deepStrictEqual((yield* occupied())[0]?.limit, 2)
        yield* write({ updateWorkers: [{ ...strict, status: "OFFLINE" }] })
        assert.deepStrictEqual(
          (yield* occupied()).map(({ limit }) => limit),
          [10, 7]
        )
        yield* write({ updateWorkers: [declaring(802, { workflowTypeConcurrency: { Order: 9 } })] })
        assert.deepStrictEqual(yield* occupied(), [{ ...orders, workflowType: "Order", limit: 9, active: 0 }])
      })
    )
    test(
      "count the runs that execute under a lease, up to one above the limit, and know when the first of those ends",
      Effect.gen(function* () {
        yield* write({
          insertWorkers: [declaring(801, { queueConcurrencyLimit: 3, workflowTypeConcurrency: { Order: 1 } })],
          insertRuns: [
            running(1),
            running(2),
            running(3),
            running(4, { workflowType: "Mail", dueAt: at + 1 }),
            running(5, { dueAt: at }),
            running(6, { taskQueue: "other" }),
            running(7, { namespace: "other" }),
            runOf(8, { status: "SLEEPING", dueAt: at + 1 }),
            runOf(9, { dueAt: at + 1 }),
            endedRun(10)
          ]
        })
        const [queue, type] = yield* occupied()
        assert.deepStrictEqual([queue?.active, type?.active, type?.freeAt], [4, 2, at + 1])
        assert.deepStrictEqual(yield* occupied(["Order"], at + 2), [
          { ...orders, limit: 3, active: 1, freeAt: at + 3 },
          { ...orders, workflowType: "Order", limit: 1, active: 1, freeAt: at + 3 }
        ])
        assert.deepStrictEqual((yield* occupied(["Order"], at + 3))[0], { ...orders, limit: 3, active: 0 })
      })
    )
    test(
      "may be as large as can be declared",
      Effect.gen(function* () {
        const limit = 2 ** 31 - 1
        yield* write({
          insertWorkers: [declaring(801, { queueConcurrencyLimit: limit, workflowTypeConcurrency: { Order: limit } })],
          insertRuns: [running(1)]
        })
        assert.deepStrictEqual(yield* occupied(), [
          { ...orders, limit, active: 1, freeAt: at + 1 },
          { ...orders, workflowType: "Order", limit, active: 1, freeAt: at + 1 }
        ])
      })
    )
    test(
      "come with claims, which then have as many runs of each type as are wanted in all",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            due(1, { dueAt: at - 3 }),
            due(2, { dueAt: at - 2 }),
            due(3, { dueAt: at - 1, workflowType: "Mail" }),
            due(4, { workflowType: "Mail" })
          ]
        })
        const wanted = claim({ workflowTypes: ["Order", "Mail"], limit: 1 })
        const free = yield* see({ claims: [wanted] })
        assert.deepStrictEqual([free.claims, free.occupancy], [[[id(1)]], []])
        yield* write({ insertWorkers: [declaring(801, { workflowTypeConcurrency: { Order: 1 } })] })
        const limited = yield* see({ claims: [wanted, claim({ limit: 2 })] })
        assert.deepStrictEqual(limited.claims, [
          [id(1), id(3)],
          [id(1), id(2)]
        ])
        assert.deepStrictEqual(limited.occupancy, [{ ...orders, workflowType: "Order", limit: 1, active: 0 }])
        assert.deepStrictEqual(runIds(limited), [id(1), id(2), id(3)])
      })
    )
    test(
      "come with the renewals of workers that hold a run whose lease has ended",
      Effect.gen(function* () {
        yield* write({
          insertWorkers: [declaring(801, { workflowTypeConcurrency: { Order: 1, Mail: 1 } }), declaring(802, {})],
          insertRuns: [running(1, { workerId: id(802) }), running(2)]
        })
        const workers = new Set([id(802)])
        const renewed = (now: number) =>
          Effect.map(
            see({ workers, workerRuns: workers, renewals: { workers, at: now } }),
            ({ occupancy }) => occupancy
          )
        assert.deepStrictEqual(yield* renewed(at), [])
        assert.deepStrictEqual(yield* renewed(at + 1), [
          { ...orders, workflowType: "Order", limit: 1, active: 1, freeAt: at + 2 }
        ])
      })
    )
  })

  describe("steps", () => {
    test(
      "by name are the latest attempt",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [runOf(1), runOf(2)],
          insertSteps: [
            stepOf(1, { name: "a", attempt: 10, position: 1 }),
            stepOf(2, { name: "a", attempt: 9, position: 1 }),
            stepOf(3, { name: "b" }),
            stepOf(4, { name: "a", runId: id(2), attempt: 11 })
          ]
        })
        const rows = yield* see({
          steps: [
            { runId: id(1), name: "a" },
            { runId: id(1), name: "c" }
          ]
        })
        assert.deepStrictEqual(stepIds(rows), [id(1)])
      })
    )
    test(
      "by name and id are the latest attempt and that one, where the name is known",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [runOf(1)],
          insertSteps: [stepOf(1, { name: "a", status: "FAILED" }), stepOf(2, { name: "a", attempt: 2 }), stepOf(3)]
        })
        const found = (name: string, stepId: string) =>
          Effect.map(see({ steps: [{ runId: id(1), name, stepId }] }), stepIds)
        assert.deepStrictEqual(yield* found("a", id(1)), [id(1), id(2)])
        assert.deepStrictEqual(yield* found("a", id(2)), [id(2)])
        assert.deepStrictEqual(yield* found("a", id(9)), [id(2)])
        assert.deepStrictEqual(yield* found("new", id(3)), [])
      })
    )
    test(
      "that wait are the latest attempts, pending or running, with a due time",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [runOf(1), runOf(2)],
          insertSteps: [
            stepOf(1, { kind: "SLEEP", dueAt: at }),
            stepOf(2, { status: "PENDING", name: "retried", attempt: 2, dueAt: at + 1 }),
            stepOf(3, { status: "RUNNING", name: "retried", attempt: 1, dueAt: at }),
            stepOf(4, { kind: "SLEEP", status: "COMPLETED", dueAt: at }),
            stepOf(5, { status: "FAILED", dueAt: at }),
            stepOf(6),
            stepOf(7, { runId: id(2), dueAt: at })
          ]
        })
        assert.deepStrictEqual(stepIds(yield* see({ waits: new Set([id(1)]) })), [id(1), id(2)])
      })
    )
    test(
      "found by several wants are loaded once",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)], insertSteps: [stepOf(1, { dueAt: at })] })
        const rows = yield* see({
          runs: new Set([id(1)]),
          externalIds: [{ namespace: "default", externalId: "order-1" }],
          stepIds: new Set([id(1)]),
          steps: [{ runId: id(1), name: "step-1" }],
          waits: new Set([id(1)])
        })
        assert.deepStrictEqual([runIds(rows), stepIds(rows)], [[id(1)], [id(1)]])
      })
    )
  })

  describe("workers", () => {
    const workers = (over: Partial<Wants>) =>
      Effect.map(see(over), (rows) => rows.workers.map((worker) => worker.workerId).sort())
    test(
      "by key are those not offline, and every part of the key counts",
      Effect.gen(function* () {
        const key = { namespace: "default", taskQueue: "orders", hostname: "host", pid: 1, instanceId: "a" }
        yield* write({
          insertWorkers: [
            workerOf(1, { ...key, status: "OFFLINE" }),
            workerOf(2, { ...key, status: "DRAINING" }),
            workerOf(3, { ...key, namespace: "other" }),
            workerOf(4, { ...key, taskQueue: "other" }),
            workerOf(5, { ...key, hostname: "other" }),
            workerOf(6, { ...key, pid: 2 }),
            workerOf(7, { ...key, instanceId: "" })
          ]
        })
        assert.deepStrictEqual(yield* workers({ workerKeys: [key] }), [id(2)])
        assert.deepStrictEqual(yield* workers({ workerKeys: [{ ...key, instanceId: "" }] }), [id(7)])
        assert.deepStrictEqual(yield* workers({ workerKeys: [{ ...key, instanceId: "c" }] }), [])
      })
    )
    const held = (n: number, worker: number, over: Partial<RunRecord> = {}) =>
      runOf(n, { status: "RUNNING", workerId: id(worker), ...over })
    test(
      "bring the runs they hold, not those they held",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [
            held(1, 801),
            held(2, 801, { taskQueue: "other", workflowType: "Other" }),
            held(3, 802),
            held(4, 801, { status: "PENDING" }),
            endedRun(5, { workerId: id(801) })
          ]
        })
        assert.deepStrictEqual(runIds(yield* see({ workerRuns: new Set([id(801)]) })), [id(1), id(2)])
      })
    )
    test(
      "unheard of since a time are found with the runs they hold",
      Effect.gen(function* () {
        yield* write({
          insertWorkers: [
            workerOf(801, { lastHeartbeatAt: at - 1, patienceMillis: 100 }),
            workerOf(802, { lastHeartbeatAt: at, patienceMillis: 100, status: "DRAINING" }),
            workerOf(803, { lastHeartbeatAt: at + 1, patienceMillis: 1 }),
            workerOf(804, { lastHeartbeatAt: at - 5, patienceMillis: 1, status: "OFFLINE" }),
            workerOf(805, { lastHeartbeatAt: at - 5, patienceMillis: 106 })
          ],
          insertRuns: [held(1, 801), held(2, 802), held(3, 803), held(4, 804), held(5, 805)]
        })
        const quiet = { since: at, now: at + 100 }
        const rows = yield* see({ quiet })
        assert.deepStrictEqual(runIds(rows), [id(1), id(2)])
        assert.deepStrictEqual(yield* workers({ quiet }), [id(801), id(802)])
        assert.deepStrictEqual(yield* workers({ quiet: { since: 0, now: at + 1_000 } }), [])
      })
    )
  })
}
