package crashtest

import (
	"slices"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
)

// Step is a moment at which things break, and the work in which it comes.
type Step struct {
	Name string
	What string // in the words of the protocol

	point  string // where the fault waits; empty: it comes at once, where the work says
	nth    int    // the how many-th time counts
	work   func(c *trial)
	late   bool // what was asked for is durable by then: a fault that passes refuses nothing
	unsure bool // a refusal leaves the outcome open
	bytes  int  // of the content; 0: as the work has it
	reads  bool // IOError fails reads, and nothing else
	ends   bool // the process is told to stop as part of the work
}

// Steps lists all steps on a disk, in the order of the table's rows.
var Steps = []Step{
	{Name: "authorized", What: "after auth", point: files.StepAuthorized, nth: 1, work: (*trial).small},
	{Name: "intent", What: "intent written", point: pointCommit, nth: 1, work: (*trial).big},
	{Name: "intent-committed", What: "intent committed", point: files.StepIntent, nth: 1, work: (*trial).big},
	{Name: "chunk", What: "mid-chunk", point: files.StepChunk, nth: 2, work: (*trial).big},
	{Name: "received", What: "last byte, before fsync", point: files.StepReceived, nth: 1, work: (*trial).big},
	{Name: "synced", What: "after fsync", point: disk.StepSynced, nth: 1, work: (*trial).big},
	{Name: "linked", What: "after link, before directory fsync", point: disk.StepLinked, nth: 1, work: (*trial).big},
	{Name: "pack-made", What: "pack made, before directory fsync", point: disk.StepPackMade, nth: 1, work: (*trial).small},
	{Name: "packed", What: "in the pack, before its fsync", point: disk.StepPacked, nth: 1, work: (*trial).small},
	{Name: "packed-second", What: "the same in a pack with others", point: disk.StepPacked, nth: 2, work: (*trial).secondSmall},
	{Name: "pack-synced", What: "pack synced, nobody told", point: disk.StepSynced, nth: 1, work: (*trial).small},
	{Name: "durable", What: "bytes durable, no row", point: files.StepDurable, nth: 1, work: (*trial).small},
	{Name: "begin", What: "before BEGIN", point: pointBegin, nth: 1, work: (*trial).small},
	{Name: "settling", What: "before COMMIT", point: files.StepSettling, nth: 1, work: (*trial).small},
	{Name: "settling-large", What: "before COMMIT, with an intent", point: files.StepSettling, nth: 1, work: (*trial).big},
	{Name: "commit", What: "COMMIT fails", point: pointCommit, nth: 1, work: (*trial).small},
	{Name: "committed", What: "COMMIT sent, its answer lost", point: pointCommitted, nth: 1, work: (*trial).small, unsure: true},
	{Name: "committed-large", What: "the same, with an intent", point: pointCommitted, nth: 2, work: (*trial).big, unsure: true},
	{Name: "settled", What: "COMMIT durable, nobody answered", point: files.StepSettled, nth: 1, work: (*trial).small, late: true},
	{Name: "answer", What: "answer lost", point: pointAnswer, nth: 1, work: (*trial).unanswered, late: true},
	{Name: "outbox", What: "outbox undelivered", work: (*trial).undelivered, late: true},
	{Name: "replace-settling", What: "replace, before COMMIT", point: files.StepSettling, nth: 1, work: (*trial).replacing},
	{Name: "delete-commit", What: "delete, before COMMIT", point: pointCommit, nth: 1, work: (*trial).deleting},
	{Name: "read", What: "mid-download", point: pointRead, nth: 4, work: (*trial).reading, late: true, reads: true},
	{Name: "read-replace", What: "reader during replace", point: files.StepSettled, nth: 1, work: (*trial).readWhileReplaced, late: true},
	{Name: "read-delete", What: "reader during delete", point: files.StepReapDeleted, nth: 1, work: (*trial).readWhileDeleted, late: true},
	{Name: "resumable-created", What: "upload created, nobody answered", point: files.StepUploadCreated, nth: 1, work: (*trial).resuming},
	{Name: "resumable-written", What: "mid-PATCH", point: files.StepUploadWritten, nth: 2, work: (*trial).resuming},
	{Name: "resumable-synced", What: "PATCH synced, offset not saved", point: files.StepUploadSynced, nth: 1, work: (*trial).resuming},
	{Name: "resumable-saved", What: "offset saved, nobody answered", point: files.StepUploadSaved, nth: 1, work: (*trial).resuming},
	{Name: "resumable-linked", What: "upload becomes a blob", point: disk.StepLinked, nth: 1, work: (*trial).resuming},
	{Name: "resumable-settling", What: "upload becomes a file", point: files.StepSettling, nth: 1, work: (*trial).resuming},
	{Name: "sigterm", What: "SIGTERM mid-PATCH", point: files.StepUploadSynced, nth: 1, work: (*trial).terminated, ends: true},
	{Name: "reap-begin", What: "reaper: begins", point: files.StepReapBegin, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-abandoned", What: "reaper: pending rows dead", point: files.StepReapAbandoned, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-adopted", What: "reaper: stray bytes have rows", point: files.StepReapAdopted, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-marked", What: "reaper: marked deleting", point: files.StepReapMarked, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-pack-marked", What: "reaper: marked dead in the pack", point: disk.StepPackMarked, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-pack-punched", What: "reaper: punched out of the pack", point: disk.StepPackPunched, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-deleted", What: "reaper: bytes gone, rows not", point: files.StepReapDeleted, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-buried", What: "reaper: rows are tombstones", point: files.StepReapBuried, nth: 1, work: (*trial).reaping, late: true},
	{Name: "reap-gone", What: "reaper: tombstones gone", point: files.StepReapGone, nth: 1, work: (*trial).reaping, late: true},
	{Name: "scrub-replace", What: "scrub during replace", point: files.StepSettled, nth: 1, work: (*trial).scrubbing, late: true},
	{Name: "clock-forward", What: "clock + 1 h", point: files.StepDurable, nth: 1, work: (*trial).clockForward},
	{Name: "clock-back", What: "clock - 1 h", point: files.StepDurable, nth: 1, work: (*trial).clockBack},
}

// partedBytes is a content of two parts and more.
const partedBytes = 16 << 20

// bucketSteps are those of a bucket. What a kernel's files have of their own is left out there (diskSteps).
var bucketSteps = []Step{
	{Name: "put", What: "object there, before HEAD", point: s3.StepCompleted, nth: 1, work: (*trial).small},
	{Name: "put-proven", What: "object proven, no row", point: s3.StepProven, nth: 1, work: (*trial).small},
	{Name: "part", What: "part there, unrecorded", point: s3.StepPart, nth: 1, work: (*trial).big, bytes: partedBytes},
	{Name: "complete", What: "all parts there, before complete", point: s3.StepComplete, nth: 1, work: (*trial).big, bytes: partedBytes},
	{Name: "completed", What: "complete, its answer lost, before HEAD", point: s3.StepCompleted, nth: 1, work: (*trial).big, bytes: partedBytes},
	{Name: "proven", What: "HEAD has proven it, no row", point: s3.StepProven, nth: 1, work: (*trial).big, bytes: partedBytes},
	{Name: "abort", What: "parts nobody wants, before abort", point: s3.StepAbort, nth: 1, work: (*trial).abandoned, bytes: partedBytes},
	{Name: "aborted", What: "after abort", point: s3.StepAborted, nth: 1, work: (*trial).abandoned, bytes: partedBytes},
	{Name: "piece", What: "piece there, offset not saved", point: s3.StepPiece, nth: 1, work: (*trial).resuming, bytes: partedBytes},
	{Name: "joined", What: "upload becomes a blob: a part is copied", point: s3.StepPart, nth: 1, work: (*trial).resuming, bytes: partedBytes},
	{Name: "joining", What: "upload becomes a blob: before complete", point: s3.StepComplete, nth: 1, work: (*trial).resuming, bytes: partedBytes},
}

var diskSteps = []string{
	"synced", "linked", "resumable-linked",
	"pack-made", "packed", "packed-second", "pack-synced", "reap-pack-marked", "reap-pack-punched",
}

// Steps lists the steps of a store, in the order of the table's rows.
func (s Store) Steps() []Step {
	if !s.Bucket {
		return Steps
	}
	common := slices.DeleteFunc(slices.Clone(Steps), func(step Step) bool { return slices.Contains(diskSteps, step.Name) })
	return append(common, bucketSteps...)
}

// faults lists those a store can meet.
func (s Store) faults() []Fault {
	if !s.Bucket {
		return Faults
	}
	return slices.DeleteFunc(slices.Clone(Faults), func(f Fault) bool { return f == PowerCut })
}
