/** Statements sent together, for one round trip. */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { Cause, Effect, Exit, Option } from "effect"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type { Row, Statement } from "./values.ts"

type Answers = ReadonlyArray<ReadonlyArray<Row>>

const failureOf = (cause: Cause.Cause<SqlError>): Effect.Effect<never, SqlError> =>
  Option.match(Cause.findErrorOption(cause), {
    onNone: () => Effect.failCause(cause as Cause.Cause<never>),
    onSome: Effect.fail
  })

const unsent = new SqlError({
  reason: new UnknownError({ cause: new Error("a statement before this one was not sent"), operation: "query" })
})

/**
 * Runs statements in order and answers with the rows of each.
 *
 * All are sent before the first is answered, which takes a connection that pipelines and that nobody else uses. In a
 * transaction, those after one that fails are not carried out either; the failure is that of the first. Nor are they
 * sent after one that can't be sent, since PostgreSQL would not know of that and might commit the rest.
 */
export const pipeline = (
  connection: PgConnection.PgConnection,
  statements: ReadonlyArray<Statement>
): Effect.Effect<Answers, SqlError> => {
  const [only, ...others] = statements
  if (only !== undefined && others.length === 0) {
    return Effect.map(connection.queryValues(only.sql, only.params), (rows) => [rows])
  }
  return Effect.flatMap(
    Effect.suspend(() => {
      let isFailed = false
      return Effect.forEach(
        statements,
        ({ params, sql }) =>
          Effect.suspend(() => (isFailed ? Effect.fail(unsent) : connection.queryValues(sql, params))).pipe(
            // a statement that can't be sent fails before the next one is begun
            Effect.onError(() =>
              Effect.sync(() => {
                isFailed = true
              })
            ),
            Effect.exit
          ),
        { concurrency: "unbounded" }
      )
    }),
    (exits) => {
      const answers: Array<ReadonlyArray<Row>> = []
      for (const exit of exits) {
        if (Exit.isFailure(exit)) return failureOf(exit.cause)
        answers.push(exit.value)
      }
      return Effect.succeed(answers)
    }
  )
}

export const begin: Statement = { sql: "BEGIN", params: [] }

/** A statement, and what is done with its rows. */
export interface Question extends Statement {
  readonly answered: (rows: ReadonlyArray<Row>) => void
}

/** Runs the questions, behind the statements that come first. */
export const ask = (
  connection: PgConnection.PgConnection,
  questions: ReadonlyArray<Question>,
  first: ReadonlyArray<Statement> = []
): Effect.Effect<void, SqlError> =>
  Effect.map(pipeline(connection, [...first, ...questions]), (answers) => {
    questions.forEach((question, index) => {
      question.answered(answers[first.length + index] ?? [])
    })
  })
