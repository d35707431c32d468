/**
 * Graceful shutdown: a deploy replaces a worker in the middle of a run, and nothing is done twice.
 *
 * Starts the worker of worker.ts as a process, sends it SIGTERM in the middle of a step, and finishes the run with a
 * worker in this process, which is shut down by its own methods.
 */
import { Console, Deferred, Effect, Fiber, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { Worker } from "kagzi"
import { KagziServer } from "kagzi/server"
import { check, main } from "../support.ts"
import { Pack, PackLive } from "./pack.ts"

/** The worker as a process, and what it says. `wrapping` is done when it is in the middle of the first step. */
const startWorker = Effect.gen(function* () {
  const { address } = yield* KagziServer.KagziServer
  const wrapping = yield* Deferred.make<void>()
  const lines: Array<string> = []
  const child = yield* ChildProcess.make(process.execPath, [...process.execArgv, `${import.meta.dirname}/worker.ts`], {
    env: { KAGZI_SERVER_ADDRESS: address },
    extendEnv: true,
    stderr: "inherit",
    forceKillAfter: "5 seconds"
  })
  const reading = yield* child.stdout.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((line) =>
      Effect.gen(function* () {
        lines.push(line)
        yield* Console.log(`worker ${child.pid}: ${line}`)
        if (line.includes("begins")) yield* Deferred.succeed(wrapping, undefined)
      })
    ),
    Effect.forkScoped
  )
  return { child, lines, reading, wrapping }
})

const program = Effect.gen(function* () {
  const first = yield* startWorker
  const run = yield* Pack.start("teapot")
  yield* Deferred.await(first.wrapping)
  yield* Console.log("SIGTERM, in the middle of a step")
  yield* first.child.kill({ killSignal: "SIGTERM" })
  const exitCode = yield* first.child.exitCode
  yield* Fiber.join(first.reading)
  yield* check(
    "the step was finished before the worker signed off",
    first.lines.slice(-2).join() === "wrapping the teapot: is done,the worker has signed off"
  )
  yield* check("the process ended without an error", exitCode === 0)
  yield* check("the run waits for another worker", (yield* run.describe).finishedAt === undefined)

  const second = yield* Worker.make({ taskQueue: "orders", workflows: [PackLive] })
  const running = yield* Effect.forkScoped(second.run)
  const [wrapped = "", sealed = ""] = yield* run.result
  yield* check(
    "each worker did one of the steps, once",
    wrapped.endsWith(`${first.child.pid}`) && sealed.endsWith(`${process.pid}`)
  )

  yield* Console.log(`The second worker is ${Option.getOrElse(yield* second.workerId, () => "nobody")}`)
  yield* check("it is registered", yield* second.isRegistered)
  yield* second.shutdown
  yield* Fiber.join(running)
  yield* check("after its shutdown it is not", !(yield* second.isRegistered))
  yield* check("and it executes nothing", (yield* second.activeCount) === 0)
})

main(program)
