// Package files is the core of files-svc: what a file is, who may see it, what it counts, and when its bytes live and
// die. It knows neither HTTP nor SQL nor a disk; those are ports (ports.go) that adapters fill.
//
// A file belongs to one owner. It has versions; each version names one blob, and a blob is a run of bytes in the store
// under an id that is used once. The flow of an upload:
//
//	writer epoch (durable once a process) ── covers every blob id it hands out
//	   └ above SmallBytes also a row of its own, which reserves quota
//	bytes ── hashed on the way ──> Blobs.Create … Commit (durable under the blob's id)
//	one Catalog transaction: fence, rights, quota, If-Match, name ── version in, old version kept or dead, event out
//	answer
//
// Delete, trash and replace only touch rows; a reader that has opened a blob keeps it. The reaper (reaper.go) takes dead
// blobs out of the store in steps that survive a crash at any point: dead → deleting → tombstone → gone. It also finds
// bytes no row knows, left by a writer that died, because every blob id begins with its writer's epoch.
//
// Promises: what was acknowledged is durable and reads back with its SHA-256; what was not is absent or whole. Quota is
// exact under concurrency and is the sum of what exists. Another person's file is NotFound. Memory per upload is one
// pooled buffer.
package files
