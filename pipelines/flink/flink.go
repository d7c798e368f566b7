// Package flink runs a Beam pipeline on an Apache Flink cluster: in goes the pipeline that package direct would run in this process,
// unchanged; out comes a job on the cluster whose DoFns run in processes of this same binary.
//
// RUNNING.md says how to set the parts up and what the options mean. This is who does what:
//
//	this process ── Submit ──► Beam's job server ──► Flink's job manager ──► task managers
//	                                                                             │ StartWorker, one per task manager and job
//	worker process ◄── starts one for each ── Pool (`braid worker`) ◄────────────┘
//	   └── control and data over gRPC ──► the task manager that wanted it
//
// # Submit
//
// Submit (job.go) marshals the pipeline into the portable model, with an environment that says "external: ask the pool at this
// address", and hands it to the job server with the options of Flink (options.go), which the SDK's own runner cannot pass. Nothing
// is uploaded: the workers are the binary that the pool belongs to, and it must be built from the same sources as the one that
// submits, because DoFns travel by name and configuration.
//
// # Pool and worker
//
// A Pool (pool.go) is asked for a worker by a task manager, and starts a process for it (worker.go). The process runs the SDK's
// harness: it gets bundles from the task manager and calls the DoFns. A worker that is asked for under an ID that is in use replaces
// the other one: the task manager that wanted that is gone, and its successor counts from the beginning.
//
// # What is different from direct
//
// The truth is the same: the store, and the offsets of the consumer group. Flink's checkpoints only say where to go on, and
// records that come again are recognized by the store's progress. A bundle that fails makes Flink start the whole job again from its
// last checkpoint. A worker that a task manager has given up may still live and go on with its bundle; its commit fails because
// others have moved what it read.
package flink
