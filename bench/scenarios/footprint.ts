/** What a server and a worker need: memory, and time to start. */
import { readFileSync } from "node:fs"
import { Effect, Fiber } from "effect"
import { load, server, worker } from "../processes.ts"
import type { Report, Row } from "../report.ts"
import { workerSize } from "../sizes.ts"
import { median, round } from "../statistics.ts"
import { type Options, repeated } from "./speed.ts"

const millis = Effect.sync(() => performance.now())

/** Of a process, in MB: what it has now, or the most that it ever had. */
const memoryOf = (pid: number, field: "VmRSS" | "VmHWM") =>
  Effect.try({
    try: () => {
      const status = readFileSync(`/proc/${pid}/status`, "utf8")
      return round((Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1_024) / 1e6)
    },
    catch: () => new Error("Memory is read from /proc, which only Linux has")
  })

const sampling = Effect.fnUntraced(function* (pid: number, samples: Array<number>) {
  for (;;) {
    samples.push(yield* memoryOf(pid, "VmRSS"))
    yield* Effect.sleep("50 millis")
  }
})

const measureMemory = Effect.fnUntraced(function* ({ sizes }: Options) {
  const { restMillis, runs } = sizes.memory
  const system = yield* server()
  const working = yield* worker(system, workerSize)
  yield* Effect.sleep(restMillis)
  const watched = yield* Effect.forEach(
    [
      { process: "server", pid: system.pid },
      { process: "worker", pid: working.pid }
    ],
    Effect.fnUntraced(function* (watch) {
      const samples: Array<number> = []
      const rest = yield* memoryOf(watch.pid, "VmRSS")
      return { ...watch, rest, samples, sampler: yield* Effect.forkScoped(sampling(watch.pid, samples)) }
    })
  )
  yield* load(system, { worker: false, warmUp: sizes.warmUp, throughput: { ...sizes.throughput, runs } })
  yield* Fiber.interruptAll(watched.map(({ sampler }) => sampler))
  yield* Effect.sleep(restMillis)
  return yield* Effect.forEach(
    watched,
    Effect.fnUntraced(function* ({ pid, process, rest, samples }) {
      const row: Row = {
        process,
        rest_mb: rest,
        load_mb: median(samples),
        load_max_mb: Math.max(...samples),
        peak_mb: yield* memoryOf(pid, "VmHWM"),
        rest_after_mb: yield* memoryOf(pid, "VmRSS")
      }
      return row
    })
  )
}, Effect.scoped)

export const memory = Effect.fnUntraced(function* (options: Options) {
  const { inFlight } = options.sizes.throughput
  const report: Report = {
    name: "kagzi memory",
    about: `resident memory in MB (10^6 bytes), before, during and after ${options.sizes.memory.runs} workflows of 5 steps, ${inFlight} in flight, with a server, a worker and a client process`,
    rows: yield* repeated(options, measureMemory(options))
  }
  return report
})

const measureStart = Effect.fnUntraced(function* (restMillis: number) {
  const began = yield* millis
  const system = yield* server()
  const ready = (yield* millis) - began
  yield* Effect.sleep(restMillis)
  return [{ ready_ms: round(ready, 0), rest_mb: yield* memoryOf(system.pid, "VmRSS") }]
}, Effect.scoped)

export const start = Effect.fnUntraced(function* (options: Options) {
  const { restMillis, samples } = options.sizes.start
  const report: Report = {
    name: "kagzi start",
    about: `\`kagzi server\` on a new database, from the start of its process to the line that says it listens, and its memory ${restMillis / 1_000} s later; median of ${samples}`,
    rows: yield* repeated({ ...options, repeat: samples }, measureStart(restMillis))
  }
  return report
})
