/**
 * The connections that carry out transactions. Each is used by one transaction at a time.
 *
 * **Commits whose answer is lost**
 *
 * When a connection breaks while `COMMIT` is under way, or a statement that is a transaction by itself, the transaction
 * may have taken place or not, and may still do so. Therefore a lane has a row in the database, and a number that grows: a
 * transaction writes its number into the row, provided that the number before is there. Whoever has to know what became of
 * transaction 7 writes 8 there, which waits for a transaction that still holds the row, and finds 7 if it was committed.
 * If not, it never will be: 7 may not follow 8. That holds across crashes and failovers too, since the row is as durable as
 * the transaction.
 */
import { randomUUID } from "node:crypto"
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { Clock, Effect, Exit, Result, Scope, Semaphore } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { writingAndGiving } from "./combined.ts"
import { connect } from "./connect.ts"
import { pipeline } from "./pipeline.ts"
import type { Read } from "./queries/reads.ts"
import { int8, type Statement, text } from "./values.ts"

/** A transaction that has not ended by then has lost its connection. */
const longestMillis = 45_000

/** How long to look for the outcome of a transaction: as long as PostgreSQL takes to come back after a crash. */
const findOutMillis = 20_000

const retryMillis = 100

/** For how long after a transaction another one takes the connection for good, in milliseconds. */
const warmMillis = 100

/** How long to do with fewer connections when the database has as many as it takes. */
const crowdedMillis = 1_000

const silent = new SqlError({ reason: new ConnectionError({ cause: new Error("PostgreSQL does not answer") }) })

const givenUp = "this transaction was given up"

const numberTransaction = `INSERT INTO lanes AS l (lane_id, sequence, previous, used_at)
  VALUES ($1, $2, $2::bigint - 1, now())
  ON CONFLICT (lane_id) DO UPDATE SET sequence = excluded.sequence, previous = l.sequence, used_at = now()
    WHERE l.sequence = excluded.sequence - 1
  RETURNING 1`
const isNumbered = `expect((SELECT count(*) FROM numbered) = 1, '${givenUp}')`

// Asked again when its own answer is lost, it finds what it found before.
const giveUpTransaction = `INSERT INTO lanes AS l (lane_id, sequence, previous, used_at) VALUES ($1, $2, -1, now())
  ON CONFLICT (lane_id) DO UPDATE SET sequence = excluded.sequence, used_at = now(),
    previous = CASE WHEN l.sequence = excluded.sequence THEN l.previous ELSE l.sequence END
  RETURNING previous`

const monotonicMillis = Effect.map(Clock.Clock, (clock) => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n))

/** Whether the number of a lane is not the one that it should be. */
export const isGivenUp = ({ reason }: SqlError): boolean =>
  reason.cause instanceof Error && reason.cause.message === givenUp

/** Forgets the lanes of servers that are gone. */
export const forgetOld: Read<void> = {
  sql: "DELETE FROM lanes WHERE used_at < now() - interval '1 day'",
  params: [],
  decode: () => undefined
}

export class Lane {
  readonly #open: Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope>
  readonly #id: string
  #sequence = 0
  #connection: { readonly session: PgConnection.PgConnection; readonly scope: Scope.Closeable } | undefined
  /** When the last transaction ended, by the monotonic clock; milliseconds. */
  usedAt = Number.NEGATIVE_INFINITY
  /** When the transaction began that is under way, by the monotonic clock; milliseconds. */
  busySince: number | undefined
  /** Whether it was in use a moment ago, so that its connection is hardly broken. */
  isWarm = false
  /** Whether it is out of use for a while when it is given back. */
  rests = false

  constructor(id: string, open: Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope>) {
    this.#id = id
    this.#open = open
  }

