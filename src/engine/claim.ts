/** How a worker waits for a run: it asks, and asks again when it is woken, or when a run is due or a lease ends. */
import { Effect, Latch } from "effect"
import type * as KagziError from "../KagziError.ts"
import type { Shape } from "../store/Store.ts"
import type { Claimed, ClaimRun } from "./Command.ts"
import type { Committer } from "./Committer.ts"
import type { ClaimRequest, Options, Task } from "./Engine.ts"
import { heldUp as heldUpBy } from "./lifecycle/limits.ts"
import { mapStoreError } from "./storeErrors.ts"
import type { Waiter, Waiters } from "./Waiters.ts"

/** How long to leave a run alone at first that is due and yet was not to be had: another server is taking it. */
const contendedMillis = 5

/** How often in a row before it is left alone for longer each time, and for how long at most: a server may hang. */
const briefly = 8
const longestContendedMillis = 640

const none: ReadonlySet<string> = new Set()

/** The most bytes of payloads and failures in a task; over it, the history is left to be asked for. */
const taskBytes = 3 * 1_048_576

/** When a run may be had next, as far as can be known at the time `now`, and of which types limits hold the runs up. */
export interface Outlook {
  readonly dueAt: number
  readonly heldUp: ReadonlySet<string>
  readonly now: number
}

type Place = Pick<ClaimRun, "namespace" | "taskQueue" | "workflowTypes">

export interface Claims {
  /** Waits for a run to work on. */
  readonly claim: (request: ClaimRequest) => Effect.Effect<Task | undefined, KagziError.KagziError>
  readonly outlook: (place: Place) => Effect.Effect<Outlook, KagziError.KagziError>
  /** Reads what a worker needs to know of a run that it was given; nothing when there is no such run any more. */
  readonly load: (claimed: Claimed) => Effect.Effect<Task | undefined, KagziError.KagziError>
}

/**
 * When to ask again after an outlook. A run that was due before, `contended` times in a row, and is still not to be had
 * is left alone for a moment.
 */
export const nextQuestion = ({ dueAt, now }: Outlook, contended: number): number =>
  contended > 0 && dueAt <= now
    ? now + Math.min(contendedMillis * 2 ** Math.max(0, contended - briefly), longestContendedMillis)
    : dueAt

export const make = (store: Shape, committer: Committer, waiters: Waiters, options: Options): Claims => {
  /** Waits until it is worth to ask again; false when the time is over. */
  const isWorthAsking = Effect.fnUntraced(function* (waiter: Waiter, bell: Latch.Latch, deadline: number) {
    for (;;) {
      bell.closeUnsafe()
      if (waiter.isCalled) return true
      const now = yield* store.now
      if (waiter.dueAt <= now) return true
      if (deadline <= now) return false
      yield* Effect.raceFirst(bell.await, Effect.sleep(Math.min(waiter.dueAt, deadline) - now))
    }
  })

  const earliestDue = ({ namespace, taskQueue }: Place, workflowTypes: ReadonlyArray<string>) =>
    Effect.map(store.nextDue(namespace, taskQueue, workflowTypes), (dueAt) =>
      dueAt._tag === "Some" ? dueAt.value : Number.POSITIVE_INFINITY
    )

  const outlook = Effect.fnUntraced(function* (request: Place) {
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
    bell: Latch.Latch,
    deadline: number,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) {
    const { namespace, taskQueue, workerId, workflowTypes } = request
    const command = { _tag: "ClaimRun", namespace, workerId, taskQueue, workflowTypes } as const
    let contended = 0
    for (;;) {
      waiters.asks(waiter)
      const claimed = yield* committer.claim(command, restore)
      if (claimed !== undefined) return claimed
      const found = yield* outlook(request)
      waiters.waits(waiter, nextQuestion(found, contended), found.heldUp)
      contended = found.dueAt <= found.now ? contended + 1 : 0
      if (!(yield* restore(isWorthAsking(waiter, bell, deadline)))) return undefined
    }
  })

  const load = Effect.fnUntraced(function* ({ claimedAt, lease, run: { namespace, runId, stepCount } }: Claimed) {
    const run = yield* store.getRun(namespace, runId)
    if (run._tag === "None") return undefined
    if (stepCount === 0) return { run: run.value, lease, claimedAt, history: [], historyMore: false }
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
  }, mapStoreError)

  const claim = Effect.fn("Engine.claim")((request: ClaimRequest) => {
    let claimed: Claimed | undefined
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const started = yield* store.now
        const deadline = started + Math.min(request.timeoutMillis ?? Infinity, options.pollTimeoutMillis)
        const bell = Latch.makeUnsafe()
        const waiter = waiters.add(request, request.workerId, request.workflowTypes, () => {
          bell.openUnsafe()
        })
        claimed = yield* untilClaimed(request, waiter, bell, deadline, restore).pipe(
          Effect.onExit((exit) =>
            Effect.sync(() =>
              waiters.remove(waiter, exit._tag === "Success" && exit.value !== undefined ? [exit.value.run] : [])
            )
          )
        )
        return claimed === undefined ? undefined : yield* load(claimed)
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

  return { claim, outlook, load }
}
