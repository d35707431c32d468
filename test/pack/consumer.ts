/**
 * A stranger's program: compiled and run by `npm run test:pack` in an empty project, against the packed package. It
 * imports every public subpath, and takes one workflow through the server that was started from the same package.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Schema } from "effect"
import { KagziClient, KagziError, RetryPolicy, Run, Step, Worker, Workflow } from "kagzi"
import { WorkflowStatus } from "kagzi/gen/kagzi/v1/workflow_pb"
import { WorkflowSchema } from "kagzi/gen/kagzi/v1/workflow_pb.js"
import { KagziServer } from "kagzi/server"
import { TestKagzi } from "kagzi/testing"

const Greet = Workflow.make("greet", {
  taskQueue: "greetings",
  input: Schema.Struct({ name: Schema.String }),
  output: Schema.String
})

const GreetLive = Greet.implement(
  Effect.fn(function* (input) {
    yield* Workflow.sleep("10 millis")
    return yield* Step.run("greet", Effect.succeed(`Hello, ${input.name}`), {
      output: Schema.String,
      retry: RetryPolicy.fixed("1 second", { maximumAttempts: 3 })
    })
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkChild(Worker.run({ taskQueue: "greetings", workflows: [GreetLive] }))
  const greeting = yield* Greet.execute({ name: "packed world" })
  yield* Console.log(greeting)
  yield* Console.log(
    KagziError.isKagziError(KagziError.nonRetryable("no")),
    typeof KagziServer.layer,
    typeof TestKagzi.layer({ workflows: [GreetLive] }),
    WorkflowStatus.COMPLETED,
    WorkflowSchema.typeName,
    Run.isTerminal("COMPLETED")
  )
}).pipe(Effect.provide(KagziClient.layerConfig))

NodeRuntime.runMain(program)
