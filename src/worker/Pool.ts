/**
 * The runs of one worker: takes them from its queues while there is room, executes them, and lets them go.
 */
import { Context, Deferred, Duration, Effect, Option, Schedule, Semaphore } from "effect"
import type * as KagziError from "../KagziError.ts"
import type { Held, Notice, Shape as Protocol, Task, WorkerLink, WorkerOptions } from "../protocol/Protocol.ts"
import { Registry } from "../Registry.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import type { Body } from "./Body.ts"
import * as Execution from "./Execution.ts"
import * as Fibers from "./Fibers.ts"
import * as Tracing from "./Tracing.ts"

export interface Options {
  readonly protocol: Protocol
  /** One registration for each task queue; the first is the worker's own. */
  readonly queues: ReadonlyArray<Omit<WorkerOptions, "held">>
  /** By workflow type. */
  readonly bodies: ReadonlyMap<string, Body>
  /** The services of the steps. */
  readonly context: Context.Context<never>
  readonly maxConcurrent: number
  /** The most parked runs whose bodies are kept, to go on in place. */
  readonly cacheSize: number
  /** How long a shutdown waits for runs to end or park, before it interrupts their steps and gives them back. */
  readonly gracePeriod: Duration.Input
  readonly defaultStepRetry?: RetryPolicy.RetryPolicy
}

export interface Pool {
  /** The id the server gave for the worker's own queue, while registered. */
  readonly workerId: () => string | undefined
  /** The runs being executed now. */
  readonly activeCount: () => number
  /** Asks for the end; `run` then drains and succeeds. */
  readonly shutdown: Effect.Effect<void>
  /** Works until `shutdown`, until the server asks for a drain, or until it fails in a way that no retry mends. */
  readonly run: Effect.Effect<void, KagziError.KagziError>
}

/** Waits between attempts to reach a server. */
const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)

/** How long a worker that has never reached its server keeps trying before it fails. */
const firstContact = Duration.seconds(10)

/** How long a run that has come waits for room. */
const leaving = Duration.millis(100)

/** How long a shutdown waits for what interrupted steps do about that, before others may execute them again. */
const cleanUp = Duration.seconds(5)

/** How long a shutdown tries to tell the server. Untold, the server finds out by itself. */
const farewell = Duration.seconds(2)

/** Failures that pass by themselves. */
const isPassing = (error: KagziError.KagziError) =>
  error._tag === "Unavailable" || error._tag === "Timeout" || error._tag === "Internal"

