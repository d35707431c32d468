/** Schedules in a world: how they are made and fired, and what runs they have. */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import type { Command } from "../../../src/engine/Command.ts"
import type { ScheduleRecord } from "../../../src/store/Store.ts"
import { makeWorld, payload, type World } from "./World.ts"

export const hour = 3_600_000
export const at = (text: string) => Date.parse(text)

export const createCommand = (world: World) =>
  ({
    _tag: "CreateSchedule",
    scheduleId: world.id(),
    namespaceId: world.id(),
    namespace: "default",
    taskQueue: "queue",
    workflowType: "order",
    cronExpr: "0 * * * *",
    timezone: "",
    version: "",
    input: payload("daily"),
    enabled: true,
    maxCatchup: 50,
    overlap: "allow"
  }) as const satisfies Command

export const create = (
  world: World,
  fields: Partial<Extract<Command, { _tag: "CreateSchedule" }>> = {}
): ScheduleRecord => world.send({ ...createCommand(world), ...fields })

export const of = ({ namespace, scheduleId }: ScheduleRecord) => ({ namespace, scheduleId })

/** What the engine sends when it finds the schedule due. */
export const fireCommand = (world: World, { namespace, nextFireAt, overlap, scheduleId }: ScheduleRecord, room = 100) =>
  ({
    _tag: "FireSchedule",
    namespace,
    scheduleId,
    nextFireAt: nextFireAt ?? 0,
    overlap,
    runIds: Array.from({ length: room }, () => world.id())
  }) as const satisfies Command

export const fire = (world: World, schedule: ScheduleRecord, room?: number) =>
  world.send(fireCommand(world, schedule, room))

/** The slots that have runs, in the order of the runs' ids. */
export const slots = (world: World, { scheduleId }: ScheduleRecord) =>
  world
    .scheduleRuns(scheduleId)
    .toReversed()
    .map(({ runId }) => world.run({ runId }).slot)
    .map((slot) => (slot === undefined ? "none" : new Date(slot).toISOString().slice(11, 16)))

export const test = (name: string, body: (world: World) => void) =>
  it.effect(name, () =>
    Effect.map(makeWorld, (world) => {
      world.now = at("2026-05-04T00:30:00Z")
      body(world)
    }).pipe(Effect.scoped)
  )
