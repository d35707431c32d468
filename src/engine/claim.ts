/** How a worker waits for a run: it asks, and asks again when it is woken, or when a run is due or a lease ends. */
import { Effect } from "effect"
import type * as KagziError from "../KagziError.ts"
import type { Shape } from "../store/Store.ts"
import type { Claimed, ClaimRun } from "./Command.ts"
import type { Committer } from "./Committer.ts"
import type { ClaimRequest, Options, Task } from "./Engine.ts"
import { heldUp as heldUpBy } from "./lifecycle/limits.ts"
import { mapStoreError } from "./storeErrors.ts"
import type { Waiter, Waiters } from "./Waiters.ts"

/** How long to leave a run alone that is due and yet was not to be had: another server is taking it. */
const contendedMillis = 5

const none: ReadonlySet<string> = new Set()

/** The most bytes of payloads and failures in a task; over it, the history is left to be asked for. */
const taskBytes = 3 * 1_048_576

export const make = (
  store: Shape,
  committer: Committer,
  waiters: Waiters,
  options: Options
): ((request: ClaimRequest) => Effect.Effect<Task | undefined, KagziError.KagziError>) => {
  /** Waits until it is worth to ask again; false when the time is over. */
  const isWorthAsking = Effect.fnUntraced(function* (waiter: Waiter, deadline: number) {
    for (;;) {
      waiter.bell.closeUnsafe()
      if (waiter.isCalled) return true
      const now = yield* store.now
      if (waiter.dueAt <= now) return true
      if (deadline <= now) return false
      yield* Effect.raceFirst(waiter.bell.await, Effect.sleep(Math.min(waiter.dueAt, deadline) - now))
    }
  })

  const earliestDue = ({ namespace, taskQueue }: ClaimRequest, workflowTypes: ReadonlyArray<string>) =>
    Effect.map(store.nextDue(namespace, taskQueue, workflowTypes), (dueAt) =>
      dueAt._tag === "Some" ? dueAt.value : Number.POSITIVE_INFINITY
    )

  /** When a run may be had next, as far as can be known now, and of which types limits hold the runs up. */
  const outlook = Effect.fnUntraced(function* (request: ClaimRequest) {
    const { namespace, taskQueue, workflowTypes } = request
    const dueAt = yield* earliestDue(request, workflowTypes)
    const now = yield* store.now
    if (dueAt > now) return { dueAt, heldUp: none, now }
    const { freeAt, types } = heldUpBy(workflowTypes, yield* store.occupancy(namespace, taskQueue, workflowTypes, now))
    if (types.size === 0) return { dueAt, heldUp: none, now }
    const others = yield* earliestDue(
      request,
      workflowTypes.filter((type) => !types.has(type))
    )
    return { dueAt: Math.min(others, freeAt), heldUp: types, now }
  }, mapStoreError)

  /** Interruptible only where nothing is claimed yet. */
  const untilClaimed = Effect.fnUntraced(function* (
    request: ClaimRequest,
    waiter: Waiter,
    deadline: number,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) {
    const { namespace, taskQueue, workerId, workflowTypes } = request
    const command: ClaimRun = { _tag: "ClaimRun", namespace, workerId, taskQueue, workflowTypes }
    let contended = false
    for (;;) {
      waiters.asks(waiter)
      const claimed = yield* committer.claim(command, restore)
      if (claimed !== undefined) return claimed
      const { dueAt, heldUp, now } = yield* outlook(request)
      waiters.waits(waiter, contended && dueAt <= now ? now + contendedMillis : dueAt, heldUp)
      contended = dueAt <= now
      if (!(yield* restore(isWorthAsking(waiter, deadline)))) return undefined
    }
  })

  const toTask = Effect.fnUntraced(function* ({ claimedAt, lease, run: { namespace, runId } }: Claimed) {
    const run = yield* store.getRun(namespace, runId)
    if (run._tag === "None") return undefined
    const page = yield* store.history(runId, 0, options.historyBytes)
    const bytes = page.steps.reduce(
      (sum, step) =>
        sum +
        step.input.data.byteLength +
        (step.output?.data.byteLength ?? 0) +
        (step.error === undefined ? 0 : JSON.stringify(step.error).length),
      run.value.input.data.byteLength
    )
    const fits = bytes <= taskBytes
    return {
      run: run.value,
      lease,
      claimedAt,
      history: fits ? page.steps : [],
      historyMore: page.hasMore || !fits
    }
  })

  return Effect.fn("Engine.claim")((request: ClaimRequest) => {
    let claimed: Claimed | undefined
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const started = yield* store.now
        const deadline = started + Math.min(request.timeoutMillis ?? Infinity, options.pollTimeoutMillis)
        const waiter = waiters.add(request, request.workerId, request.workflowTypes)
        claimed = yield* untilClaimed(request, waiter, deadline, restore).pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => waiters.remove(waiter, exit._tag === "Success" ? exit.value?.run : undefined))
          )
        )
        return claimed === undefined ? undefined : yield* mapStoreError(toTask(claimed))
      })
    ).pipe(
      // Interrupted after the claim, or the run could not be read: it goes to another worker.
      Effect.onError(() =>
        Effect.sync(() => {
          if (claimed !== undefined) committer.putBack(claimed)
        })
      )
    )
  })
}
