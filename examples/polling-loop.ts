/**
 * Long-running process: start it elsewhere, look every hour whether it is done, fetch what it made.
 *
 * One step name is used again and again; each round has its own record. Between the rounds the run sleeps.
 */
import { Console, Effect, Schema } from "effect"
import { Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Render = Workflow.make("render-film", {
  taskQueue: "films",
  input: Schema.String,
  output: Schema.Struct({ file: Schema.String, looks: Schema.Int })
})

/** A machine elsewhere, which needs a while. */
const farm = new Map<string, { looks: number }>()

const startRendering = (title: string) =>
  Effect.sync(() => {
    const processId = `render-${title}`
    farm.set(processId, { looks: 0 })
    return processId
  })

const checkStatus = (processId: string) =>
  Effect.gen(function* () {
    const job = farm.get(processId)!
    job.looks++
    yield* Console.log(`look ${job.looks}: ${job.looks * 20} %`)
    return { isComplete: job.looks === 5 }
  })

const fetchResult = (processId: string) => Effect.succeed(`${processId}.mp4`)

const RenderLive = Render.implement(
  Effect.fn(function* (title) {
    const processId = yield* Step.run("start", startRendering(title))

    let looks = 0
    while (true) {
      yield* Workflow.sleep("200 millis") // rather "1 hour"
      const status = yield* Step.run("check-status", checkStatus(processId), { input: processId })
      looks++
      if (status.isComplete) break
    }

    const file = yield* Step.run("get-result", fetchResult(processId), { input: processId })
    return { file, looks }
  })
)

const program = Effect.gen(function* () {
  // A worker that keeps no sleeping run in memory executes the body from its record after each sleep, as a new one would.
  yield* Effect.forkScoped(Worker.run({ taskQueue: "films", workflows: [RenderLive], maxCached: 0 }))

  const run = yield* Render.start("teapots")
  const { file, looks } = yield* run.result
  yield* check("the film is there after five looks", file === "render-teapots.mp4" && looks === 5)
  yield* check("each look was made once, through five replays of the loop", farm.get("render-teapots")?.looks === 5)

  const steps = yield* run.steps
  const named = steps.filter(({ kind }) => kind === "FUNCTION").map(({ name }) => name)
  yield* Console.log(`on record: ${named.join(", ")}`)
  yield* check("each round has its record", named.filter((name) => name.startsWith("check-status")).length === 5)
  yield* check("and so has each sleep", steps.filter(({ kind }) => kind === "SLEEP").length === 5)
})

main(program)
