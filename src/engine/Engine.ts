/**
 * The engine: everything that a server decides, behind one service that knows neither SQL nor the wire.
 *
 * Commands go through one group commit to the store and are answered when they are on disk. Workers wait here for runs,
 * and clients for the end of a run; both are woken by what is committed, and by timers of Effect's clock.
 */
import { Clock, Context, Effect, FiberSet, Latch, Layer, Option, Result } from "effect"
import type * as KagziError from "../KagziError.ts"
import { isTerminal, type Run, type Step } from "../Run.ts"
import type { Schedule } from "../Schedule.ts"
import {
  type DescribedWorker,
  type NamespaceRecord,
  type Page,
  type Paging,
  type Shape,
  type StepRecord,
  Store,
  type StoreError
} from "../store/Store.ts"
import { make as makeClaims } from "./claim.ts"
import type { ClaimRun, Command, Reply } from "./Command.ts"
import * as Committer from "./Committer.ts"
import { type EndedRun, Endings } from "./Endings.ts"
import { expireWorkers } from "./expiry.ts"
import { makeIds, RandomBytes } from "../ids.ts"
import { Inputs } from "./Inputs.ts"
import { type Decision, notFound } from "./lifecycle/failures.ts"
import * as Namespaces from "./lifecycle/namespaces.ts"
import { wantsOf } from "./lifecycle/wants.ts"
import { WorkingSet } from "./lifecycle/WorkingSet.ts"
import * as Metrics from "./Metrics.ts"
import { heed } from "./neighbours.ts"
import * as Reports from "./reports.ts"
import { guaranteedIntervals } from "./lifecycle/leases.ts"
import { removeEnded } from "./retention.ts"
import { fireSchedules } from "./scheduler.ts"
import { Servings } from "./Servings.ts"
import { mapStoreError } from "./storeErrors.ts"
import { Waiters } from "./Waiters.ts"

/** Times in milliseconds, sizes in bytes. */
export interface Options {
  /** How long a claim or a heartbeat keeps a run for its worker. Default 60 s. */
  readonly leaseMillis: number
  /** How long a worker may be silent before it counts as gone. Default 30 s. */
  readonly staleMillis: number
  /** The longest that `claim` waits. Default 60 s. */
  readonly pollTimeoutMillis: number
  /** How often workers are asked to send a heartbeat. Default 10 s. */
  readonly heartbeatMillis: number
  /** The most commands in one transaction. Default 512. */
  readonly maximumBatch: number
  /** How many bytes of payloads and failures a page of history holds; a page has at least one step. Default 1 MiB. */
  readonly historyBytes: number
  /** How long runs are kept after their end. They are kept for good unless given. */
  readonly retentionMillis?: number
}

export const defaults: Options = {
  leaseMillis: 60_000,
  staleMillis: 30_000,
  pollTimeoutMillis: 60_000,
  heartbeatMillis: 10_000,
  maximumBatch: 512,
  historyBytes: 1_048_576
}

/** A run handed to a worker. */
export interface Task {
  readonly run: Run
  readonly lease: number
  /** When it was claimed: waits due by then have ended. */
  readonly claimedAt: number
  /** The latest attempt of each step, in the order they were first begun: the first page. */
  readonly history: ReadonlyArray<StepRecord>
  /** Whether more steps follow the last one; with no step here, from the beginning. */
  readonly historyMore: boolean
}

/** What a worker asks for. `timeoutMillis` is how long it waits, at most and by default `pollTimeoutMillis`. */
export interface ClaimRequest extends Omit<ClaimRun, "_tag" | "limit"> {
  readonly timeoutMillis?: number
}

type Answer<A> = Effect.Effect<A, KagziError.KagziError>

