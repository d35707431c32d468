/** All commands. */
import { dev } from "./dev.ts"
import { health } from "./health.ts"
import { info } from "./info.ts"
import { namespace } from "./namespace/namespace.ts"
import { queue } from "./queue/queue.ts"
import { schedule } from "./schedule/schedule.ts"
import { server } from "./server.ts"
import { worker } from "./worker/worker.ts"
import { workflow } from "./workflow/workflow.ts"

export const commands = [server, dev, workflow, schedule, worker, queue, namespace, health, info] as const
