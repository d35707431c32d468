/**
 * Error classification: what a failure says decides whether the step is tried again, when, and what the caller learns.
 */
import { Console, Effect, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

/** A failure that callers handle by its type. It has to be declared, by the step and by the workflow. */
class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {
  missing: Schema.Finite
}) {}

const Charge = Workflow.make("charge-card", {
  taskQueue: "payments",
  input: Schema.String,
  output: Schema.String,
  error: InsufficientFunds
})

/** What the gateway answers for a card at its first, second, … call. */
const gateway = Effect.fn(function* (card: string, call: number) {
  if (card === "invalid") return "INVALID_CARD"
  if (card === "empty") return "INSUFFICIENT_FUNDS"
  if (card === "unknown") return "NO_SUCH_CUSTOMER"
  if (card === "slow" && call === 1) return "GATEWAY_TIMEOUT"
  if (card === "odd" && call === 1) return yield* Effect.die(new Error("Unexpected end of JSON input"))
  return "OK"
})

const charge = Effect.fn(function* (card: string) {
  const { attempt } = yield* Step.info
  const answer = yield* gateway(card, attempt)
  switch (answer) {
    case "OK":
      return `charged ${card}`
    case "INVALID_CARD": // the customer's mistake: never again
      return yield* KagziError.nonRetryable("Invalid card details")
    case "INSUFFICIENT_FUNDS": // the same, with a type
      return yield* new InsufficientFunds({ missing: 12.5 })
    case "GATEWAY_TIMEOUT": // again, but not before that
      return yield* KagziError.retryAfter("Payment gateway timeout", "400 millis")
    default: // one of Kagzi's codes, with everything that helps to find the cause
      return yield* KagziError.make("PreconditionFailed", `The gateway says ${answer}`, {
        subject: "customer",
        subjectId: card,
        metadata: { gateway: "eu-1" }
      })
  }
})

const ChargeLive = Charge.implement((card) =>
  Step.run("charge-card", charge(card), {
    error: InsufficientFunds,
    retry: RetryPolicy.exponential({
      maximumAttempts: 3,
      initialInterval: "50 millis",
      nonRetryableErrors: ["InsufficientFunds", "PreconditionFailed"] // tags, codes, or beginnings of messages
    })
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "payments", workflows: [ChargeLive] }))

  /** How it ended for the caller, and after how many attempts. */
  const outcome = Effect.fn(function* (card: string) {
    const run = yield* Charge.start(card)
    const end = yield* run.result.pipe(
      Effect.catchTag("InsufficientFunds", ({ missing }) => Effect.succeed(`${missing} are missing`)),
      Effect.catchTag("WorkflowFailed", ({ error }) => Effect.succeed(`${error._tag}: ${error.message}`))
    )
    const steps = yield* run.steps
    yield* Console.log(`${card}: ${end} (attempts: ${steps.length})`)
    return { end, steps }
  })

  const invalid = yield* outcome("invalid")
  yield* check("a mistake is final", invalid.end === "Internal: Invalid card details" && invalid.steps.length === 1)
  const empty = yield* outcome("empty")
  yield* check("a declared failure keeps its type", empty.end === "12.5 are missing" && empty.steps.length === 1)
  const unknown = yield* outcome("unknown")
  yield* check("a listed code is final", unknown.end.startsWith("PreconditionFailed") && unknown.steps.length === 1)
  const error = unknown.steps[0]?.error
  yield* check("an error keeps all it carries", error?.subjectId === "unknown" && error.metadata.gateway === "eu-1")

  const slow = yield* outcome("slow")
  const [first, second] = slow.steps
  const waited = (second?.startedAt?.getTime() ?? 0) - (first?.finishedAt?.getTime() ?? 0)
  yield* check("a timeout is tried again, not before it asked for", slow.end === "charged slow" && waited >= 400)
  const odd = yield* outcome("odd")
  yield* check("what was thrown is tried again too", odd.end === "charged odd" && odd.steps.length === 2)
})

main(program)
