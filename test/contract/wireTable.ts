/**
 * The wire contract, typed in by hand from its specification and not derived from the proto files: what peers that
 * were built long ago rely on. A line is a service with its RPCs, an enum with its prefix and values, or a message with
 * its fields: number, name, `o` for explicit `optional`, `r` for repeated, the `oneof` it belongs to, type. TS and DUR are the well-known
 * Timestamp and Duration.
 */
export const contract = {
  common: `
    Payload: 1 data bytes; 2 metadata map<string,string>
    PageRequest: 1 page_size int32; 2 page_token string; 3 include_total_count bool
    PageInfo: 1 next_page_token string; 2 has_more bool; 3 total_count int64
    ErrorDetail: 1 code ErrorCode; 2 message string; 3 non_retryable bool; 4 retry_after_ms int64; 5 subject string; 6 subject_id string; 7 metadata map<string,string>
    RetryPolicy: 1 maximum_attempts int32; 2 initial_interval_ms int64; 3 backoff_coefficient double; 4 maximum_interval_ms int64; 5 non_retryable_errors r string
    enum ErrorCode ERROR_CODE_: UNSPECIFIED 0; NOT_FOUND 1; INVALID_ARGUMENT 2; PRECONDITION_FAILED 3; CONFLICT 4; UNAUTHORIZED 5; UNAVAILABLE 6; INTERNAL 7; TIMEOUT 8
  `,

  workflow: `
    service WorkflowService: StartWorkflow; GetWorkflow; GetWorkflowByExternalId; ListWorkflows; CancelWorkflow; RetryWorkflow; TerminateWorkflow
    Workflow: 1 namespace string; 2 run_id string; 3 external_id string; 4 task_queue string; 5 workflow_type string; 6 status WorkflowStatus; 7 version string; 8 input Payload; 9 output o Payload; 10 error o ErrorDetail; 11 attempts int32; 12 priority o int32; 13 timeout_ms o int64; 14 created_at TS; 15 started_at o TS; 16 finished_at o TS; 17 wake_up_at o TS; 18 worker_id o string; 19 parent_run_id o string; 20 parent_step_id o string; 21 schedule_id o string; 22 cron_expr o string
    StartWorkflowRequest: 1 namespace string; 2 external_id string; 3 task_queue string; 4 workflow_type string; 5 input Payload; 7 version string; 8 retry_policy RetryPolicy
    StartWorkflowResponse: 1 run_id string; 2 already_exists bool
    GetWorkflowRequest: 1 namespace string; 2 run_id string
    GetWorkflowResponse: 1 workflow Workflow
    GetWorkflowByExternalIdRequest: 1 namespace string; 2 external_id string
    GetWorkflowByExternalIdResponse: 1 workflow Workflow
    ListWorkflowsRequest: 1 namespace string; 2 status_filter o WorkflowStatus; 3 page PageRequest; 4 workflow_type o string; 5 task_queue o string; 6 created_after o TS; 7 created_before o TS
    ListWorkflowsResponse: 1 workflows r Workflow; 2 page PageInfo
    CancelWorkflowRequest: 1 namespace string; 2 run_id string
    CancelWorkflowResponse: 1 cancelled bool; 2 status WorkflowStatus
    RetryWorkflowRequest: 1 namespace string; 2 run_id string
    RetryWorkflowResponse: 1 new_run_id string; 2 already_running bool
    TerminateWorkflowRequest: 1 namespace string; 2 run_id string; 3 reason string
    TerminateWorkflowResponse: 1 terminated bool; 2 status WorkflowStatus
    enum WorkflowStatus WORKFLOW_STATUS_: UNSPECIFIED 0; PENDING 1; RUNNING 2; SLEEPING 3; COMPLETED 4; FAILED 5; CANCELLED 6; SCHEDULED 7; PAUSED 8
  `,

  worker: `
    service WorkerService: Register; Heartbeat; Deregister; PollTask; BeginStep; CompleteStep; FailStep; CompleteWorkflow; FailWorkflow; Sleep
    Worker: 1 worker_id string; 2 task_queue string; 3 status WorkerStatus; 4 version string; 5 workflow_types r string; 6 hostname string; 7 pid int32; 8 queue_concurrency_limit o int32; 9 workflow_type_concurrency r WorkflowTypeConcurrency; 10 active_workflow_count int32; 11 registered_at TS; 12 last_heartbeat_at TS; 13 labels map<string,string>; 14 capabilities map<string,string>
    WorkflowTypeConcurrency: 1 workflow_type string; 2 max_concurrent int32
    Step: 1 namespace string; 2 step_id string; 3 run_id string; 4 name string; 5 kind StepKind; 6 status StepStatus; 7 attempt_number int32; 8 input Payload; 9 output o Payload; 10 error o ErrorDetail; 11 created_at TS; 12 started_at o TS; 13 finished_at o TS; 14 child_run_id o string
    RegisterRequest: 1 namespace string; 2 task_queue string; 3 workflow_types r string; 4 hostname string; 5 pid int32; 6 version string; 7 labels map<string,string>; 8 queue_concurrency_limit o int32; 9 workflow_type_concurrency r WorkflowTypeConcurrency
    RegisterResponse: 1 worker_id string; 2 heartbeat_interval_secs int32
    HeartbeatRequest: 1 worker_id string
    HeartbeatResponse: 1 accepted bool; 2 should_drain bool
    DeregisterRequest: 1 worker_id string; 2 drain bool
    DeregisterResponse: 1 drained bool
    PollTaskRequest: 1 namespace string; 2 worker_id string; 3 task_queue string; 4 workflow_types r string
    PollTaskResponse: 1 run_id string; 2 workflow_type string; 3 input Payload
    BeginStepRequest: 1 namespace string; 2 run_id string; 3 step_name string; 4 kind StepKind; 5 input Payload; 6 retry_policy RetryPolicy
    BeginStepResponse: 1 step_id string; 2 should_execute bool; 3 cached_output Payload
    CompleteStepRequest: 1 namespace string; 2 run_id string; 3 step_id string; 4 output Payload
    CompleteStepResponse: 1 step Step
    FailStepRequest: 1 namespace string; 2 run_id string; 3 step_id string; 4 error ErrorDetail
    FailStepResponse: 1 scheduled_retry bool; 2 retry_at TS
    CompleteWorkflowRequest: 1 namespace string; 2 run_id string; 3 output Payload
    CompleteWorkflowResponse: 1 status WorkflowStatus
    FailWorkflowRequest: 1 namespace string; 2 run_id string; 3 error ErrorDetail
    FailWorkflowResponse: 1 status WorkflowStatus
    SleepRequest: 1 namespace string; 2 run_id string; 3 step_id string; 4 duration DUR
    SleepResponse:
    enum WorkerStatus WORKER_STATUS_: UNSPECIFIED 0; ONLINE 1; DRAINING 2; OFFLINE 3
    enum StepKind STEP_KIND_: UNSPECIFIED 0; FUNCTION 1; SLEEP 2; CHILD_WORKFLOW 3
    enum StepStatus STEP_STATUS_: UNSPECIFIED 0; PENDING 1; RUNNING 2; COMPLETED 3; FAILED 4
  `,

  workflow_schedule: `
    service WorkflowScheduleService: CreateWorkflowSchedule; GetWorkflowSchedule; ListWorkflowSchedules; UpdateWorkflowSchedule; DeleteWorkflowSchedule; TriggerWorkflowSchedule; PauseWorkflowSchedule; ResumeWorkflowSchedule; ListScheduleRuns
    WorkflowSchedule: 1 namespace string; 2 schedule_id string; 3 task_queue string; 4 workflow_type string; 5 cron_expr string; 6 version string; 7 enabled bool; 8 input Payload; 9 max_catchup int32; 10 total_runs int64; 11 successful_runs int64; 12 failed_runs int64; 13 created_at TS; 14 updated_at TS; 15 next_fire_at o TS; 16 last_fired_at o TS
    CreateWorkflowScheduleRequest: 1 namespace string; 2 task_queue string; 3 workflow_type string; 4 cron_expr string; 5 input Payload; 6 enabled o bool; 7 max_catchup o int32; 8 version o string
    CreateWorkflowScheduleResponse: 1 schedule WorkflowSchedule
    GetWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string
    GetWorkflowScheduleResponse: 1 schedule WorkflowSchedule
    ListWorkflowSchedulesRequest: 1 namespace string; 2 task_queue o string; 3 page PageRequest
    ListWorkflowSchedulesResponse: 1 schedules r WorkflowSchedule; 2 page PageInfo
    UpdateWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string; 3 task_queue o string; 4 workflow_type o string; 5 cron_expr o string; 6 input o Payload; 7 enabled o bool; 8 max_catchup o int32; 9 next_fire_at o TS; 10 version o string
    UpdateWorkflowScheduleResponse: 1 schedule WorkflowSchedule
    DeleteWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string
    DeleteWorkflowScheduleResponse: 1 deleted bool; 2 message string
    TriggerWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string
    TriggerWorkflowScheduleResponse: 1 run_id string
    PauseWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string
    PauseWorkflowScheduleResponse: 1 schedule WorkflowSchedule
    ResumeWorkflowScheduleRequest: 1 namespace string; 2 schedule_id string
    ResumeWorkflowScheduleResponse: 1 schedule WorkflowSchedule
    ListScheduleRunsRequest: 1 namespace string; 2 schedule_id string; 3 page PageRequest
    ListScheduleRunsResponse: 1 runs r Workflow; 2 page PageInfo
  `,

  admin: `
    service AdminService: ListWorkers; GetWorker; GetStep; ListSteps; HealthCheck; GetServerInfo; GetStats; DrainWorker; GetQueueDepth; ListWorkflowTypes
    ListWorkersRequest: 1 namespace string; 2 task_queue o string; 3 status_filter o WorkerStatus; 4 page PageRequest
    ListWorkersResponse: 1 workers r Worker; 2 page PageInfo
    GetWorkerRequest: 1 worker_id string
    GetWorkerResponse: 1 worker Worker
    GetStepRequest: 1 namespace string; 2 step_id string
    GetStepResponse: 1 step Step
    ListStepsRequest: 1 namespace string; 2 run_id string; 3 step_name o string; 4 page PageRequest
    ListStepsResponse: 1 steps r Step; 2 page PageInfo
    HealthCheckRequest: 1 service o string
    HealthCheckResponse: 1 status ServingStatus; 2 message string; 3 timestamp TS
    GetServerInfoRequest:
    GetServerInfoResponse: 1 version string; 2 api_version string; 3 supported_features r string; 4 min_sdk_version string
    GetStatsRequest: 1 namespace o string
    GetStatsResponse: 1 total_workflows int64; 2 pending_workflows int64; 3 running_workflows int64; 4 completed_workflows int64; 5 failed_workflows int64; 6 total_workers int64; 7 online_workers int64; 8 total_schedules int64; 9 enabled_schedules int64; 10 workflows_by_status map<string,int64>; 11 workflows_by_type map<string,int64>
    DrainWorkerRequest: 1 worker_id string
    DrainWorkerResponse: 1 success bool; 2 message string; 3 error o ErrorDetail
    GetQueueDepthRequest: 1 namespace string; 2 task_queue o string
    GetQueueDepthResponse: 1 pending_count int64; 2 running_count int64; 3 sleeping_count int64; 4 depth_by_queue map<string,int64>
    ListWorkflowTypesRequest: 1 namespace string; 2 page PageRequest
    ListWorkflowTypesResponse: 1 workflow_types r WorkflowTypeInfo; 2 page PageInfo
    WorkflowTypeInfo: 1 workflow_type string; 2 total_runs int64; 3 active_runs int64; 4 task_queues r string
    enum ServingStatus SERVING_STATUS_: UNSPECIFIED 0; SERVING 1; NOT_SERVING 2
  `,

  namespace: `
    service NamespaceService: CreateNamespace; GetNamespace; ListNamespaces; UpdateNamespace; EnableNamespace; DisableNamespace
    Namespace: 1 id string; 2 namespace string; 3 display_name string; 4 description string; 5 enabled bool; 6 created_at TS; 7 updated_at TS
    CreateNamespaceRequest: 1 namespace string; 2 display_name string; 3 description o string
    CreateNamespaceResponse: 1 namespace Namespace
    GetNamespaceRequest: 1 namespace string
    GetNamespaceResponse: 1 namespace Namespace
    ListNamespacesRequest: 1 page PageRequest
    ListNamespacesResponse: 1 namespaces r Namespace; 2 page PageInfo
    UpdateNamespaceRequest: 1 namespace string; 2 display_name o string; 3 description o string
    UpdateNamespaceResponse: 1 namespace Namespace
    EnableNamespaceRequest: 1 namespace string
    EnableNamespaceResponse: 1 namespace Namespace
    DisableNamespaceRequest: 1 namespace string
    DisableNamespaceResponse: 1 namespace Namespace
  `
}

