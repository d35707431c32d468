/** Statements on schedules in transactions. */
import {
  type ScheduleRow,
  scheduleColumns,
  scheduleMutable,
  scheduleValues,
  toScheduleRecord
} from "../../rows/scheduleRow.ts"
import { fromMetadata } from "../../rows/values.ts"
import type { Changes, ScheduleRecord, Wants } from "../../Store.ts"
import type { Loaded } from "../Loaded.ts"
import type { Question } from "../pipeline.ts"
import {
  array,
  arraysOf,
  given,
  inParts,
  listed,
  payloadBytes,
  prefixed,
  type Statement,
  type Type,
  texts
} from "../values.ts"

const lockSql = `SELECT ${scheduleColumns.join(", ")} FROM schedules
  WHERE schedule_id = ANY($1::text[]) ORDER BY schedule_id FOR UPDATE`

const countsSql = `SELECT schedule_id, sum(total)::bigint, sum(successful)::bigint, sum(failed)::bigint
  FROM schedule_counts WHERE schedule_id = ANY($1::text[]) GROUP BY schedule_id`

type CountsRow = readonly [scheduleId: string, total: number, successful: number, failed: number]

/** Locks the schedules that are wanted, in the order of their ids. */
export const lockSchedules = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  if (wants.schedules.size === 0) return []
  const params = [texts(wants.schedules)]
  return [
    {
      sql: lockSql,
      params,
      answered: (rows) => {
        for (const row of rows) {
          const schedule = toScheduleRecord(row as unknown as ScheduleRow)
          loaded.schedules.set(schedule.scheduleId, schedule)
        }
      }
    },
    {
      sql: countsSql,
      params,
      answered: (rows) => {
        for (const row of rows) {
          const [scheduleId, total, successful, failed] = row as unknown as CountsRow
          const schedule = loaded.schedules.get(scheduleId)
          if (schedule === undefined) continue
          loaded.schedules.set(scheduleId, {
            ...schedule,
            totalRuns: schedule.totalRuns + total,
            successfulRuns: schedule.successfulRuns + successful,
            failedRuns: schedule.failedRuns + failed
          })
        }
      }
    }
  ]
}

const slotsSql = `SELECT w.schedule_id, r.slot
  FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (schedule_id, first, last)
  CROSS JOIN LATERAL (SELECT slot FROM runs
    WHERE schedule_id = w.schedule_id AND slot >= w.first AND slot <= w.last AND slot IS NOT NULL ORDER BY slot) AS r`

/** Loads the slots for which there are runs. */
export const loadSlots = ({ slots }: Wants, loaded: Loaded): ReadonlyArray<Question> =>
  slots.length === 0
    ? []
    : [
        {
          sql: slotsSql,
          params: [
            texts(slots.map(({ scheduleId }) => scheduleId)),
            array(
              "int8",
              slots.map(({ from }) => from)
            ),
            array(
              "int8",
              slots.map(({ to }) => to)
            )
          ],
          answered: (rows) => {
            for (const [scheduleId, slot] of rows) {
              loaded.slots.push({ scheduleId: scheduleId as string, slot: slot as number })
            }
          }
        }
      ]

const types: Readonly<Record<string, Type>> = {
  created_at: "int8",
  enabled: "int2",
  max_catchup: "int4",
  overlap: "int2",
  updated_at: "int8",
  next_fire_at: "int8",
  last_fired_at: "int8",
  total_runs: "int8",
  successful_runs: "int8",
  failed_runs: "int8"
}

const columns = listed(scheduleColumns, types)

const sql = {
  insert: `INSERT INTO schedules (${scheduleColumns.join(", ")}) SELECT * FROM ${given(columns)} ORDER BY schedule_id`,
  // who changes a schedule has locked it, and adds up what has come together since
  update: `WITH counted AS (
      DELETE FROM schedule_counts WHERE schedule_id = ANY($1::text[]) RETURNING schedule_id, total, successful, failed
    )
    UPDATE schedules AS s SET ${scheduleMutable.map((name) => `${name} = w.${name}`).join(", ")},
      total_runs = s.total_runs + coalesce(c.total, 0),
      successful_runs = s.successful_runs + coalesce(c.successful, 0),
      failed_runs = s.failed_runs + coalesce(c.failed, 0)
    FROM ${given(columns)}
    LEFT JOIN LATERAL (SELECT sum(total) AS total, sum(successful) AS successful, sum(failed) AS failed
      FROM counted WHERE counted.schedule_id = w.schedule_id) AS c ON true
    WHERE s.schedule_id = w.schedule_id`,
  putInput: `UPDATE schedules AS s SET input = w.data, input_metadata = w.metadata
    FROM unnest($1::text[], $2::bytea[], $3::text[]) AS w (schedule_id, data, metadata)
    WHERE s.schedule_id = w.schedule_id`,
  count: `INSERT INTO schedule_counts (schedule_id, total, successful, failed)
    SELECT ${prefixed("w", ["schedule_id", "total", "successful", "failed"])}
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS w (schedule_id, total, successful, failed)
    WHERE EXISTS (SELECT 1 FROM schedules AS s WHERE s.schedule_id = w.schedule_id)`,
  removeCounts: "DELETE FROM schedule_counts WHERE schedule_id = ANY($1::text[])",
  remove: "DELETE FROM schedules WHERE schedule_id = ANY($1::text[])"
}

const write = (sql: string, schedules: ReadonlyArray<ScheduleRecord>): ReadonlyArray<Statement> =>
  schedules.length === 0 ? [] : [{ sql, params: arraysOf(columns, schedules.map(scheduleValues)) }]

/** Writes schedules: before runs, whose inputs may come from them. */
export const save = ({ insertSchedules, scheduleInputs, updateSchedules }: Changes): ReadonlyArray<Statement> => [
  ...write(sql.update, updateSchedules),
  ...write(sql.insert, insertSchedules),
  ...inParts(scheduleInputs, ({ payload }) => payloadBytes(payload)).map((part) => ({
    sql: sql.putInput,
    params: [
      texts(part.map(({ scheduleId }) => scheduleId)),
      array(
        "bytea",
        part.map(({ payload }) => payload.data)
      ),
      array(
        "text",
        part.map(({ payload }) => fromMetadata(payload.metadata))
      )
    ]
  }))
]

/** Counts runs and removes schedules: last of all. */
export const saveLast = ({ countScheduleRuns, deleteSchedules }: Changes): ReadonlyArray<Statement> => [
  ...(countScheduleRuns.length === 0
    ? []
    : [
        {
          sql: sql.count,
          params: [
            texts(countScheduleRuns.map(({ scheduleId }) => scheduleId)),
            array(
              "int8",
              countScheduleRuns.map(({ total }) => total)
            ),
            array(
              "int8",
              countScheduleRuns.map(({ successful }) => successful)
            ),
            array(
              "int8",
              countScheduleRuns.map(({ failed }) => failed)
            )
          ]
        }
      ]),
  ...(deleteSchedules.length === 0
    ? []
    : [
        { sql: sql.removeCounts, params: [texts(deleteSchedules)] },
        { sql: sql.remove, params: [texts(deleteSchedules)] }
      ])
]