/** The engine of a server. Every operation fails with `Unavailable` when the store can't be reached for now. */
export class Engine extends Context.Service<
  Engine,
  {
    readonly options: Options
    /** Does what the command says and answers when it is on disk. Interrupting the caller does not take it back. */
    readonly execute: <C extends Command>(command: C) => Answer<Reply[C["_tag"]]>
    /**
     * The same without a fiber: calls back with the answer. Commands on one run are carried out in the order they come
     * in, and so are all others among themselves.
     */
    readonly submit: Committer.Committer["submit"]
    /** Waits for a run to work on. One that was claimed for a caller that is gone is made claimable again at once. */
    readonly claim: (request: ClaimRequest) => Answer<Task | undefined>
    /** Waits for the end of a run; answers with the unfinished run when the time, in milliseconds, has passed. */
    readonly awaitRun: (namespace: string, runId: string, timeoutMillis: number) => Answer<Run>
    /**
     * Calls back once, when the run has ended or it turns out that there is none. Answers how to take that back. Costs
     * no fiber and no timer while it waits.
     */
    readonly watchEnd: (namespace: string, runId: string, answer: (reply: Decision<EndedRun>) => void) => () => void
    /** Sends runs and notices to a worker over a connection that stays open. */
    readonly servings: Pick<Servings, "serve" | "replace" | "gaveUp">
    /** The time of the database's clock. */
    readonly now: Effect.Effect<number>
    /** A UUID of version 7. */
    readonly newId: Effect.Effect<string>
    readonly newIdUnsafe: () => string
    readonly getNamespace: (namespace: string) => Answer<NamespaceRecord>
    readonly listNamespaces: (...args: Parameters<Shape["listNamespaces"]>) => Answer<Page<NamespaceRecord>>
    readonly getWorker: (workerId: string) => Answer<DescribedWorker>
    readonly listWorkers: (...args: Parameters<Shape["listWorkers"]>) => Answer<Page<DescribedWorker>>
    /** Of a namespace, or of all. */
    readonly stats: (namespace?: string) => Answer<Reports.Stats>
    /** By the name of the queue; those without unfinished runs are left out. */
    readonly queueDepths: (namespace: string) => Answer<ReadonlyArray<Reports.QueueDepth>>
    /** By name, which is the id of a cursor. */
    readonly listWorkflowTypes: (namespace: string, page: Paging) => Answer<Page<Reports.WorkflowType>>
    readonly getRun: (namespace: string, runId: string) => Answer<Run>
    readonly getRunByExternalId: (namespace: string, externalId: string) => Answer<Run>
    readonly listRuns: (...args: Parameters<Shape["listRuns"]>) => Answer<Page<Run>>
    readonly getStep: (namespace: string, stepId: string) => Answer<Step>
    readonly listSteps: (...args: Parameters<Shape["listSteps"]>) => Answer<Page<Step>>
    /** The latest attempt of each step whose position is above `after`, by position, one page. */
    readonly history: (
      namespace: string,
      runId: string,
      after: number
    ) => Answer<{ readonly steps: ReadonlyArray<StepRecord>; readonly hasMore: boolean }>
    /** Brings the metrics of what there is at the moment up to date; the others always are. */
    readonly measure: Answer<void>
    readonly getSchedule: (namespace: string, scheduleId: string) => Answer<Schedule>
    readonly listSchedules: (...args: Parameters<Shape["listSchedules"]>) => Answer<Page<Schedule>>
    readonly ping: Answer<void>
  }
>()("kagzi/engine/Engine") {}

/** Makes the namespace that always exists. */
const ensureDefaultNamespace = Effect.fnUntraced(function* (store: Shape, id: string) {
  const now = yield* store.now
  const none = wantsOf([], { now, staleMillis: 0 })
  const wants = { ...none, namespaces: new Set(["default"]) }
  yield* store.transact(wants, (rows) => {
    const set = new WorkingSet(wants, rows)
    Namespaces.ensure(set, "default", id, now)
    return { changes: set.changes(), value: undefined }
  })
})

