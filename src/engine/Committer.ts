/**
 * Group commit: commands that arrive while a transaction is in flight are the next batch, and one transaction with one
 * flush to disk carries all of it.
 */
import { Cause, Deferred, Effect, Exit, Latch, Option, Random, Result, type Scope } from "effect"
import * as KagziError from "../KagziError.ts"
import type { Rows, Shape, StoreError } from "../store/Store.ts"
import type { ClaimRun, Claimed, Command, Reply } from "./Command.ts"
import { type Decided, decide, type Submitted } from "./lifecycle/decide.ts"
import type { Decision } from "./lifecycle/failures.ts"
import { wantsOf } from "./lifecycle/wants.ts"
import { logStoreError, toKagziError } from "./storeErrors.ts"

type AnyReply = Reply[Command["_tag"]]

export interface Committer {
  /** Does what the command says and answers when it is on disk. */
  readonly execute: <C extends Command>(command: C) => Effect.Effect<Reply[C["_tag"]], KagziError.KagziError>
  /**
   * The same for a claim, to be called where it can't be interrupted: only the wait, which `restore` makes
   * interruptible, is. A run claimed for a caller that was interrupted is put back at once.
   */
  readonly claim: (
    command: ClaimRun,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) => Effect.Effect<Claimed | undefined, KagziError.KagziError>
  /** Puts back a run that was claimed for a worker that can't be given it, without waiting for that. */
  readonly putBack: (claimed: Claimed) => void
}

interface Settings {
  readonly leaseMillis: number
  readonly staleMillis: number
  readonly maximumBatch: number
}

/** A command on its way, and who waits for its answer. */
class Submission implements Submitted {
  readonly command: Command
  readonly random: number
  readonly done = Deferred.makeUnsafe<AnyReply, KagziError.KagziError>()
  reply: Decision<AnyReply> | undefined
  abandoned = false

  constructor(command: Command, random: number) {
    this.command = command
    this.random = random
  }

  /** The run that was claimed, if that is what was asked and there was one. */
  get claimed(): Claimed | undefined {
    return this.command._tag === "ClaimRun" && this.reply !== undefined && Result.isSuccess(this.reply)
      ? (this.reply.success as Reply["ClaimRun"])
      : undefined
  }
}

const stopped = KagziError.make("Unavailable", "The server is stopping")

/**
 * Starts the group commit. `onCommit` is told what each transaction did and at what time, with the runs as they were
 * before and how many commands it carried out, before anyone is answered. When the scope closes, what was submitted is
 * still committed.
 */
export const make = Effect.fnUntraced(function* (
  store: Shape,
  settings: Settings,
  onCommit: (decided: Pick<Decided, "changes" | "relaxed">, now: number, before: Rows["runs"], size: number) => void
): Effect.fn.Return<Committer, never, Scope.Scope> {
  const submitted: Array<Submission> = []
  const bell = Latch.makeUnsafe()
  let closed = false

  const submit = (submission: Submission): void => {
    submitted.push(submission)
    bell.openUnsafe()
  }

  const putBack = ({ lease, run: { namespace, runId } }: Claimed): void =>
    submit(new Submission({ _tag: "ReleaseRun", namespace, runId, lease }, 0))

  const answer = (submission: Submission, reply: Decision<AnyReply>): void => {
    submission.reply = reply
    const { claimed } = submission
    if (submission.abandoned && claimed !== undefined) putBack(claimed)
    Deferred.doneUnsafe(
      submission.done,
      Result.isSuccess(reply) ? Exit.succeed(reply.success) : Exit.fail(reply.failure)
    )
  }

  const abandon = (submission: Submission): void => {
    submission.abandoned = true
    const { claimed } = submission
    const index = submitted.indexOf(submission)
    if (claimed !== undefined) putBack(claimed)
    else if (index >= 0) submitted.splice(index, 1)
  }

  const transact = Effect.fnUntraced(function* (batch: ReadonlyArray<Submission>) {
    const at = { now: yield* store.now, leaseMillis: settings.leaseMillis, staleMillis: settings.staleMillis }
    const wants = wantsOf(
      batch.map(({ command }) => command),
      at
    )
    let before: Rows["runs"] = []
    const decided = yield* store.transact(wants, (rows) => {
      before = rows.runs
      const value: Decided = decide(wants, rows, batch, at)
      return { changes: value.changes, value }
    })
    onCommit(decided, at.now, before, batch.length)
    return decided.replies
  })

  const refuse = Effect.fnUntraced(function* (batch: ReadonlyArray<Submission>, cause: Cause.Cause<StoreError>) {
    const failure = Cause.findErrorOption(cause)
    const error = Option.isSome(failure)
      ? toKagziError(failure.value)
      : KagziError.make("Internal", "Internal error", { nonRetryable: true })
    yield* Option.isSome(failure) ? logStoreError(failure.value) : Effect.logError("A batch failed", cause)
    for (const submission of batch) answer(submission, Result.fail(error))
  })

  const isTransient = (cause: Cause.Cause<StoreError>): boolean => {
    const failure = Cause.findErrorOption(cause)
    return Option.isSome(failure) && failure.value.transient
  }

  const commit = Effect.fnUntraced(function* (batch: ReadonlyArray<Submission>) {
    const exit = yield* Effect.exit(transact(batch))
    if (Exit.isSuccess(exit)) {
      exit.value.forEach((reply, index) => {
        const submission = batch[index]
        if (submission !== undefined) answer(submission, reply)
      })
    } else if (batch.length > 1 && !isTransient(exit.cause)) {
      // One command that the database can't take must not fail those beside it.
      for (const submission of batch) {
        const alone = yield* Effect.exit(transact([submission]))
        if (Exit.isFailure(alone)) yield* refuse([submission], alone.cause)
        else for (const reply of alone.value) answer(submission, reply)
      }
    } else {
      yield* refuse(batch, exit.cause)
    }
  })

  const commitNext = Effect.uninterruptible(Effect.suspend(() => commit(submitted.splice(0, settings.maximumBatch))))

  const run = Effect.gen(function* () {
    for (;;) {
      if (submitted.length === 0) {
        bell.closeUnsafe()
        yield* bell.await
        // The commands that this turn of the event loop brings go together.
        yield* Effect.yieldNow
      }
      yield* commitNext
      // Lets the answers go out and the next commands come in, which the transaction may have held up.
      yield* Effect.yieldNow
    }
  })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      closed = true
      while (submitted.length > 0) yield* commitNext
    })
  )
  yield* Effect.forkScoped(run)

  const submitNew = (command: Command): Effect.Effect<Submission, KagziError.KagziError> =>
    Effect.flatMap(Random.next, (random) => {
      if (closed) return Effect.fail(stopped)
      const submission = new Submission(command, random)
      submit(submission)
      return Effect.succeed(submission)
    })

  const claim: Committer["claim"] = (command, restore) =>
    Effect.flatMap(submitNew(command), (submission) =>
      Effect.as(
        Effect.onInterrupt(restore(Deferred.await(submission.done)), () => Effect.sync(() => abandon(submission))),
        submission
      )
    ).pipe(Effect.map((submission) => submission.claimed))

  const execute = (command: Command): Effect.Effect<AnyReply, KagziError.KagziError> =>
    command._tag === "ClaimRun"
      ? Effect.uninterruptibleMask((restore) => claim(command, restore))
      : Effect.flatMap(submitNew(command), (submission) => Deferred.await(submission.done))

  return {
    putBack,
    claim,
    // `decide` answers each command by the rule of its own tag, which a queue of any commands can't express.
    execute: execute as Committer["execute"]
  }
})
