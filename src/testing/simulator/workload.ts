/**
 * What the simulator does when it is not given workflows to try: steps that fail, are slow or hopeless, sleeps,
 * branches and races, in runs that are started twice, cancelled, terminated and retried, by hand and by schedules.
 */
import { Effect, Schedule, Schema } from "effect"
import type { KagziClient } from "../../KagziClient.ts"
import * as KagziError from "../../KagziError.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { IfExists } from "../../Run.ts"
import * as Schedules from "../../Schedules.ts"
import * as Step from "../../Step.ts"
import * as Workflow from "../../Workflow.ts"
import type { Chance } from "./Chance.ts"
import type { ClientTools } from "./Simulation.ts"

const taskQueue = "simulated"

/** What a run is to do: enough to make every run different, and the same on every replay. */
const Plan = Schema.Struct({
  /** How long each step takes, in milliseconds, and how often it fails before it succeeds. */
  steps: Schema.Array(Schema.Struct({ takes: Schema.Int, failures: Schema.Int })),
  sleeps: Schema.Array(Schema.Int)
})
type Plan = typeof Plan.Type
type PlannedStep = Plan["steps"][number]

const retry = RetryPolicy.make({ maximumAttempts: 10, initialInterval: 100, maximumInterval: 2_000 })

/** Fails as often as planned, by its attempts. */
const code = ({ failures, takes }: PlannedStep, result: string) =>
  Effect.gen(function* () {
    const info = yield* Step.info
    if (takes > 0) yield* Effect.sleep(takes)
    if (info.attempt <= failures) return yield* new KagziError.Unavailable({ message: `not yet (${info.attempt})` })
    return result
  })

const step = (name: string, planned: PlannedStep) => Step.run(name, code(planned, `${name} done`), { retry })

const sum = (results: ReadonlyArray<string>) => results.join(", ")

/** Steps and sleeps, one after the other. */
export const Line = Workflow.make("line", { taskQueue, input: Plan, output: Schema.String })
const LineLive = Line.implement(
  Effect.fnUntraced(function* (plan: Plan) {
    const results: Array<string> = []
    for (const [index, planned] of plan.steps.entries()) {
      results.push(yield* step(`step ${index}`, planned))
      const millis = plan.sleeps[index]
      if (millis !== undefined) yield* Workflow.sleep(`sleep ${index}`, millis)
    }
    return sum(results)
  })
)

/** Branches that each do some steps and sleep. */
const Fan = Workflow.make("fan", { taskQueue, input: Plan, output: Schema.String })
const FanLive = Fan.implement(
  Effect.fnUntraced(function* (plan: Plan) {
    const branch = Effect.fnUntraced(function* (planned: PlannedStep, index: number) {
      yield* Workflow.sleep("first", plan.sleeps[index] ?? 10)
      const first = yield* step("first", planned)
      const second = yield* step("second", planned)
      return `${index}: ${first}, ${second}`
    })
    return sum(yield* Workflow.forEach(plan.steps, branch, { concurrency: "unbounded" }))
  })
)

/** Whoever is first. */
const Race = Workflow.make("race", { taskQueue, input: Plan, output: Schema.String })
const RaceLive = Race.implement(
  Effect.fnUntraced(function* (plan: Plan) {
    const results: Array<string> = []
    for (const [index, planned] of plan.steps.entries()) {
      const winner = yield* Workflow.race(
        step(`racer ${index}`, planned),
        Effect.as(Workflow.sleep(`limit ${index}`, plan.sleeps[index] ?? 50), "too late")
      )
      results.push(yield* step(`${winner} ${index}`, planned))
    }
    return sum(results)
  })
)

/** Fails for good in the middle, makes up for what it did, and fails. */
const Saga = Workflow.make("saga", { taskQueue, input: Plan, output: Schema.String })
const SagaLive = Saga.implement(
  Effect.fnUntraced(function* (plan: Plan) {
    const done: Array<string> = []
    const forward = Effect.gen(function* () {
      for (const [index, planned] of plan.steps.entries()) done.push(yield* step(`book ${index}`, planned))
      yield* Step.run("charge", Effect.fail(KagziError.nonRetryable("declined")), { retry })
      return "charged"
    })
    return yield* Effect.catch(
      forward,
      Effect.fnUntraced(function* (error) {
        for (const [index, planned] of plan.steps.entries()) yield* step(`undo ${index}`, planned)
        return yield* error
      })
    )
  })
)

/** Fails as a whole, and is executed again by the run's own policy. */
const Again = Workflow.make("again", { taskQueue, input: Plan, output: Schema.String })
const AgainLive = Again.implement(
  Effect.fnUntraced(function* (plan: Plan) {
    const { attempt } = yield* Workflow.info
    for (const [index, planned] of plan.steps.entries()) yield* step(`step ${index}`, planned)
    if (attempt < 3) return yield* new KagziError.Unavailable({ message: `again (${attempt})` })
    return `execution ${attempt}`
  })
)

