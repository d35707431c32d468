/** A short trial of real processes, and the same with servers that are wrong on purpose. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Chaos from "./chaos/chaos.ts"
import { limit } from "./chaos/limited.ts"
import type { Fault, FaultKind } from "./chaos/plan.ts"
import { report, wrongs } from "./chaos/report.ts"
import { broken } from "../testing/simulator/sabotage.ts"
import { seed } from "./Place.ts"

const fault = (at: number, kind: FaultKind, who: string, lasts: number): Fault => ({ at, kind, who, lasts })

const onPostgres: ReadonlyArray<Fault> = [
  fault(1_000, "killWorker", "worker-1", 300),
  fault(1_500, "stopWorker", "worker-2", 3_000),
  fault(2_000, "killServer", "server-1", 300),
  fault(3_000, "cutCommits", "database", 1_500),
  fault(4_000, "isolate", "worker-3", 3_000),
  fault(5_000, "killBackends", "database", 0),
  fault(6_000, "unreliable", "worker-4", 1_500),
  fault(6_500, "stopServer", "server-2", 1_000),
  fault(7_500, "restartDatabase", "database", 500),
  fault(8_500, "endServer", "server-3", 0),
  fault(9_000, "cut", "clients", 0)
]

// files can't be limited elsewhere
const full =
  process.platform === "linux"
    ? [fault(1_000, "fillDisk", "database", 1_000), fault(4_500, "fillDisk", "database", 500)]
    : []

const onSqlite: ReadonlyArray<Fault> = [
  ...full,
  fault(2_000, "stopWorker", "worker-1", 3_000),
  fault(3_000, "killServer", "server-1", 200),
  fault(5_000, "killWorker", "worker-2", 200)
]

/** Workers that stand still for longer than their leases, and go on with what was theirs. */
const stale: ReadonlyArray<Fault> = [1, 2, 3, 4].map((number) =>
  fault(500 + 1_000 * number, "stopWorker", `worker-${number}`, 3_000)
)

describe(`a short trial of real processes (KAGZI_TEST_SEED=${seed})`, () => {
  for (const { faults, seconds, store } of [
    { store: "postgres", faults: onPostgres, seconds: 10 },
    { store: "sqlite", faults: onSqlite, seconds: 6 }
  ] as const) {
    it.live(
      `keeps what is promised on ${store}`,
      () =>
        Effect.gen(function* () {
          const outcome = yield* Chaos.run({ seed, store, seconds, faults })
          process.stdout.write(`${report(outcome)}\n`)
          assert.deepStrictEqual(wrongs(outcome), [])
          assert.lengthOf(outcome.incidents, faults.length)
          assert.isAbove(outcome.recoveries.measured.length, 0)
          assert.strictEqual(outcome.mostLimited, limit, "the limit is kept, and reached")
          assert.isAbove(outcome.executions, 100)
        }),
      180_000
    )
  }
})

describe("a trial of broken servers", () => {
  for (const { faults, name, patience, seconds, store } of [
    { name: "fencing off", store: "sqlite", faults: stale, seconds: 8, patience: 1 },
    { name: "reply before commit", store: "sqlite", faults: [], seconds: 3, patience: 1 },
    { name: "reply before commit", store: "postgres", faults: [], seconds: 8, patience: 1 },
    // a busy machine is late for timers that are not: the last run sleeps when all else is done
    { name: "timer early", store: "sqlite", faults: [], seconds: 5, patience: 20 },
    { name: "starts lost", store: "sqlite", faults: [], seconds: 2, patience: 1 },
    { name: "every start new", store: "sqlite", faults: [], seconds: 2, patience: 1 },
    // more than the time between two slots that are skipped
    { name: "slots skipped", store: "sqlite", faults: [], seconds: 5, patience: 1 },
    { name: "limits ignored", store: "sqlite", faults: [], seconds: 2, patience: 1 }
  ] as const) {
    const { kind, promise } = broken.find((build) => build.name === name)!
    it.live(
      `finds ${promise === "limits" ? "limits that are not kept" : `promise ${promise} broken`} on ${store} with ${name}`,
      () =>
        Effect.gen(function* () {
          const outcome = yield* Chaos.run({
            seed,
            store,
            seconds,
            patience,
            faults,
            sabotage: name
          })
          assert.isTrue(
            outcome.violations.some((violation) => violation.promise === promise && violation.kind === kind),
            report(outcome)
          )
          assert.include(wrongs(outcome)[0], `Seed ${seed}`)
          if (promise === 3) assert.include(wrongs(outcome).join("\n"), `"kind":"claims","entry":{"runId":"`)
        }),
      120_000
    )
  }
})