/** What this project added: numbers from 1000 up in messages of the contract, and names that it does not have. */
export const additions = {
  common: "",

  workflow: `
    StartWorkflowRequest: 1000 if_exists IfExists
    enum IfExists IF_EXISTS_: UNSPECIFIED 0; REJECT 1; RETURN_FINISHED 2
  `,

  worker: `
    StepRecord: 1 step_id string; 2 name string; 3 kind StepKind; 4 status StepStatus; 5 attempt_number int32; 6 input Payload; 7 output o Payload; 8 error o ErrorDetail; 9 due_at o TS; 10 sequence int64; 11 finished_at o TS; 12 cancelled bool; 13 due_in_ms int64; 14 started_at o TS; 15 created_at TS
    HeldRun: 1 run_id string; 2 lease_epoch int64
    Step: 1000 due_at o TS; 1001 cancelled bool
    RegisterRequest: 1000 instance_id string
    RegisterResponse: 1000 max_payload_bytes int32
    PollTaskResponse: 1000 lease_epoch int64; 1001 workflow Workflow; 1002 history r StepRecord; 1003 history_page_token string; 1004 claimed_at TS
    HeartbeatRequest: 1000 reports_runs bool; 1001 held_runs r HeldRun; 1002 stream uint32
    HeartbeatResponse: 1000 lost_runs r HeldRun; 1001 cancelled_runs r HeldRun; 1002 now TS
    BeginStepRequest: 1000 sleep DUR; 1001 sleep_until TS; 1002 step_id string; 1003 output Payload
    BeginStepResponse: 1000 record StepRecord
    CompleteStepResponse: 1000 record StepRecord
    FailStepResponse: 1000 record StepRecord
    SleepResponse: 1000 record StepRecord
  `,

  workflow_schedule: `
    WorkflowSchedule: 1000 timezone string; 1001 overlap ScheduleOverlap
    CreateWorkflowScheduleRequest: 1000 timezone string; 1001 overlap ScheduleOverlap
    UpdateWorkflowScheduleRequest: 1000 timezone o string; 1001 overlap o ScheduleOverlap
    enum ScheduleOverlap SCHEDULE_OVERLAP_: UNSPECIFIED 0; SKIP 1; CANCEL 2
  `,

  admin: "",

  namespace: "",

  execution: `
    service ExecutionService: SuspendRun; CancelStep; ReleaseRun; GetHistory; AwaitResult
    SuspendRunRequest: 1 namespace string; 2 run_id string
    SuspendRunResponse: 1 suspended bool; 2 wake_up_at TS
    CancelStepRequest: 1 namespace string; 2 run_id string; 3 step_id string
    CancelStepResponse: 1 record StepRecord
    ReleaseRunRequest: 1 namespace string; 2 run_id string
    ReleaseRunResponse:
    GetHistoryRequest: 1 namespace string; 2 run_id string; 3 page_token string
    GetHistoryResponse: 1 steps r StepRecord; 2 next_page_token string
    AwaitResultRequest: 1 namespace string; 2 run_id string; 3 timeout_ms int64
    AwaitResultResponse: 1 workflow Workflow
  `,

  session: `
    service SessionService: bidi_streaming OpenSession
    OpenSessionRequest: 1 commands r SessionCommand
    OpenSessionResponse: 1 events r SessionEvent
    SessionCommand: 1 id uint32; 2 lease_epoch int64; 10 register command/RegisterRequest; 11 serve command/ServeRequest; 12 heartbeat command/HeartbeatRequest; 13 deregister command/DeregisterRequest; 20 begin_step command/BeginStepRequest; 21 complete_step command/CompleteStepRequest; 22 fail_step command/FailStepRequest; 23 cancel_step command/CancelStepRequest; 24 suspend_run command/SuspendRunRequest; 25 release_run command/ReleaseRunRequest; 26 complete_workflow command/CompleteWorkflowRequest; 27 fail_workflow command/FailWorkflowRequest; 30 start_workflow command/StartWorkflowRequest; 31 await_result command/AwaitResultRequest; 32 abandon command/AbandonRequest
    ServeRequest: 1 worker_id string; 2 namespace string; 3 task_queue string; 4 workflow_types r string; 5 capacity int32; 6 resumes bool; 7 held_runs r HeldRun; 8 stream uint32
    AbandonRequest: 1 id uint32
    SessionEvent: 1 id uint32; 2 error event/ErrorDetail; 3 done event/DoneEvent; 10 registered event/RegisterResponse; 11 heard event/HeartbeatResponse; 12 deregistered event/DeregisterResponse; 20 step event/StepEvent; 21 suspended event/SuspendRunResponse; 30 started event/StartWorkflowResponse; 31 result event/AwaitResultResponse; 40 task event/TaskEvent; 41 lost event/LostEvent; 42 drain event/DrainEvent; 43 forgotten event/ForgottenEvent
    DoneEvent:
    StepEvent: 1 record StepRecord; 2 execute bool; 3 retry bool
    TaskEvent: 1 worker_id string; 2 task PollTaskResponse
    LostEvent: 1 worker_id string; 2 run HeldRun; 3 ended bool
    DrainEvent: 1 worker_id string
    ForgottenEvent: 1 worker_id string
  `
}
