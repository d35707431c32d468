/**
 * Conditional execution: some orders need a person's approval, and their runs wait for it.
 *
 * The waiting is a step that looks whether there is a decision and fails while there is none; its retry policy says how
 * often it looks, and for how long. Between the attempts the run sleeps, for days if need be.
 */
import { Console, Context, Effect, FileSystem, Layer, Option, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Expense = Schema.Struct({ id: Schema.String, amount: Schema.Finite })

const PayExpense = Workflow.make("pay-expense", { taskQueue: "expenses", input: Expense, output: Schema.String })

/** Where decisions are kept: a folder with a file for each, which stands for the service of your office. */
class Approvals extends Context.Service<
  Approvals,
  {
    readonly decide: (id: string, approved: boolean) => Effect.Effect<void>
    readonly find: (id: string) => Effect.Effect<Option.Option<boolean>>
  }
>()("expenses/Approvals") {
  static readonly layer = Layer.effect(
    Approvals,
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "kagzi-approvals-" })
      return {
        decide: (id, approved) => Effect.orDie(files.writeFileString(`${folder}/${id}`, approved ? "yes" : "no")),
        find: (id) => Effect.option(Effect.map(files.readFileString(`${folder}/${id}`), (text) => text === "yes"))
      }
    })
  )
}

const lookForApproval = Effect.fn(function* (id: string) {
  const decision = yield* Approvals.use((approvals) => approvals.find(id))
  if (Option.isNone(decision)) return yield* KagziError.make("Unavailable", `Nobody has decided on ${id} yet`)
  return { approved: decision.value }
})

const PayExpenseLive = PayExpense.implement(
  Effect.fn(function* (expense) {
    const { needsApproval } = yield* Step.run("validate", Effect.succeed({ needsApproval: expense.amount > 100 }))

    if (needsApproval) {
      const { approved } = yield* Step.run("await-approval", lookForApproval(expense.id), {
        retry: RetryPolicy.fixed("100 millis", { maximumAttempts: 0 }) // rather "1 minute"; 0 is without limit
      })
      if (!approved) return yield* KagziError.nonRetryable("Not approved")
    }

    return yield* Step.run("execute", Effect.succeed(`paid ${expense.amount}`))
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "expenses", workflows: [PayExpenseLive] }))
  const approvals = yield* Approvals

  const small = yield* PayExpense.start({ id: "lunch", amount: 20 })
  yield* check("a small expense is paid at once", (yield* small.result) === "paid 20")
  yield* check("and nobody was asked", !(yield* small.steps).some(({ name }) => name === "await-approval"))

  const flight = yield* PayExpense.start({ id: "flight", amount: 900 })
  const yacht = yield* PayExpense.start({ id: "yacht", amount: 90_000 })
  yield* Effect.sleep("500 millis")
  yield* check("a large one waits", (yield* flight.describe).finishedAt === undefined)

  yield* Console.log("The flight is approved, the yacht is not")
  yield* approvals.decide("flight", true)
  yield* approvals.decide("yacht", false)
  yield* check("an approved one is paid", (yield* flight.result) === "paid 900")
  const refusal = yield* Effect.flip(yacht.result)
  yield* check("a refused one fails", refusal._tag === "WorkflowFailed" && refusal.error.message === "Not approved")
})

main(Effect.provide(program, Approvals.layer))
