/** What `transact` writes, and what it leaves alone. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Option } from "effect"
import { type RunRecord, Store } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import {
  at,
  endedRun,
  fullRun,
  fullStep,
  id,
  namespaceOf,
  noChanges,
  noWants,
  payload,
  runOf,
  see,
  stepOf,
  workerOf,
  write
} from "./fixtures.ts"

/** Every byte, so that nothing treats payloads as text. */
const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 31) % 256)

export const transactions = (test: Case) => {
  describe("records", () => {
    test(
      "runs come back as they were written, with and without optional fields",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1), fullRun(2), endedRun(3)] })
        const { runs } = yield* see({ runs: new Set([id(1), id(2), id(3), id(4)]) })
        assert.sameDeepMembers([...runs], [runOf(1), fullRun(2), endedRun(3)])
      })
    )
    test(
      "an update sets and clears what may change of a run",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1), fullRun(2)] })
        const set = { ...fullRun(1), externalId: "order-1", priority: 0 }
        const { cronExpr, parentRunId, parentStepId, retryPolicy, scheduleId, ...kept } = set
        const { claimedAt, dueAt, error, finishedAt, startedAt, workerId, ...cleared } = fullRun(2, {
          status: "FAILED",
          stepFailed: false,
          leaseEpoch: 1
        })
        yield* write({ updateRuns: [kept, cleared] })
        const { runs } = yield* see({ runs: new Set([id(1), id(2)]) })
        assert.sameDeepMembers([...runs], [kept, cleared])
      })
    )
    test(
      "an update in the transaction that loaded a run sets and clears what may change of it",
      Effect.gen(function* () {
        const changes: ReadonlyArray<Partial<RunRecord>> = [
          { stepCount: 1, sequence: 1 },
          { status: "RUNNING", attempts: 1 },
          { workerId: id(800) },
          { dueAt: at + 9, expiries: 1 },
          { status: "SLEEPING", workerId: id(801), dueAt: at + 10, stepFailed: true }
        ]
        yield* write({ insertRuns: [runOf(1)] })
        const store = yield* Store
        let expected = runOf(1)
        for (const change of changes) {
          expected = { ...expected, ...change }
          yield* store.transact({ ...noWants, runs: new Set([id(1)]) }, (rows) => ({
            changes: { ...noChanges, updateRuns: rows.runs.map((run) => ({ ...run, ...change })) },
            value: undefined
          }))
          assert.deepStrictEqual((yield* see({ runs: new Set([id(1)]) })).runs, [expected])
        }
        const { dueAt, workerId, ...ended } = { ...expected, status: "CANCELLED" as const }
        yield* store.transact({ ...noWants, runs: new Set([id(1)]) }, () => ({
          changes: { ...noChanges, updateRuns: [ended] },
          value: undefined
        }))
        assert.deepStrictEqual((yield* see({ runs: new Set([id(1)]) })).runs, [ended])
      })
    )
    test(
      "steps come back as they were written, with and without optional fields",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)], insertSteps: [stepOf(1), fullStep(2)] })
        const { steps } = yield* see({ stepIds: new Set([id(1), id(2), id(3)]) })
        assert.sameDeepMembers([...steps], [stepOf(1), fullStep(2)])
      })
    )
    test(
      "an update sets and clears what may change of a step",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)], insertSteps: [stepOf(1), fullStep(2)] })
        const set = { ...fullStep(1), kind: "FUNCTION" as const, attempt: 1, input: stepOf(1).input }
        const { childRunId, dueAt, error, finishedAt, output, sequence, startedAt, ...cleared } = fullStep(2, {
          status: "PENDING",
          cancelled: false
        })
        yield* write({ updateSteps: [set, cleared] })
        const { steps } = yield* see({ stepIds: new Set([id(1), id(2)]) })
        assert.sameDeepMembers([...steps], [set, cleared])
      })
    )
    for (const length of [0, 1, 1024, 1025, 5000, 2_097_152]) {
      test(
        `step payloads of ${length} bytes and their metadata come back unchanged`,
        Effect.gen(function* () {
          const metadata = { encoding: "json/plain", "naïve 😀": 'a "quote"\n', __proto__x: "" }
          const step = stepOf(1, { input: { data: bytes(length), metadata } })
          yield* write({ insertRuns: [runOf(1)], insertSteps: [step] })
          const ended = { ...step, status: "COMPLETED" as const, output: { data: bytes(length), metadata: {} } }
          yield* write({ updateSteps: [ended] })
          assert.deepStrictEqual((yield* see({ stepIds: new Set([id(1)]) })).steps, [ended])
          yield* write({ updateSteps: [{ ...ended, cancelled: true }] })
          const step2 = yield* Store.use((store) => store.getStep("default", id(1)))
          assert.deepStrictEqual(
            step2.pipe(
              Option.map(({ cancelled, input, output }) => ({ cancelled, input, output })),
              Option.getOrThrow
            ),
            { cancelled: true, input: step.input, output: ended.output }
          )
        })
      )
      test(
        `run payloads of ${length} bytes and their metadata come back unchanged, and are copied to another run`,
        Effect.gen(function* () {
          const input = { data: bytes(length), metadata: { b: "1", a: "2" } }
          const output = { data: bytes(length).reverse(), metadata: {} }
          yield* write({
            insertRuns: [endedRun(1), runOf(2)],
            inputs: [{ runId: id(1), payload: input }],
            copyInputs: [{ runId: id(2), from: id(1) }],
            outputs: [{ runId: id(1), payload: output }]
          })
          const store = yield* Store
          const first = Option.getOrThrow(yield* store.getRun("default", id(1)))
          assert.deepStrictEqual([first.input, first.output], [input, output])
          const copy = Option.getOrThrow(yield* store.getRun("default", id(2)))
          assert.deepStrictEqual(copy.input, input)
          assert.notProperty(copy, "output")
        })
      )
    }
    test(
      "an update of a run leaves its payloads alone",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)], inputs: [{ runId: id(1), payload: payload('{"n":1}', { a: "b" }) }] })
        yield* write({ updateRuns: [runOf(1, { status: "RUNNING", attempts: 1 })] })
        const run = Option.getOrThrow(yield* Store.use((store) => store.getRun("default", id(1))))
        assert.deepStrictEqual([run.status, run.input], ["RUNNING", payload('{"n":1}', { a: "b" })])
      })
    )
    test(
      "workers come back as they were written, and updates change them",
      Effect.gen(function* () {
        const full = workerOf(2, {
          status: "DRAINING",
          instanceId: "b",
          workflowTypes: ["Order", "Größe"],
          labels: { zone: "eu", empty: "" },
          queueConcurrencyLimit: 0,
          workflowTypeConcurrency: { Order: 3 }
        })
        yield* write({ insertWorkers: [workerOf(1), full] })
        const wants = { workers: new Set([id(1), id(2), id(3)]) }
        assert.sameDeepMembers([...(yield* see(wants)).workers], [workerOf(1), full])
        const { queueConcurrencyLimit, ...changed } = { ...full, status: "OFFLINE" as const, version: "2", labels: {} }
        const beaten = workerOf(1, {
          lastHeartbeatAt: at + 5,
          queueConcurrencyLimit: 7,
          patienceMillis: 7_000,
          stream: 5
        })
        yield* write({ updateWorkers: [changed, beaten] })
        assert.sameDeepMembers([...(yield* see(wants)).workers], [beaten, changed])
        const read = yield* Store.use((store) => Effect.all([store.getWorker(id(1)), store.getWorker(id(9))]))
        assert.deepStrictEqual(read, [Option.some({ ...beaten, activeRuns: 0 }), Option.none()])
      })
    )
    test(
      "namespaces come back as they were written, and updates change them",
      Effect.gen(function* () {
        const other = namespaceOf({ namespace: "other", id: id(901), enabled: false, description: "d" })
        yield* write({ insertNamespaces: [namespaceOf(), other] })
        const wants = { namespaces: new Set(["default", "other", "none"]) }
        assert.sameDeepMembers([...(yield* see(wants)).namespaces], [namespaceOf(), other])
        const changed = { ...other, enabled: true, displayName: "O", description: "", updatedAt: at + 1 }
        yield* write({ updateNamespaces: [changed] })
        const read = yield* Store.use((store) => Effect.all([store.getNamespace("other"), store.getNamespace("none")]))
        assert.deepStrictEqual(read, [Option.some(changed), Option.none()])
      })
    )
  })

  describe("atomicity", () => {
    const counted = Store.use((store) =>
      store.listRuns({ namespace: "default" }, { limit: 10, count: true }).pipe(Effect.map((page) => page.total))
    )
    test(
      "transact answers the value that was decided",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)] })
        const store = yield* Store
        const value = yield* store.transact({ ...noWants, runs: new Set([id(1)]) }, (rows) => ({
          changes: noChanges,
          value: rows.runs.length
        }))
        assert.strictEqual(value, 1)
      })
    )
    test(
      "a decision that throws is a defect and writes nothing",
      Effect.gen(function* () {
        const store = yield* Store
        const boom = new Error("boom")
        const exit = yield* Effect.exit(
          store.transact(noWants, () => {
            throw boom
          })
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && Cause.squash(exit.cause) === boom)
        yield* write({ insertRuns: [runOf(1)] })
        assert.strictEqual(yield* counted, 1)
      })
    )
    test(
      "what a transaction wrote that failed is not seen by those after it",
      Effect.gen(function* () {
        const store = yield* Store
        yield* write({ insertRuns: [runOf(1)] })
        const attempted = runOf(1, { status: "SLEEPING", stepCount: 7, dueAt: at + 9 })
        yield* Effect.flip(
          store.transact({ ...noWants, runs: new Set([id(1)]) }, () => ({
            changes: {
              ...noChanges,
              updateRuns: [attempted],
              insertRuns: [runOf(2)],
              outputs: [{ runId: id(9), payload: payload("1") }]
            },
            value: undefined
          }))
        )
        assert.deepStrictEqual((yield* see({ runs: new Set([id(1), id(2)]) })).runs, [runOf(1)])
        assert.deepStrictEqual(yield* store.getRunRecord("default", id(1)), Option.some(runOf(1)))
        yield* write({ insertRuns: [runOf(3)], insertSteps: [stepOf(1, { runId: id(3) })] })
        yield* write({ insertRuns: [runOf(2)], updateRuns: [attempted], insertSteps: [stepOf(2, { runId: id(2) })] })
        assert.deepStrictEqual((yield* see({ runs: new Set([id(1), id(2)]) })).runs, [attempted, runOf(2)])
        assert.deepStrictEqual(
          (yield* store.history(id(3), 0, 1e6)).steps.map((step) => step.stepId),
          [id(1)]
        )
      })
    )
    test(
      "one active run for each namespace and external id: a second fails the whole transaction",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1, { externalId: "x" })] })
        const error = yield* Effect.flip(
          write({ insertRuns: [runOf(2), runOf(3, { externalId: "x", status: "SLEEPING" })] })
        )
        assert.deepStrictEqual([error._tag, error.transient], ["StoreError", false])
        assert.strictEqual(yield* counted, 1)
        yield* write({
          insertRuns: [endedRun(4, { externalId: "x" }), runOf(5, { externalId: "x", namespace: "other" })]
        })
        assert.strictEqual(yield* counted, 2)
      })
    )
    test(
      "a run that ends makes room for the next with its external id, in one transaction",
      Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1, { externalId: "x" })] })
        yield* write({
          insertRuns: [runOf(2, { externalId: "x" })],
          updateRuns: [endedRun(1, { externalId: "x", status: "CANCELLED" })]
        })
        assert.strictEqual(yield* counted, 2)
      })
    )
    test(
      "one worker that is not offline for each key: a second fails, unless the first goes offline with it",
      Effect.gen(function* () {
        yield* write({ insertWorkers: [workerOf(1, { pid: 7 })] })
        yield* Effect.flip(write({ insertWorkers: [workerOf(2, { pid: 7 })] }))
        yield* write({
          insertWorkers: [workerOf(2, { pid: 7 }), workerOf(3, { pid: 7, instanceId: "b" })],
          updateWorkers: [workerOf(1, { pid: 7, status: "OFFLINE" })]
        })
        assert.strictEqual((yield* see({ workers: new Set([id(1), id(2), id(3)]) })).workers.length, 3)
      })
    )
    test(
      "an attempt of a step exists once",
      Effect.gen(function* () {
        yield* write({
          insertRuns: [runOf(1)],
          insertSteps: [stepOf(1, { name: "a" }), stepOf(2, { name: "a", attempt: 2 })]
        })
        yield* Effect.flip(write({ insertRuns: [runOf(2)], insertSteps: [stepOf(3, { name: "a", attempt: 2 })] }))
        assert.strictEqual(yield* counted, 1)
      })
    )
    const missing = {
      run: { updateRuns: [runOf(9)] },
      step: { updateSteps: [stepOf(9)] },
      "run by a step": { insertSteps: [stepOf(9, { runId: id(9) })] },
      worker: { updateWorkers: [workerOf(9)] },
      namespace: { updateNamespaces: [namespaceOf()] },
      input: { copyInputs: [{ runId: id(1), from: id(9) }] },
      output: { outputs: [{ runId: id(9), payload: payload("1") }] }
    }
    for (const [what, changes] of Object.entries(missing)) {
      test(
        `a write to a ${what} that does not exist fails and writes nothing`,
        Effect.gen(function* () {
          const error = yield* Effect.flip(write({ insertRuns: [runOf(1)], ...changes }))
          assert.isFalse(error.transient)
          assert.strictEqual(yield* counted, 0)
        })
      )
    }
  })
}