const found = <A>(
  effect: Effect.Effect<Option.Option<A>, StoreError>,
  ...[subject, id]: Parameters<typeof notFound>
): Answer<A> =>
  Effect.flatMap(mapStoreError(effect), (option) =>
    Option.isSome(option) ? Effect.succeed(option.value) : Effect.fromResult(notFound(subject, id))
  )

const make = Effect.fnUntraced(function* (options: Options) {
  const store = yield* Store
  const clock = yield* Clock.Clock
  const newIdUnsafe = makeIds(yield* RandomBytes, () => clock.currentTimeMillisUnsafe())
  const newId = Effect.sync(newIdUnsafe)
  yield* ensureDefaultNamespace(store, yield* newId)

  const waiters = new Waiters()
  const endings = new Endings()
  const schedulesChanged = Latch.makeUnsafe()
  // Registered before the group commit starts, so that it runs after its last batch.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      waiters.ringAll()
      endings.ringAll()
    })
  )
  const metrics = yield* Metrics.make
  const inputs = new Inputs()
  const announce = ({ changes, now, relaxed }: Committer.Commit): void => {
    for (const run of changes.updateRuns) if (run.status !== "RUNNING") waiters.slotFreed(run)
    for (const runs of [changes.insertRuns, changes.updateRuns]) for (const run of runs) waiters.runChanged(run, now)
    if (changes.insertSchedules.length + changes.updateSchedules.length > 0) schedulesChanged.openUnsafe()
    for (const place of relaxed) waiters.limitsRelaxed(place)
    for (const worker of changes.updateWorkers) if (worker.status !== "ONLINE") waiters.workerLeft(worker.workerId)
  }
  const committer: Committer.Committer = yield* Committer.make(store, options, {
    onBatch: (waiting) => servings.preparing(waiting),
    onBegin: (batch) => servings.begun(batch),
    onCommit: (commit) => {
      metrics.committed(commit)
      inputs.committed(commit.changes)
      servings.answering()
    },
    onAnswered: (commit) => {
      endings.committed(commit.changes)
      // after the answers to claims, so that runs are announced to those who could not see them yet
      servings.committed(commit.changes, () => announce(commit))
    }
  })
  const claims = makeClaims(store, committer, waiters, options)
  const runFork = yield* FiberSet.makeRuntime<never>()
  const findWorker = (workerId: string) => Effect.map(mapStoreError(store.getWorker(workerId)), Option.getOrUndefined)
  const servings = new Servings({
    committer,
    waiters,
    inputs,
    reading: claims,
    now: store.now,
    silentMillis: guaranteedIntervals * options.heartbeatMillis,
    findWorker,
    tellServed: (workerId, at) => store.tell?.({ _tag: "WorkerServed", workerId, at }),
    fork: runFork
  })
  yield* Effect.forkScoped(expireWorkers(store, committer, options.staleMillis))
  yield* Effect.forkScoped(fireSchedules({ store, committer, newId, bell: schedulesChanged }))
  if (options.retentionMillis !== undefined) yield* Effect.forkScoped(removeEnded(store, options.retentionMillis))
  const { hints } = store
  if (hints !== undefined) {
    const { staleMillis } = options
    const needs = { store, hints, waiters, endings, servings, schedulesChanged, staleMillis, findWorker }
    yield* Effect.forkScoped(heed(needs), { startImmediately: true })
  }

  const getRun = Effect.fnUntraced(function* (namespace: string, runId: string) {
    return yield* found(store.getRun(namespace, runId), "workflow", runId)
  })

  const watchEnd: Engine["Service"]["watchEnd"] = (namespace, runId, answer) => {
    let waits = true
    const stop = (): void => {
      waits = false
      unsubscribe()
    }
    const settle = (reply: Decision<EndedRun>): void => {
      if (!waits) return
      stop()
      answer(reply)
    }
    // Subscribed before the run is read, so that an end between the two is not missed.
    const unsubscribe = endings.subscribe(runId, (ended) => {
      if (ended === undefined) settle(Result.fail(Committer.stopped))
      else if (ended === "missing") ask()
      else if (ended.namespace === namespace) settle(Result.succeed(ended))
    })
    // After the commands before: a run that is being started is there then.
    const ask = (): void => {
      committer.submit({ _tag: "FindRun", namespace, runId }, (reply) => {
        if (Result.isFailure(reply)) settle(Result.fail(reply.failure))
        else if (waits && isTerminal(reply.success.status)) {
          runFork(Effect.map(Effect.result(getRun(namespace, runId)), settle))
        }
      })
    }
    // One that is held here has not ended, as far as is known. If another server has ended it, that is found out because
    // it is held: who waits for its end by then is told too.
    if (!servings.isHeld(namespace, runId)) ask()
    return stop
  }

  return Engine.of({
    options,
    execute: committer.execute,
    submit: committer.submit,
    claim: claims.claim,
    watchEnd,
    servings,
    awaitRun: Effect.fn("Engine.awaitRun")(function* (namespace, runId, timeoutMillis) {
      return yield* endings.awaitEnd(runId, getRun(namespace, runId), timeoutMillis)
    }),
    now: store.now,
    newId,
    newIdUnsafe,
    getNamespace: (namespace) => found(store.getNamespace(namespace), "namespace", namespace),
    listNamespaces: (page) => mapStoreError(store.listNamespaces(page)),
    getWorker: (workerId) => found(store.getWorker(workerId), "worker", workerId),
    listWorkers: (filter, page) => mapStoreError(store.listWorkers(filter, page)),
    stats: Effect.fn("Engine.stats")(function* (namespace?: string) {
      const counts = yield* store.countRuns(namespace)
      const workers = yield* store.countWorkers(namespace)
      const schedules = yield* store.countSchedules(namespace)
      return {
        runs: Reports.total(counts),
        byStatus: Reports.byStatus(counts),
        byType: Reports.byType(counts),
        workers: workers.total,
        onlineWorkers: workers.online,
        schedules: schedules.total,
        enabledSchedules: schedules.enabled
      }
    }, mapStoreError),
    queueDepths: (namespace) => Effect.map(mapStoreError(store.countRuns(namespace)), Reports.depths),
    listWorkflowTypes: (namespace, { after, limit }) =>
      Effect.map(mapStoreError(store.countRuns(namespace)), (counts) =>
        Reports.typePage(counts, { limit, after: after?.id })
      ),
    getRun,
    getRunByExternalId: (namespace, externalId) =>
      found(store.getRunByExternalId(namespace, externalId), "workflow", externalId),
    listRuns: (filter, page) => mapStoreError(store.listRuns(filter, page)),
    getStep: (namespace, stepId) => found(store.getStep(namespace, stepId), "step", stepId),
    listSteps: (filter, page) => mapStoreError(store.listSteps(filter, page)),
    history: Effect.fn("Engine.history")(function* (namespace, runId, after) {
      yield* getRun(namespace, runId)
      return yield* mapStoreError(store.history(runId, after, options.historyBytes))
    }),
    measure: Effect.map(mapStoreError(store.countRuns(undefined)), metrics.counted),
    getSchedule: (namespace, scheduleId) => found(store.getSchedule(namespace, scheduleId), "schedule", scheduleId),
    listSchedules: (filter, page) => mapStoreError(store.listSchedules(filter, page)),
    ping: mapStoreError(store.ping)
  })
})

/**
 * The engine on a store. It makes the namespace `default` if there is none. When its scope closes, what was asked is
 * still committed and answered, and whatever comes later fails with `Unavailable`.
 */
export const layer = (options: Partial<Options> = {}): Layer.Layer<Engine, StoreError, Store> =>
  Layer.effect(Engine, make({ ...defaults, ...options }))