/** Sleeps, to see when it wakes where nothing is in the way. */
const Nap = Workflow.make("nap", { taskQueue, output: Schema.String })
const NapLive = Nap.implement(() =>
  Effect.gen(function* () {
    for (const millis of [300, 2_500, 7_000]) yield* Workflow.sleep(`nap of ${millis}`, millis)
    return "awake"
  })
)

export const workflows = [LineLive, FanLive, RaceLive, SagaLive, AgainLive, NapLive] as const

const kinds = [Line, Line, Fan, Fan, Race, Saga, Again] as const

/** Whole milliseconds, so many times faster; what takes any time still does. */
const hurried = (millis: number, pace: number): number => Math.ceil(millis / pace)

const drawPlan = (chance: Chance, pace: number): Plan => {
  const steps = chance.between(1, 4)
  return {
    steps: Array.from({ length: steps }, () => ({
      takes: chance.happens(0.4) ? 0 : hurried(chance.between(1, chance.happens(0.4) ? 12_000 : 400), pace),
      failures: chance.happens(0.2) ? chance.between(1, 3) : 0
    })),
    sleeps: Array.from({ length: chance.between(0, steps) }, () =>
      hurried(chance.between(1, chance.happens(0.3) ? 20_000 : 800), pace)
    )
  }
}

/** For as long as nobody answers. */
export const patiently = <A, R>(
  effect: Effect.Effect<A, KagziError.KagziError, R>
): Effect.Effect<A, KagziError.KagziError, R> =>
  Effect.retry(effect, {
    while: (error) => error._tag === "Unavailable" || error._tag === "Timeout",
    schedule: Schedule.spaced("300 millis")
  })

/** What a run takes of its client. */
export interface RunTools extends Pick<ClientTools, "chance" | "index" | "period"> {
  /** How many times faster steps, sleeps and decisions are; 1 unless given. */
  readonly pace?: number
}

/** One run, from its start to its end, and what is done to it in between. */
export const oneRun = Effect.fnUntraced(function* ({ chance, index, pace = 1, period }: RunTools, place: number) {
  yield* Effect.sleep(chance.between(0, period))
  const kind = chance.pick(kinds)
  // some ids are those of others too
  const id = chance.happens(0.3) ? `shared ${chance.between(1, 3)}` : `client ${index} ${place}`
  const plan = drawPlan(chance, pace)
  const ifExists = chance.pick<IfExists>(["use-active", "use-active", "use-active", "return-finished", "reject"])
  const options = { id, ifExists, ...(kind === Again ? { retries: 4 } : {}) } as const
  const before = hurried(chance.between(0, 5_000), pace)
  const what = chance.fraction()
  const handle = yield* patiently(kind.start(plan, options))
  const twice = chance.happens(0.2) ? yield* Effect.result(patiently(kind.start(plan, options))) : undefined
  if (what < 0.12) {
    yield* Effect.sleep(before)
    yield* Effect.result(patiently(handle.cancel))
  } else if (what < 0.2) {
    yield* Effect.sleep(before)
    yield* Effect.result(patiently(handle.terminate("for a trial")))
  }
  const result = yield* Effect.result(handle.result)
  if (what > 0.9) yield* Effect.result(Effect.flatMap(patiently(handle.retry), (again) => again.result))
  return { twice, result }
})

/** A schedule for as long as things go wrong. */
const oneSchedule = Effect.fnUntraced(function* ({ chance, healed, period }: ClientTools) {
  yield* Effect.sleep(chance.between(0, period / 2))
  const cron = `*/${chance.pick([5, 10, 15, 20, 30])} * * * * *`
  const input = { steps: [{ takes: 0, failures: 0 }], sleeps: [] }
  const { scheduleId } = yield* Line.schedule({ cron, input, maxCatchup: "unlimited" })
  yield* healed
  // the slots of the time in which things went wrong are made up for before
  yield* Effect.sleep("20 seconds")
  yield* patiently(Schedules.pause(scheduleId))
})

/** Workers of the same course declare the same limits, if any. */
export const worker = (_: number, chance: Chance) => ({
  ...(chance.happens(0.3) ? { queueConcurrencyLimit: chance.between(2, 5) } : {}),
  ...(chance.happens(0.3) ? { workflowTypeConcurrency: { line: chance.between(1, 3), fan: 2 } } : {})
})

/** What a client of the simulator does. */
export const client = (tools: ClientTools): Effect.Effect<void, unknown, KagziClient> =>
  Effect.gen(function* () {
    const { calm, chance, index } = tools
    const runs = Array.from({ length: chance.between(1, 4) }, (_, place) =>
      Effect.exit(oneRun({ ...tools, chance: chance.fork(`run ${place}`) }, place))
    )
    const schedule = { ...tools, chance: chance.fork("schedule") }
    yield* Effect.all([...runs, ...(chance.happens(0.4) ? [Effect.exit(oneSchedule(schedule))] : [])], {
      concurrency: "unbounded",
      discard: true
    })
    yield* calm
    if (index === 0) yield* Nap.execute(undefined)
  })
