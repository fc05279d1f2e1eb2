package files

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"
	"time"
)

// OwnerID is the id of the person a file belongs to, as the auth service knows it.
type OwnerID string

// FileID names a file for its whole life: a UUIDv7.
type FileID string

// File is one file as its owner sees it: the newest version and what is said about it.
type File struct {
	ID          FileID
	Owner       OwnerID
	Name        string // as given, in Unicode normal form C; opaque, never a path
	ContentType string
	Size        int64
	SHA256      Digest
	Version     int64 // counts the contents, from 1
	Metadata    Metadata
	CreatedAt   time.Time
	ContentAt   time.Time // when the newest version was stored: the Last-Modified of the content
	UpdatedAt   time.Time // when anything of the file changed last
	ExpiresAt   time.Time // when the file goes to the trash by itself; zero: never
	DeletedAt   time.Time // when it went to the trash; zero: it is not there

	Blob     BlobID // the newest version's bytes
	Flaw     Flaw   // what is wrong with them; read with the row, never written by it
	Revision int64  // counts the changes of the row: a write compares it
	Fold     string // Name as searches and sorts see it: without case
}

// Extension is what stands behind the last dot of the name, in lower case and without the dot. It is empty for a name
// like ".profile".
func (f File) Extension() string {
	ext := path.Ext(f.Name)
	if len(ext) < 2 || len(ext) == len(f.Name) || strings.ContainsAny(ext, "/\\ ") {
		return ""
	}
	return strings.ToLower(ext[1:])
}

// ETag is the strong entity tag of the content, with its quotes. It holds the version, so that it never comes back, and
// the digest, so that it tells contents apart after a restore of the database.
func (f File) ETag() string {
	return `"` + strconv.FormatInt(f.Version, 10) + "-" + hex.EncodeToString(f.SHA256[:16]) + `"`
}

// visible reports whether the owner finds the file outside the trash.
func (f File) visible(now time.Time) bool {
	return f.DeletedAt.IsZero() && (f.ExpiresAt.IsZero() || f.ExpiresAt.After(now))
}

// Version is one content a file has or had.
type Version struct {
	File        FileID
	Number      int64
	Blob        BlobID
	Size        int64
	SHA256      Digest
	ContentType string
	CreatedAt   time.Time
	Flaw        Flaw // what is wrong with its bytes; of the blob, not of the version's own row
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// String is the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String writes.
func ParseDigest(s string) (Digest, bool) {
	var d Digest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, false
	}
	copy(d[:], b)
	return d, true
}

// Metadata is the owner's own words about a file. At most 64 keys of 1 to 128 bytes, values of at most 1024 bytes, 8192
// bytes of both together, all valid UTF-8 without control characters other than tab and newline in values.
type Metadata map[string]string

// Usage is what an owner's files take. Bytes is the exact sum of all that exists: every kept version, the trash
// included. Files counts the files outside the trash. QuotaBytes zero means no limit.
type Usage struct {
	Bytes      int64
	Files      int64 // outside the trash
	Versions   int64 // of all files, current ones and those in the trash included
	QuotaBytes int64
}
