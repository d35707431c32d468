/** Transactions of all kinds over the same rows, from two stores at once. */
import { randomInt, randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ScheduleRecord, Shape, StoreError } from "../../src/store/Store.ts"
import { emptyDatabase, query } from "../support/postgres.ts"
import { at, endedRun, id, noChanges, noWants, runOf, workerOf } from "../contract/store/fixtures.ts"
import { open } from "./counting.ts"

const counted = 20
const names = 12
const workers = [801, 802, 803]
const schedules = [701, 702]

/** Some of the numbers from 1 to `of`, in any order. */
const some = (of: number, most: number): ReadonlyArray<number> =>
  Array.from({ length: of }, (_, index) => [randomInt(2 ** 40), index + 1] as const)
    .sort(([a], [b]) => a - b)
    .slice(0, 1 + randomInt(most))
    .map(([, number]) => number)

const scheduleOf = (n: number): ScheduleRecord => ({
  scheduleId: id(n),
  namespace: "default",
  createdAt: at,
  taskQueue: "orders",
  workflowType: "Order",
  cronExpr: "* * * * *",
  timezone: "UTC",
  version: "1",
  enabled: true,
  maxCatchup: 100,
  overlap: "allow",
  updatedAt: at,
  nextFireAt: at,
  totalRuns: 0,
  successfulRuns: 0,
  failedRuns: 0
})

/** What the transactions have done by their own account. */
class Account {
  readonly counts = new Map<string, number>()
  started = 0
  ended = 0
  heartbeats = 0
  readonly slots = new Set<string>()
}

type Kind = (store: Shape, account: Account) => Effect.Effect<void, StoreError>

const kinds: ReadonlyArray<Kind> = [
  // counts some runs on, in any order
  (store, account) =>
    Effect.map(
      store.transact({ ...noWants, runs: new Set(some(counted, 8).map(id)) }, ({ runs }) => ({
        changes: { ...noChanges, updateRuns: runs.map((run) => ({ ...run, attempts: run.attempts + 1 })) },
        value: runs.map(({ runId }) => runId)
      })),
      (runIds) => {
        for (const runId of runIds) account.counts.set(runId, (account.counts.get(runId) ?? 0) + 1)
      }
    ),
  // starts runs with ids that others start at the same moment
  (store, account) => {
    const wanted = some(names, 5).map((name) => ({ namespace: "default", externalId: `name-${name}` }))
    return Effect.map(
      store.transact({ ...noWants, externalIds: wanted }, ({ runs }) => {
        const active = new Set(runs.filter(({ dueAt }) => dueAt !== undefined).map(({ externalId }) => externalId))
        const insertRuns = wanted
          .filter(({ externalId }) => !active.has(externalId))
          .map(({ externalId }) => runOf(0, { runId: randomUUID(), externalId }))
        return { changes: { ...noChanges, insertRuns }, value: insertRuns.length }
      }),
      (started) => {
        account.started += started
      }
    )
  },
  // claims what is due, and ends it
  (store, account) =>
    Effect.map(
      store.transact(
        {
          ...noWants,
          claims: [
            { namespace: "default", taskQueue: "orders", workflowTypes: ["Order"], dueBy: at, limit: 3 },
            { namespace: "default", taskQueue: "limited", workflowTypes: ["Order", "Other"], dueBy: at, limit: 3 }
          ]
        },
        ({ claims, runs }) => {
          const claimed = new Set(claims.flat())
          const updateRuns = runs
            .filter(({ runId }) => claimed.has(runId))
            .map(({ dueAt, ...run }) => ({ ...run, status: "COMPLETED" as const }))
          return { changes: { ...noChanges, updateRuns }, value: updateRuns.length }
        }
      ),
      (ended) => {
        account.ended += ended
      }
    ),
  // hears of workers, whose runs are renewed
  (store, account) => {
    const heard = new Set(some(workers.length, 3).map((place) => id(workers[place - 1]!)))
    return Effect.map(
      store.transact(
        { ...noWants, workers: heard, workerRuns: heard, renewals: { workers: heard, at } },
        ({ runs, workers }) => ({
          changes: {
            ...noChanges,
            updateRuns: runs.map((run) => ({ ...run, leaseEpoch: run.leaseEpoch + 1 })),
            updateWorkers: workers.map((worker) => ({ ...worker, lastHeartbeatAt: worker.lastHeartbeatAt + 1 }))
          },
          value: workers.length
        })
      ),
      (heartbeats) => {
        account.heartbeats += heartbeats
      }
    )
  },
  // fires schedules, while their runs end
  (store, account) => {
    const due = new Set(some(schedules.length, 2).map((place) => id(schedules[place - 1]!)))
    return Effect.map(
      store.transact({ ...noWants, schedules: due, scheduleRuns: due }, ({ runs, schedules }) => {
        const slots = schedules.map(({ nextFireAt = at, scheduleId }) => ({ scheduleId, slot: nextFireAt }))
        return {
          changes: {
            ...noChanges,
            updateSchedules: schedules.map((schedule) => ({
              ...schedule,
              nextFireAt: (schedule.nextFireAt ?? at) + 1
            })),
            insertRuns: slots.map(({ scheduleId, slot }) =>
              endedRun(0, { runId: randomUUID(), externalId: `${scheduleId}/${slot}`, scheduleId, slot })
            ),
            updateRuns: runs.map((run) => ({ ...run, leaseEpoch: run.leaseEpoch + 1 })),
            countScheduleRuns: slots.map(({ scheduleId }) => ({ scheduleId, total: 1, successful: 1, failed: 0 }))
          },
          value: slots
        }
      }),
      (slots) => {
        for (const { scheduleId, slot } of slots) account.slots.add(`${scheduleId} ${slot}`)
      }
    )
  }
]