  /** The connection, made anew if it was dropped. */
  readonly connect: Effect.Effect<PgConnection.PgConnection, SqlError> = Effect.suspend(() => {
    if (this.#connection !== undefined) return Effect.succeed(this.#connection.session)
    const scope = Scope.makeUnsafe()
    return this.#open.pipe(
      Scope.provide(scope),
      Effect.tap((session) =>
        Effect.sync(() => {
          this.#connection = { session, scope }
        })
      ),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /** Closes the connection: what is under way on it fails. */
  readonly drop: Effect.Effect<void> = Effect.suspend(() => {
    const dropped = this.#connection
    this.#connection = undefined
    return dropped === undefined ? Effect.void : Scope.close(dropped.scope, Exit.void)
  })

  /** The statement that gives the transaction its number. */
  number(): Statement {
    this.#sequence++
    return writingAndGiving("numbered", numberTransaction, isNumbered, [text(this.#id), int8(this.#sequence)])
  }

  /** The transaction that was given a number was rolled back for certain. */
  rolledBack(): void {
    this.#sequence--
  }

  /** Finds out whether the transaction took place that was numbered last. Afterwards it can't any more. */
  readonly settle: Effect.Effect<boolean, SqlError> = Effect.suspend(() => {
    const asked = this.#sequence
    this.#sequence = asked + 1
    const find = Effect.gen({ self: this }, function* () {
      const session = yield* this.connect
      const params = [text(this.#id), int8(asked + 1)]
      const [rows] = yield* pipeline(session, [{ sql: giveUpTransaction, params }])
      return rows?.[0]?.[0] === asked
    })
    return Effect.gen({ self: this }, function* () {
      const deadline = (yield* monotonicMillis) + findOutMillis
      for (;;) {
        const left = Math.max(0, deadline - (yield* monotonicMillis))
        const found = yield* Effect.result(
          Effect.timeoutOrElse(find, { duration: left, orElse: () => Effect.fail(silent) })
        )
        if (Result.isSuccess(found)) return found.success
        yield* this.drop
        if ((yield* monotonicMillis) > deadline) return yield* found.failure
        yield* Effect.sleep(retryMillis)
      }
    })
  })
}

export interface Lanes {
  readonly count: number
  /** Lends a lane that nobody else uses. */
  readonly use: <A, E>(work: (lane: Lane) => Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Whether other lanes have a connection. They come first then, and this one is out of use for a while. */
  readonly yields: (lane: Lane) => boolean
  /** Takes a lane out of use, of which a transaction may still take place. */
  readonly retire: (lane: Lane) => Effect.Effect<void>
}

/**
 * Makes that many lanes. They connect when they are first used, and disconnect when the scope closes. `onConnect` is called
 * for each new connection: the database may be another one then, which lacks the last commits.
 */
export const make = Effect.fnUntraced(function* (
  config: PgConnection.Config,
  count: number,
  onConnect: () => void
): Effect.fn.Return<Lanes, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const newLane = Effect.sync(
    () =>
      new Lane(
        randomUUID(),
        Effect.tap(connect(config), () => Effect.sync(onConnect))
      )
  )
  const lanes = new Set<Lane>()
  for (let n = 0; n < count; n++) lanes.add(yield* newLane)
  // the one used last is used next, so that no more connect than are needed
  const free = Array.from(lanes)
  const permits = yield* Semaphore.make(count)

  yield* Effect.addFinalizer(() => Effect.forEach(lanes, (lane) => lane.drop, { discard: true }))

  // A peer that is gone without a word is noticed by nothing else while data is on the way to it.
  const watch = Effect.gen(function* () {
    const now = yield* monotonicMillis
    for (const lane of lanes) {
      if (lane.busySince !== undefined && now - lane.busySince > longestMillis) yield* lane.drop
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(5_000), watch)))

  const acquire = Effect.flatMap(monotonicMillis, (now) =>
    Effect.sync(() => {
      const lane = free.pop()!
      lane.isWarm = now - lane.usedAt < warmMillis
      lane.busySince = now
      return lane
    })
  )
  const release = (lane: Lane) =>
    Effect.flatMap(monotonicMillis, (now) => {
      const { rests } = lane
      lane.usedAt = now
      lane.busySince = undefined
      lane.rests = false
      if (lanes.has(lane)) {
        if (lane.isConnected) free.push(lane)
        else free.unshift(lane)
      }
      const permit = Effect.asVoid(permits.release(1))
      return rests ? Effect.asVoid(Effect.forkIn(Effect.andThen(Effect.sleep(crowdedMillis), permit), scope)) : permit
    })
  return {
    count,
    use: (work) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(
          restore(permits.take(1)),
          Effect.acquireUseRelease(acquire, (lane) => restore(work(lane)), release)
        )
      ),
    yields: (lane) => {
      lane.rests = Array.from(lanes).some((other) => other !== lane && other.isConnected)
      return lane.rests
    },
    retire: Effect.fnUntraced(function* (lane) {
      lanes.delete(lane)
      const successor = yield* newLane
      lanes.add(successor)
      free.push(successor)
      yield* lane.drop
    })
  }
})
