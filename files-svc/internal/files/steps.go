package files

// The named steps of Options.At, in the order in which an upload and a reaper's pass meet them. An error there stands
// for a crash at that moment.
const (
	StepAuthorized = "upload.authorized" // nothing written yet
	StepIntent     = "upload.intent"     // the row of a large upload is durable
	StepChunk      = "upload.chunk"      // some bytes are written
	StepReceived   = "upload.received"   // the last byte is written, nothing synced
	StepDurable    = "upload.durable"    // the bytes are durable, no row names them
	StepSettling   = "upload.settling"   // all rows written, COMMIT not sent
	StepSettled    = "upload.settled"    // COMMIT is durable, nobody has been answered

	StepReapBegin     = "reap.begin"
	StepReapAbandoned = "reap.abandoned" // pending blobs of dead writers are dead
	StepReapAdopted   = "reap.adopted"   // bytes without a row have one
	StepReapMarked    = "reap.marked"    // blobs are marked deleting
	StepReapDeleted   = "reap.deleted"   // their bytes are gone, the rows don't know
	StepReapBuried    = "reap.buried"    // the rows are tombstones
	StepReapGone      = "reap.gone"      // old tombstones are removed
)

// Steps lists all steps of this package.
var Steps = []string{
	StepAuthorized, StepIntent, StepChunk, StepReceived, StepDurable, StepSettling, StepSettled,
	StepReapBegin, StepReapAbandoned, StepReapAdopted, StepReapMarked, StepReapDeleted, StepReapBuried, StepReapGone,
}
