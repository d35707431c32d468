/** What workers do with their presence and with the outcome of runs. */
import { Effect } from "effect"
import { WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { requested } from "../../protocol/codec.ts"
import * as enums from "../../protocol/enums.ts"
import * as Commands from "../commands.ts"
import { leaseOf, requestedCommand } from "../commands.ts"
import { entry } from "../Handler.ts"
import { heard, registered } from "../replies.ts"
import { MaxPayloadBytes } from "../Settings.ts"
import { pollTask } from "./pollTask.ts"
import { stepEntries } from "./steps.ts"

const methods = WorkerService.method

const register = entry(
  methods.register,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const worker = yield* engine.execute(yield* requestedCommand((making) => Commands.registerWorker(request, making)))
    return registered(worker, yield* MaxPayloadBytes)
  })
)

const heartbeat = entry(
  methods.heartbeat,
  Effect.fnUntraced(function* (request) {
    return heard(yield* (yield* Engine).execute(yield* requested(Commands.heartbeat(request))))
  })
)

const deregister = entry(
  methods.deregister,
  Effect.fnUntraced(function* (request) {
    return yield* (yield* Engine).execute(yield* requested(Commands.deregisterWorker(request)))
  })
)

const completeWorkflow = entry(
  methods.completeWorkflow,
  Effect.fnUntraced(function* (request, call) {
    const lease = yield* leaseOf(call)
    const command = yield* requestedCommand((making) => Commands.completeRun(request, lease, making))
    const { status } = yield* (yield* Engine).execute(command)
    return { status: enums.status.toProto(status) }
  })
)

const failWorkflow = entry(
  methods.failWorkflow,
  Effect.fnUntraced(function* (request, call) {
    const lease = yield* leaseOf(call)
    const { status } = yield* (yield* Engine).execute(yield* requested(Commands.failRun(request, lease)))
    return { status: enums.status.toProto(status) }
  })
)

export const workerService = [register, heartbeat, deregister, pollTask, ...stepEntries, completeWorkflow, failWorkflow]
