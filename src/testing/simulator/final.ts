/** What the database has in the end. */
import { Effect, Option } from "effect"
import type { Run, Step } from "../../Run.ts"
import type { Cursor, NamespaceRecord, RunRecord, Shape, StoreError } from "../../store/Store.ts"
import type { Final } from "./checks.ts"
import { resultOf } from "./Witness.ts"

const limit = 500

const all = <A>(
  page: (
    after: Cursor | undefined
  ) => Effect.Effect<{ readonly items: ReadonlyArray<A>; readonly hasMore: boolean }, StoreError>,
  cursor: (item: A) => Cursor
): Effect.Effect<ReadonlyArray<A>, StoreError> =>
  Effect.gen(function* () {
    const found: Array<A> = []
    for (;;) {
      const last = found.at(-1)
      const { hasMore, items } = yield* page(last === undefined ? undefined : cursor(last))
      found.push(...items)
      if (!hasMore) return found
    }
  })

const from = (after: Cursor | undefined) => ({ limit, count: false, ...(after === undefined ? {} : { after }) })

/** All runs of all namespaces. */
export const listRuns = (store: Shape): Effect.Effect<ReadonlyArray<Run>, StoreError> =>
  Effect.gen(function* () {
    const namespaces = yield* all<NamespaceRecord>(
      (after) => store.listNamespaces(from(after)),
      ({ namespace }) => ({ at: 0, id: namespace })
    )
    const runs: Array<Run> = []
    for (const { namespace } of namespaces) {
      const found = yield* all<Run>(
        (after) => store.listRuns({ namespace }, from(after)),
        ({ createdAt, runId }) => ({ at: createdAt, id: runId })
      )
      runs.push(...found)
    }
    return runs
  })

/** What there is of them. */
export const readRuns = (store: Shape, runs: ReadonlyArray<Run>): Effect.Effect<Final, StoreError> =>
  Effect.gen(function* () {
    const found = new Map<string, { readonly record: RunRecord; readonly outcome: string }>()
    const steps: Array<Step> = []
    for (const run of runs) {
      const record = yield* Effect.map(store.getRunRecord(run.namespace, run.runId), Option.getOrUndefined)
      if (record === undefined) continue
      found.set(run.runId, { record, outcome: resultOf(run) })
      const ofRun = yield* all<Step>(
        (after) => store.listSteps({ namespace: run.namespace, runId: run.runId }, from(after)),
        ({ createdAt, stepId }) => ({ at: createdAt, id: stepId })
      )
      steps.push(...ofRun)
    }
    return { runs: found, steps }
  })

export const readFinal = (store: Shape): Effect.Effect<Final, StoreError> =>
  Effect.flatMap(listRuns(store), (runs) => readRuns(store, runs))
