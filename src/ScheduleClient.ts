/** Schedules by a client: `KagziClient.schedules`, and what `Schedules` and `workflow.schedule` are made of. */
import { Effect, Option, Stream } from "effect"
import * as KagziError from "./KagziError.ts"
import type { ScheduleFields, Shape as ProtocolShape } from "./protocol/Protocol.ts"
import * as Run from "./Run.ts"
import * as Schedule from "./Schedule.ts"
import { pages } from "./WorkflowHandle.ts"
import * as Codec from "./worker/Codec.ts"
import { type Instant, toMillis } from "./worker/Wait.ts"

/** When a schedule fires, and what happens to times that were missed. */
export interface Settings {
  /**
   * When it fires: six fields with seconds first and days of the week from 1, Sunday; or the five of crontab(5), with
   * days of the week from 0, Sunday.
   */
  readonly cron?: string | undefined
  /** The IANA time zone of the expression; `UTC` unless given. */
  readonly timezone?: string | undefined
  /** A schedule that is not enabled is paused. */
  readonly enabled?: boolean | undefined
  /**
   * How many times that were missed, because no server was up, are made up for: the newest ones, in their order. With 0
   * it is only the last one. 50 unless given.
   */
  readonly maxCatchup?: number | "unlimited" | undefined
  /**
   * What happens at a time when a run of the schedule has not ended: another one is started (`allow`, unless given), none
   * is (`skip`), or another one is started and the earlier cancelled (`cancel`).
   */
  readonly overlap?: Schedule.Overlap | undefined
  /** The version that its runs get. */
  readonly version?: string | undefined
}

/** What can be changed of a schedule. What is left out stays. */
export interface Changes extends Settings {
  readonly taskQueue?: string | undefined
  readonly workflowType?: string | undefined
  /** As JSON: a schedule does not know the types of its workflow. */
  readonly input?: unknown
  /** When it fires next, whatever the expression says; a time that is past is made up for. */
  readonly nextFireAt?: Instant | undefined
}

/** The client's namespace counts unless another is given. */
export interface InNamespace {
  readonly namespace?: string | undefined
}

export interface ListFilter extends InNamespace {
  readonly taskQueue?: string | undefined
}

/** Schedules of any workflow, by their id. An id that no schedule has fails with `NotFound`. */
export interface Schedules {
  readonly get: (
    scheduleId: string,
    options?: InNamespace
  ) => Effect.Effect<Option.Option<Schedule.Description>, KagziError.KagziError>
  /** Newest first, the paused ones too, loaded as they are wanted. */
  readonly list: (filter?: ListFilter) => Stream.Stream<Schedule.Description, KagziError.KagziError>
  readonly update: (
    scheduleId: string,
    changes: Changes & InNamespace
  ) => Effect.Effect<Schedule.Description, KagziError.KagziError>
  readonly pause: (
    scheduleId: string,
    options?: InNamespace
  ) => Effect.Effect<Schedule.Description, KagziError.KagziError>
  /** Goes on with the next time from now: what the pause missed is not made up for. */
  readonly resume: (
    scheduleId: string,
    options?: InNamespace
  ) => Effect.Effect<Schedule.Description, KagziError.KagziError>
  /** Starts a run now, of a paused schedule too, and gives its id. */
  readonly trigger: (scheduleId: string, options?: InNamespace) => Effect.Effect<string, KagziError.KagziError>
  /** Newest first, loaded as they are wanted. */
  readonly runs: (scheduleId: string, options?: InNamespace) => Stream.Stream<Run.Description, KagziError.KagziError>
  /** Its runs stay. */
  readonly delete: (scheduleId: string, options?: InNamespace) => Effect.Effect<void, KagziError.KagziError>
}

const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: A }

/** The settings in the words of the protocol; `InvalidArgument` where a number makes no sense. */
export const fieldsOf = (
  settings: Settings
): Effect.Effect<Omit<ScheduleFields, "input" | "nextFireAt">, KagziError.InvalidArgument> => {
  const { maxCatchup } = settings
  if (maxCatchup !== undefined && maxCatchup !== "unlimited" && !(Number.isInteger(maxCatchup) && maxCatchup >= 0)) {
    return Effect.fail(
      new KagziError.InvalidArgument({
        message: `maxCatchup must be a whole number from 0 up, or "unlimited": ${maxCatchup}`
      })
    )
  }
  return Effect.succeed({
    ...present("cronExpr", settings.cron),
    ...present("timezone", settings.timezone),
    ...present("version", settings.version),
    ...present("enabled", settings.enabled),
    ...present("maxCatchup", maxCatchup === "unlimited" ? -1 : maxCatchup),
    ...present("overlap", settings.overlap)
  })
}

const inputOf = (changes: Changes): Effect.Effect<Run.Payload | undefined, KagziError.InvalidArgument> =>
  "input" in changes
    ? Effect.mapError(
        Codec.json.encode(changes.input),
        (reason) => new KagziError.InvalidArgument({ message: `The input is not JSON: ${reason}` })
      )
    : Effect.undefined

/** `namespace` is that of everything that names no other. */
export const make = (protocol: ProtocolShape, namespace: string): Schedules => {
  const within = (options: InNamespace | undefined) => options?.namespace ?? namespace
  return {
    get: (scheduleId, options) =>
      protocol.getSchedule(within(options), scheduleId).pipe(
        Effect.map((schedule) => Option.some(Schedule.describe(schedule))),
        Effect.catchTag("NotFound", () => Effect.succeedNone)
      ),
    list: ({ taskQueue, ...filter } = {}) =>
      pages((page) =>
        protocol.listSchedules({ namespace: within(filter), ...present("taskQueue", taskQueue) }, page)
      ).pipe(Stream.map(Schedule.describe)),
    update: Effect.fn("Schedules.update")(function* (scheduleId, changes) {
      const { nextFireAt, taskQueue, workflowType } = changes
      const schedule = yield* protocol.updateSchedule(within(changes), scheduleId, {
        ...(yield* fieldsOf(changes)),
        ...present("taskQueue", taskQueue),
        ...present("workflowType", workflowType),
        ...present("input", yield* inputOf(changes)),
        ...present("nextFireAt", nextFireAt === undefined ? undefined : toMillis(nextFireAt))
      })
      return Schedule.describe(schedule)
    }),
    pause: (scheduleId, options) => Effect.map(protocol.pauseSchedule(within(options), scheduleId), Schedule.describe),
    resume: (scheduleId, options) =>
      Effect.map(protocol.resumeSchedule(within(options), scheduleId), Schedule.describe),
    trigger: (scheduleId, options) => protocol.triggerSchedule(within(options), scheduleId),
    runs: (scheduleId, options) =>
      pages((page) => protocol.listScheduleRuns(within(options), scheduleId, page)).pipe(Stream.map(Run.describe)),
    delete: (scheduleId, options) => protocol.deleteSchedule(within(options), scheduleId)
  }
}
