/**
 * Group commit: commands that arrive while a transaction is in flight are the next batch, and one transaction with one
 * flush to disk carries all of it.
 *
 * Where the store takes several transactions at a time, there may be several lanes: those of one lane come one after the
 * other, and whatever follows from an answer comes after it. What becomes of a transaction is told in one go, so that
 * two are never told in turns; which of two lanes is told first says nothing of which was first.
 *
 * Servers that share a load would carry out smaller transactions and more of them, each of which costs the database about
 * the same. Therefore a busy lane waits for more commands before its next transaction, about as long as the last one took,
 * and some milliseconds at most. Where no other server does anything, that would only be idle.
 */
import { Cause, Clock, Deferred, Effect, Exit, Option, Random, Result, type Scope } from "effect"
import * as KagziError from "../KagziError.ts"
import type { Rows, Shape, StoreError } from "../store/Store.ts"
import type { ClaimRun, Claimed, Command, Reply } from "./Command.ts"
import { commonLane, type Lane, Lanes, Pace } from "./lanes.ts"
import { type Decided, decide, type Submitted } from "./lifecycle/decide.ts"
import type { Decision } from "./lifecycle/failures.ts"
import { wantsOf } from "./lifecycle/wants.ts"
import { logStoreError, toKagziError } from "./storeErrors.ts"

type AnyReply = Reply[Command["_tag"]]

export interface Committer {
  /**
   * Has a command carried out after those of its lane that were submitted before it, and calls back when it is on disk.
   * Costs no fiber. The answers of one transaction come one right after the other.
   */
  readonly submit: <C extends Command>(command: C, answer: Answer<Reply[C["_tag"]]>) => void
  /** Does what the command says and answers when it is on disk. */
  readonly execute: <C extends Command>(command: C) => Effect.Effect<Reply[C["_tag"]], KagziError.KagziError>
  /**
   * The same for a claim, to be called where it can't be interrupted: only the wait, which `restore` makes
   * interruptible, is. A run claimed for a caller that was interrupted is put back at once.
   */
  readonly claim: (
    command: Omit<ClaimRun, "limit">,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) => Effect.Effect<Claimed | undefined, KagziError.KagziError>
  /** Puts back a run that was claimed for a worker that can't be given it, without waiting for that. */
  readonly putBack: (claimed: Claimed) => void
}

/** A lane is busy that carried out so many commands at a time. */
const busyCommands = 8

/** What it waits for, of as many as were carried out and have come meanwhile. The rest may have no more to say. */
const gatheredPart = 0.75

/**
 * Decisions are made anew that go by a time which is older, in milliseconds: this process stood still since. Where that
 * is so again and again the rows are slow to be had, and nothing is gained.
 */
const oldMillis = 10_000
const renewals = 2

/** A transaction that takes longer was held up, and has let enough commands come. Milliseconds. */
const longestGathering = 10

interface Settings {
  readonly leaseMillis: number
  readonly staleMillis: number
  readonly heartbeatMillis: number
  readonly maximumBatch: number
}

/** Is told what became of a command, and when, in milliseconds since the epoch by the clock of the database. */
export type Answer<A> = (reply: Decision<A>, now: number) => void

/** A command on its way, and who waits for its answer. */
interface Submission extends Submitted {
  readonly answer: Answer<AnyReply>
}

/** One transaction that was committed. */
export interface Commit extends Pick<Decided, "changes" | "relaxed"> {
  readonly now: number
  /** Runs as they were before. */
  readonly before: Rows["runs"]
  /** How many commands it carried out. */
  readonly size: number
}

export const stopped = KagziError.make("Unavailable", "The server is stopping")

export interface Hooks {
  /** Is told of starts and others that are about to be carried out, and may submit claims that go with them. */
  readonly onBatch: (waiting: ReadonlyArray<Submitted>) => void
  /** Where there are several lanes: is told of what is carried out now, as it was told of by `onBatch`. */
  readonly onBegin: (batch: ReadonlyArray<Submitted>) => void
  /** Is told of each transaction before anyone is answered. */
  readonly onCommit: (commit: Commit) => void
  /** Is told of each transaction when all its commands are answered. */
  readonly onAnswered: (commit: Commit) => void
}

