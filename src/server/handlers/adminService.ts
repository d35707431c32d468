/** The server about itself, and the steps of runs. */
import { Effect } from "effect"
import { AdminService } from "../../../gen/kagzi/v1/admin_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { timestamp } from "../../protocol/codec.ts"
import { step as stepMessage } from "../../protocol/codecRun.ts"
import * as enums from "../../protocol/enums.ts"
import { executionFeature, scheduleFeature, sessionFeature } from "../../protocol/extensions.ts"
import { nonEmpty, ofRun, storable, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"
import { version } from "../version.ts"
import { countEntries } from "./counts.ts"
import { workerEntries } from "./workers.ts"

const methods = AdminService.method

const getServerInfo = entry(methods.getServerInfo, (_, { streams }) =>
  Effect.succeed({
    version,
    apiVersion: "v1",
    supportedFeatures: [executionFeature, scheduleFeature, ...(streams ? [sessionFeature] : [])],
    minSdkVersion: "0.1.0"
  })
)

const healthCheck = entry(
  methods.healthCheck,
  Effect.fnUntraced(function* () {
    const engine = yield* Engine
    const found = yield* engine.ping.pipe(
      Effect.as({ status: enums.servingStatus.toProto("SERVING"), message: "The server answers requests" }),
      Effect.catch((error) =>
        Effect.as(Effect.logWarning("The health check failed", error), {
          status: enums.servingStatus.toProto("NOT_SERVING"),
          message: "The database does not answer"
        })
      )
    )
    return { ...found, timestamp: timestamp(yield* engine.now) }
  })
)

const getStep = entry(
  methods.getStep,
  Effect.fnUntraced(function* (request) {
    const namespace = yield* nonEmpty(request.namespace, "namespace")
    const stepId = yield* uuid(request.stepId, "step_id")
    return { step: stepMessage(yield* (yield* Engine).getStep(namespace, stepId)) }
  })
)

const sizes: Pages.Sizes = { standard: 50, max: 100 }

const listSteps = entry(
  methods.listSteps,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const run = yield* ofRun(request)
    const name = yield* storable(request.stepName, "step_name")
    const filter = { ...run, ...(name === undefined ? {} : { name }) }
    const page = yield* Pages.asked("steps", request.page, sizes)
    const { info, items } = yield* Pages.read(
      "steps",
      page,
      (part) => engine.listSteps(filter, part),
      (step) => ({ at: step.createdAt, id: step.stepId })
    )
    return { steps: items.map(stepMessage), page: info }
  })
)

export const adminService = [getServerInfo, healthCheck, getStep, listSteps, ...workerEntries, ...countEntries]
