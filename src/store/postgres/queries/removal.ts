/**
 * Removal of runs that have ended. Each statement is a transaction of its own and waits for no lock: what another server
 * is removing, or uses, is passed over, so that several may do it at once. Nothing but removal changes such rows.
 */
import { runStatus } from "../../rows/codes.ts"
import type { Removable, Removal, RemovalRoom } from "../../Store.ts"
import { stepBytes } from "../stepRow.ts"
import { int2, int8, text } from "../values.ts"
import type { Read } from "./reads.ts"

// In the order of `runs_by_status`, which has them about as they ended: an index by when they ended would be written by
// every run, whether any are removed or not. Those that began long before they ended are read more than once.
const endedSql = `WITH slice AS MATERIALIZED (
    SELECT run_id, created_at, finished_at, step_count,
      coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0) + coalesce(octet_length(error), 0) AS bytes
    FROM runs
    WHERE namespace || '' = $1 AND status = $2 AND created_at <= $3 AND (created_at, run_id) > ($4, $5)
    ORDER BY created_at, run_id LIMIT $6
  ), due AS MATERIALIZED (
    SELECT run_id, created_at, bytes, row_number() OVER places AS place,
      sum(1 + step_count) OVER (places ROWS UNBOUNDED PRECEDING) AS least
    FROM slice WHERE finished_at <= $3 WINDOW places AS (ORDER BY created_at, run_id)
  ), sized AS (
    SELECT d.run_id, d.created_at, d.place, 1 + s.steps > $6 OR d.bytes + s.bytes > $7 AS oversized,
      sum(1 + s.steps) OVER places AS rows, sum(d.bytes + s.bytes) OVER places AS bytes
    FROM due AS d CROSS JOIN LATERAL (
      SELECT count(*) AS steps, coalesce(sum(bytes), 0) AS bytes FROM (
        SELECT ${stepBytes("t")} AS bytes FROM steps AS t WHERE t.run_id = d.run_id LIMIT $6
      ) AS few
    ) AS s
    WHERE d.place = 1 OR d.least <= $6
    WINDOW places AS (ORDER BY d.place ROWS UNBOUNDED PRECEDING)
  ), chosen AS MATERIALIZED (
    SELECT run_id, created_at, place, oversized FROM sized WHERE place = 1 OR (rows <= $6 AND bytes <= $7)
  ), gone AS (
    DELETE FROM runs WHERE run_id = ANY(ARRAY(
      SELECT run_id FROM runs WHERE run_id = ANY(ARRAY(SELECT run_id FROM chosen)) AND status + 0 IN (4, 5, 6)
      FOR UPDATE SKIP LOCKED))
    RETURNING run_id, namespace, task_queue, workflow_type, status
  ), kept AS (
    INSERT INTO removals (run_id) SELECT run_id FROM gone JOIN chosen USING (run_id) WHERE oversized RETURNING run_id
  ), steps_gone AS (
    DELETE FROM steps
    WHERE run_id = ANY(ARRAY(SELECT run_id FROM gone JOIN chosen USING (run_id) WHERE NOT oversized))
  ), counted AS (
    INSERT INTO run_counts (namespace, task_queue, workflow_type, status, runs)
    SELECT namespace, task_queue, workflow_type, status, -count(*) FROM gone
    GROUP BY namespace, task_queue, workflow_type, status
  ), next AS (
    (SELECT created_at, run_id FROM chosen
      WHERE (SELECT count(*) FROM chosen) < (SELECT count(*) FROM due) ORDER BY place DESC LIMIT 1)
    UNION ALL
    (SELECT created_at, run_id FROM slice
      WHERE (SELECT count(*) FROM chosen) = (SELECT count(*) FROM due) AND (SELECT count(*) FROM slice) = $6
      ORDER BY created_at DESC, run_id DESC LIMIT 1)
  )
  SELECT (SELECT count(*) FROM gone)::integer, EXISTS (SELECT 1 FROM kept), next.created_at, next.run_id
  FROM (SELECT 1) AS one LEFT JOIN next ON true`

type EndedRow = readonly [removed: number, stepsLeft: boolean, at: number | null, id: string | null]

export const removeEnded = (which: Removable, room: RemovalRoom): Read<Removal> => {
  const { after = { at: -1, id: "" }, endedBy, namespace, status } = which
  return {
    sql: endedSql,
    params: [
      text(namespace),
      int2(runStatus[status]),
      int8(endedBy),
      int8(after.at),
      text(after.id),
      int8(room.rows),
      int8(room.bytes)
    ],
    decode: (rows) => {
      const [removed, stepsLeft, at, id] = rows[0] as unknown as EndedRow
      return { removed, stepsLeft, ...(at === null || id === null ? {} : { next: { at, id } }) }
    }
  }
}

// The run is done with when a search has found no more of its steps.
const leftSql = `WITH one AS MATERIALIZED (
    SELECT run_id FROM removals LIMIT 1 FOR UPDATE SKIP LOCKED
  ), found AS MATERIALIZED (
    SELECT step_id, row_number() OVER places AS place, sum(bytes) OVER places AS bytes FROM (
      SELECT step_id, ${stepBytes("t")} AS bytes FROM steps AS t WHERE run_id = (SELECT run_id FROM one) LIMIT $1
    ) AS few
    WINDOW places AS (ORDER BY step_id ROWS UNBOUNDED PRECEDING)
  ), gone AS (
    DELETE FROM steps WHERE step_id = ANY(ARRAY(SELECT step_id FROM found WHERE place = 1 OR bytes <= $2))
  ), done AS (
    DELETE FROM removals WHERE run_id = (SELECT run_id FROM one) AND NOT EXISTS (SELECT 1 FROM found)
  )
  SELECT EXISTS (SELECT 1 FROM one)`

export const removeLeftSteps = ({ bytes, rows }: RemovalRoom): Read<boolean> => ({
  sql: leftSql,
  params: [int8(rows), int8(bytes)],
  decode: (found) => found[0]?.[0] === true
})
