/** All handlers. */
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts"
import type { Entry } from "../Handler.ts"
import type { StandardEntry } from "../standard.ts"
import { adminService } from "./adminService.ts"
import { executionService } from "./executionService.ts"
import { health } from "./health.ts"
import { namespaceService } from "./namespaceService.ts"
import { reflection, reflectionServices } from "./reflection.ts"
import { scheduleService } from "./scheduleService.ts"
import { workerService } from "./workerService.ts"
import { workflowService } from "./workflowService.ts"

/** The methods of our own services. */
export const entries: ReadonlyArray<Entry> = [
  ...workflowService,
  ...workerService,
  ...executionService,
  ...adminService,
  ...namespaceService,
  ...scheduleService
]

const ownServices = [...new Set(entries.map(({ method }) => method.parent))]

/** The methods of standard services: health, and what there is. */
export const standardEntries: ReadonlyArray<StandardEntry> = [
  ...health([...ownServices, ...reflectionServices].map(({ typeName }) => typeName)),
  ...reflection([...ownServices, Health])
]
