/** All handlers. */
import type { Entry } from "../Handler.ts"
import { adminService } from "./adminService.ts"
import { executionService } from "./executionService.ts"
import { namespaceService } from "./namespaceService.ts"
import { workerService } from "./workerService.ts"
import { workflowService } from "./workflowService.ts"

/** The methods that this server answers; it has no others. */
export const entries: ReadonlyArray<Entry> = [
  ...workflowService,
  ...workerService,
  ...executionService,
  ...adminService,
  ...namespaceService
]