/**
 * Starts the group commit. When the scope closes, what was submitted is still committed.
 */
export const make = Effect.fnUntraced(function* (
  store: Shape,
  settings: Settings,
  hooks: Hooks
): Effect.fn.Return<Committer, never, Scope.Scope> {
  const laneCount = Math.max(1, store.lanes ?? 1)
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
  const lanes = new Lanes<Submission>(laneCount, millis)
  const pace = new Pace(laneCount)
  const random = yield* Random.Random
  let closed = false

  const submit = (command: Command, answer: Answer<AnyReply>): Submission => {
    const submission = { command, random: random.nextDoubleUnsafe(), answer }
    if (closed) answer(Result.fail(stopped), 0)
    else lanes.push(submission)
    return submission
  }

  const putBack = ({ lease, run: { namespace, runId } }: Claimed): void =>
    lanes.push({ command: { _tag: "ReleaseRun", namespace, runId, lease }, random: 0, answer: () => {} })

  type Committed = { readonly replies: Decided["replies"]; readonly commit: Commit }

  const transact = Effect.fnUntraced(function* (
    batch: ReadonlyArray<Submission>,
    renewed = 0
  ): Effect.fn.Return<Committed, StoreError> {
    const { heartbeatMillis, leaseMillis, staleMillis } = settings
    const at = { now: yield* store.now, leaseMillis, staleMillis, heartbeatMillis }
    const wants = wantsOf(
      batch.map(({ command }) => command),
      at
    )
    let before: Rows["runs"] = []
    const began = millis()
    let isOld = false
    const decided: Decided = yield* store.transact(wants, (rows) => {
      before = rows.runs
      isOld = renewed < renewals && millis() - began > oldMillis
      const value = decide(wants, rows, isOld ? [] : batch, at)
      return { changes: value.changes, value }
    })
    if (isOld) return yield* transact(batch, renewed + 1)
    const { changes, relaxed, replies } = decided
    if (laneCount > 1 && Object.values(changes).some((written) => written.length > 0)) {
      const ended = millis()
      lanes.want(pace.lanes(ended - began, ended))
    }
    return { replies, commit: { changes, relaxed, now: at.now, before, size: batch.length } }
  })

  /** Whatever others do that are told of something, the defect of one keeps nothing from the rest. */
  const each = (work: (attempt: (run: () => void) => void) => void): Effect.Effect<void> =>
    Effect.suspend(() => {
      const defects: Array<unknown> = []
      work((run) => {
        try {
          run()
        } catch (defect) {
          defects.push(defect)
        }
      })
      return Effect.forEach(
        defects,
        (defect) => Effect.logError("What became of a command could not be told", Cause.die(defect)),
        { discard: true }
      )
    })

  const tell = (batch: ReadonlyArray<Submission>, { commit, replies }: Committed): Effect.Effect<void> =>
    each((attempt) => {
      attempt(() => hooks.onCommit(commit))
      for (const [index, reply] of replies.entries()) attempt(() => batch[index]?.answer(reply, commit.now))
      attempt(() => hooks.onAnswered(commit))
    })

  const refuse = Effect.fnUntraced(function* (batch: ReadonlyArray<Submission>, cause: Cause.Cause<StoreError>) {
    const failure = Cause.findErrorOption(cause)
    const error = Option.isSome(failure)
      ? toKagziError(failure.value)
      : KagziError.make("Internal", "Internal error", { nonRetryable: true })
    yield* Option.isSome(failure) ? logStoreError(failure.value) : Effect.logError("A batch failed", cause)
    const now = yield* store.now
    yield* each((attempt) => {
      for (const { answer } of batch) attempt(() => answer(Result.fail(error), now))
    })
  })

  const isTransient = (cause: Cause.Cause<StoreError>): boolean => {
    const failure = Cause.findErrorOption(cause)
    return Option.isSome(failure) && failure.value.transient
  }

  /** Answers with how many commands were carried out in one transaction. */
  const commit = Effect.fnUntraced(function* (batch: ReadonlyArray<Submission>) {
    const exit = yield* Effect.exit(transact(batch))
    if (Exit.isSuccess(exit)) {
      yield* tell(batch, exit.value)
      return batch.length
    }
    if (batch.length > 1 && !isTransient(exit.cause)) {
      // One command that the database can't take must not fail those beside it.
      for (const submission of batch) {
        const alone = yield* Effect.exit(transact([submission]))
        if (Exit.isFailure(alone)) yield* refuse([submission], alone.cause)
        else yield* tell([submission], alone.value)
      }
    } else {
      yield* refuse(batch, exit.cause)
    }
    return 0
  })

  /** Carries out what waits in a lane. */
  const commitNext = (lane: Lane<Submission>): Effect.Effect<number> => {
    const commitBatch = Effect.suspend(() => {
      const batch = lanes.take(lane, settings.maximumBatch)
      if (laneCount === 1) return commit(batch)
      const began = lane.index === commonLane ? each((attempt) => attempt(() => hooks.onBegin(batch))) : Effect.void
      return Effect.ensuring(
        Effect.andThen(began, commit(batch)),
        Effect.sync(() => lanes.done(lane))
      )
    })
    // only what is not of one run can be of interest to claims
    return Effect.uninterruptible(
      lane.index === commonLane
        ? Effect.andThen(
            each((attempt) => attempt(() => hooks.onBatch(lane.submitted))),
            commitBatch
          )
        : commitBatch
    )
  }

  /** Waits for more to carry out together, after a transaction of so many commands that took so long. */
  const gather = (lane: Lane<Submission>, carriedOut: number, tookMillis: number) =>
    Effect.suspend(() => {
      const wanted = Math.min(settings.maximumBatch, Math.ceil(gatheredPart * (carriedOut + lane.submitted.length)))
      if (carriedOut < busyCommands || store.isShared?.() !== true || !lanes.gather(lane, wanted)) return Effect.void
      return Effect.ensuring(
        Effect.timeoutOption(lane.bell.await, Math.min(tookMillis, longestGathering)),
        Effect.sync(() => lanes.gathered(lane))
      )
    })

  const run = (lane: Lane<Submission>) => {
    const { bell, submitted } = lane
    const next = commitNext(lane)
    return Effect.gen(function* () {
      for (;;) {
        if (submitted.length === 0) {
          bell.closeUnsafe()
          yield* bell.await
          // The commands that this turn of the event loop brings go together.
          yield* Effect.yieldNow
        }
        const began = millis()
        const carriedOut = yield* next
        // Lets the answers go out and the next commands come in, which the transaction may have held up.
        yield* Effect.yieldNow
        yield* gather(lane, carriedOut, millis() - began)
      }
    })
  }

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      closed = true
      for (;;) {
        // what one lane answers may have another one put runs back
        const waiting = lanes.waiting()
        if (waiting.length === 0) return
        yield* Effect.forEach(waiting, commitNext, { concurrency: "unbounded", discard: true })
      }
    })
  )
  for (const lane of lanes.all) yield* Effect.forkScoped(run(lane))

  const claim: Committer["claim"] = (command, restore) =>
    Effect.suspend(() => {
      let abandoned = false
      let got: Claimed | undefined
      const done = Deferred.makeUnsafe<Claimed | undefined, KagziError.KagziError>()
      const submission = submit({ ...command, limit: 1 }, (reply) => {
        // A claim answers with claims, which a queue of any commands can't express.
        got = Result.isSuccess(reply) ? (reply.success as Reply["ClaimRun"]).runs[0] : undefined
        if (got !== undefined && abandoned) putBack(got)
        Deferred.doneUnsafe(done, Result.isSuccess(reply) ? Exit.succeed(got) : Exit.fail(reply.failure))
      })
      return Effect.onInterrupt(restore(Deferred.await(done)), () =>
        Effect.sync(() => {
          abandoned = true
          if (got !== undefined) putBack(got)
          else lanes.remove(submission)
        })
      )
    })

  const execute = (command: Command): Effect.Effect<AnyReply, KagziError.KagziError> =>
    Effect.callback((resume) => {
      submit(command, (reply) => resume(Effect.fromResult(reply)))
    })

  return {
    putBack,
    claim,
    // `decide` answers each command by the rule of its own tag, which a queue of any commands can't express.
    submit: submit as Committer["submit"],
    execute: execute as Committer["execute"]
  }
})