export const make = (options: Options): Pool => {
  const { bodies, protocol } = options
  const context = Tracing.rootless(options.context)
  const inRuns = Tracing.withoutRepeats(context)
  const active = new Registry<string, Execution.Execution>()
  const parked = new Registry<string, Execution.Execution>()
  const links = new Set<WorkerLink>()
  const stopping = Deferred.makeUnsafe<void, KagziError.KagziError>()
  const permits = Semaphore.makeUnsafe(options.maxConcurrent)
  let own: WorkerLink | undefined

  /** How many runs each link has, those that wait for room included. */
  const loads = new WeakMap<WorkerLink, number>()
  let load = 0

  const heldBy = (link: () => WorkerLink | undefined): ReadonlyArray<Held> => {
    const current = link()
    return active
      .values()
      .filter((execution) => execution.link === current)
      .map((execution) => execution.held())
  }

  /** A link has so many runs more; all of them are told what room is left. */
  const loaded = (link: WorkerLink, runs: number) => {
    load += runs
    loads.set(link, (loads.get(link) ?? 0) + runs)
    for (const each of links) each.offer(Math.max(0, options.maxConcurrent - load), loads.get(each) ?? 0)
  }

  // ---------------------------------------------------------------------------------------------------------------
  // A run
  // ---------------------------------------------------------------------------------------------------------------

  const execute = Effect.fnUntraced(function* (link: WorkerLink, task: Task) {
    const body = bodies.get(task.run.workflowType)
    if (body === undefined) {
      yield* Effect.logError(`No workflow of type "${task.run.workflowType}" here; giving the run back`)
      return yield* Effect.ignore(link.release(task))
    }
    // A run we already have under an older lease is one that we lost and claimed again.
    yield* active.get(task.runId)?.abandon ?? Effect.void
    const kept = parked.get(task.runId)
    parked.delete(task.runId)
    const goesOn = kept !== undefined && kept.link === link && kept.held().lease + 1 === task.lease
    const execution = goesOn
      ? kept
      : Execution.make({
          link,
          task,
          body,
          context: inRuns,
          ...(options.defaultStepRetry === undefined ? {} : { defaultStepRetry: options.defaultStepRetry })
        })
    active.set(task.runId, execution)
    const outcome = yield* Effect.onExit(execution.activate(task), () =>
      Effect.sync(() => {
        if (active.get(task.runId) === execution) active.delete(task.runId)
      })
    )
    if (outcome === "parked") keep(task.runId, execution)
  })

  const keep = (runId: string, execution: Execution.Execution) => {
    parked.set(runId, execution)
    if (parked.size <= options.cacheSize) return
    const oldest = parked.first
    if (oldest !== undefined) parked.delete(oldest)
  }

  // ---------------------------------------------------------------------------------------------------------------
  // A queue
  // ---------------------------------------------------------------------------------------------------------------

  /** Executes a run where there is room for it, be it that a run before it is just leaving; else it is given back. */
  const executeInRoom = Effect.fnUntraced(function* (link: WorkerLink, task: Task) {
    const hasRoom =
      (yield* permits.takeIfAvailable(1)) || Option.isSome(yield* Effect.timeoutOption(permits.take(1), leaving))
    if (!hasRoom) return yield* Effect.ignore(link.release(task))
    yield* Effect.ensuring(execute(link, task), permits.release(1))
  })

  /**
   * Takes one run from a queue when there is room for it. Once handed over, it is executed whatever happens. Polls hold
   * no room, so that an idle queue does not keep it from a busy one.
   */
  const pollOnce = (link: WorkerLink, runs: Fibers.Fibers) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(Effect.andThen(permits.withPermit(Effect.void), link.poll)), (task) => {
        if (Option.isNone(task)) return Effect.void
        loaded(link, 1)
        const executed = Effect.ensuring(
          Effect.interruptible(executeInRoom(link, task.value)),
          Effect.sync(() => loaded(link, -1))
        )
        return runs.run(executed)
      })
    )

  /** Takes runs from a queue until the server no longer knows the worker. Through lost connections it keeps trying. */
  const poll = (link: WorkerLink, runs: Fibers.Fibers): Effect.Effect<void, KagziError.KagziError> =>
    pollOnce(link, runs).pipe(
      Effect.retry({ schedule: reconnect, while: (error) => isPassing(error) || error._tag === "PreconditionFailed" }),
      Effect.forever({ disableYield: true }),
      Effect.catchTag("NotFound", () => Effect.void)
    )

  const heed = (notice: Notice): Effect.Effect<unknown> => {
    switch (notice._tag) {
      case "Lost":
      case "Cancelled": {
        const execution = active.get(notice.held.runId)
        if (execution === undefined || execution.held().lease !== notice.held.lease) return Effect.void
        return notice._tag === "Lost" ? execution.abandon : execution.cancel
      }
      case "Drain":
        return Effect.asVoid(Deferred.succeed(stopping, undefined))
      case "Forgotten":
        return Effect.succeed("forgotten" as const)
    }
  }

  /** Serves a queue from one registration, until the server no longer knows it. */
  const serveOnce = (
    queue: Omit<WorkerOptions, "held">,
    isOwn: boolean,
    runs: Fibers.Fibers,
    onRegistered: () => void
  ) =>
    Effect.gen(function* () {
      let link: WorkerLink | undefined
      const connected = yield* protocol.connect({ ...queue, held: () => heldBy(() => link) })
      link = connected
      onRegistered()
      links.add(connected)
      loaded(connected, 0)
      if (isOwn) own = connected
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          links.delete(connected)
          if (own === connected) own = undefined
        })
      )
      yield* Effect.logInfo("Worker registered").pipe(
        Effect.annotateLogs({ worker_id: connected.workerId, task_queue: queue.taskQueue })
      )
      const untilForgotten = Effect.gen(function* () {
        while ((yield* Effect.flatMap(connected.notice, heed)) !== "forgotten");
      })
      // Once stopping it polls no more, and stays registered for the runs that have not ended yet.
      const polling = Effect.raceFirst(poll(connected, runs), Effect.ignore(Deferred.await(stopping)))
      const isStopping = Deferred.isDone(stopping)
      yield* Effect.raceFirst(
        Effect.andThen(
          polling,
          Effect.flatMap(isStopping, (stop) => (stop ? Effect.never : Effect.void))
        ),
        untilForgotten
      )
      yield* Effect.forEach(
        active.values().filter((execution) => execution.link === connected),
        (execution) => execution.abandon,
        { discard: true }
      )
    }).pipe(Effect.scoped)

  /** Serves a queue for good: registers again when the server forgot, waits when it can't be reached. */
  const serve = (queue: Omit<WorkerOptions, "held">, isOwn: boolean, runs: Fibers.Fibers) =>
    Effect.suspend(() => {
      let everServed = false
      const served = () => {
        everServed = true
      }
      return serveOnce(queue, isOwn, runs, served).pipe(
        Effect.tapError((error) =>
          isPassing(error) ? Effect.logWarning("The server can't be reached; trying again", error.message) : Effect.void
        ),
        Effect.retry({
          schedule: Schedule.upTo(reconnect, { duration: firstContact }),
          while: (error) => isPassing(error) && !everServed
        }),
        Effect.retry({ schedule: reconnect, while: (error) => isPassing(error) && everServed }),
        Effect.forever,
        Effect.catch((error) => Effect.asVoid(Deferred.fail(stopping, error)))
      )
    })

  // ---------------------------------------------------------------------------------------------------------------
  // The whole
  // ---------------------------------------------------------------------------------------------------------------

  /** No new runs; what is active ends or parks in its own time, and what is left after the grace period is given back. */
  const drain = (runs: Fibers.Fibers) =>
    Effect.gen(function* () {
      yield* Deferred.succeed(stopping, undefined)
      yield* Effect.forEach(links, (link) => Effect.timeoutOption(Effect.ignore(link.drain), farewell), {
        concurrency: "unbounded",
        discard: true
      })
      yield* Effect.timeoutOption(runs.awaitEmpty, options.gracePeriod)
      yield* Effect.forEach(
        active.values(),
        (execution) =>
          execution.abandon.pipe(
            Effect.andThen(Effect.logWarning("Giving back a run that did not end within the grace period")),
            Effect.andThen(Effect.timeoutOption(execution.quiet, cleanUp)),
            Effect.andThen(Effect.timeoutOption(Effect.ignore(execution.link.release(execution.held())), farewell)),
            Effect.annotateLogs({ run_id: execution.held().runId })
          ),
        { concurrency: "unbounded", discard: true }
      )
    })

  const run = Effect.gen(function* () {
    const runs = yield* Fibers.make
    for (const [index, queue] of options.queues.entries()) {
      yield* Effect.forkScoped(serve(queue, index === 0, runs))
    }
    yield* Effect.addFinalizer(() => drain(runs))
    yield* Deferred.await(stopping)
  }).pipe(
    Effect.scoped,
    Effect.updateContext((around: Context.Context<never>) => Tracing.rootless(Context.merge(around, context)))
  )

  return {
    workerId: () => own?.workerId,
    activeCount: () => active.size,
    shutdown: Effect.asVoid(Deferred.succeed(stopping, undefined)),
    run
  }
}