const prepare = (store: Shape) =>
  store.transact(noWants, () => ({
    changes: {
      ...noChanges,
      insertWorkers: workers.map((n) => workerOf(n, { taskQueue: "limited", queueConcurrencyLimit: 5 })),
      insertSchedules: schedules.map(scheduleOf),
      insertRuns: Array.from({ length: counted }, (_, index) =>
        runOf(index + 1, {
          taskQueue: "limited",
          status: "RUNNING",
          dueAt: at + 1_000,
          workerId: id(workers[index % workers.length]!)
        })
      )
    },
    value: undefined
  }))

describe("transactions over the same rows, in any order, from two stores", () => {
  it.live(
    "all succeed, none waits for another that waits for it, and all that they did adds up",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const account = new Account()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const stores = [yield* open(url), yield* open(url)]
            yield* prepare(stores[0]!)
            yield* Effect.forEach(
              Array(4_000).keys(),
              (n) => kinds[randomInt(kinds.length)]!(stores[n % 2]!, account),
              { concurrency: 32, discard: true }
            )
            const total = (yield* stores[0]!.countRuns(undefined)).reduce((sum, { count }) => sum + count, 0)
            assert.strictEqual(total, counted + account.started + account.slots.size)
          })
        )
        const numbers = yield* query(
          url,
          `SELECT (SELECT sum(attempts)::int FROM kagzi.runs) AS counted,
            (SELECT count(*)::int FROM kagzi.runs WHERE external_id LIKE 'name-%') AS started,
            (SELECT count(*)::int FROM kagzi.runs WHERE external_id LIKE 'name-%' AND status = 4) AS ended,
            (SELECT sum(last_heartbeat_at - ${at})::int FROM kagzi.workers) AS heartbeats,
            (SELECT count(*)::int FROM kagzi.runs WHERE slot IS NOT NULL) AS slots,
            (SELECT sum(next_fire_at - ${at})::int FROM kagzi.schedules) AS fired`
        )
        assert.deepStrictEqual(numbers, [
          {
            counted: [...account.counts.values()].reduce((sum, count) => sum + count, 0),
            started: account.started,
            ended: account.ended,
            heartbeats: account.heartbeats,
            slots: account.slots.size,
            fired: account.slots.size
          }
        ])
        for (const number of Object.values(numbers[0]!)) assert.isAbove(Number(number), 100)

        // a connection tells what it has counted when it ends
        for (;;) {
          const [row] = yield* query(
            url,
            `SELECT (SELECT count(*)::int FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'kagzi') AS connections,
              (SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()) AS deadlocks`
          )
          if (row?.connections !== 0) continue
          assert.strictEqual(row.deadlocks, 0)
          break
        }
      }),
    120_000
  )
})
