// Package s3 keeps blobs in a bucket of an S3-compatible store, so that any number of files services share them.
//
// The layout is <prefix>blobs/<epoch>/<number> and, for bytes of resumable uploads, <prefix>uploads/<id>/<piece>. Nothing
// touches a local disk. A content that fits one part is one PutObject; a larger one is a multipart upload whose parts are
// sent while the next is filled: two buffers at most, out of a pool that bounds them all (buffers.go).
//
// A store's word is not enough. Each object carries a token of its writer in its metadata, so that after a lost answer a
// HEAD says whether the object is ours; and its bytes are proven before a row names them, by the store's own checksum
// over the whole where the store has shown that it looks at checksums (trust.go), else by reading them back (proof.go).
//
// Bytes of a resumable upload are pieces, each an object under a name no other writer uses; which of them count is kept in
// the upload's row (pieces.go). So any replica goes on where any other stopped, and two that write at once can't mix.
//
// Every call has a deadline, a bounded number of tries with jitter, and a metric. What fails for good is
// fault.Unavailable with a time to come again, or fault.StorageFull.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

const (
	minPartBytes = 5 << 20 // what S3 takes for any part but the last
	maxParts     = 10_000  // of one object
	smallBytes   = 64 << 10
)

// Checksums says what the store's own checksums are worth.
type Checksums string

// The modes.
const (
	// ChecksumsAuto sends checksums and asks the store, by a wrong one, whether it looks at them. When it does not, or does
	// not know them, they are left out and what is written is read back.
	ChecksumsAuto Checksums = "Auto"
	// ChecksumsRequired refuses to write to a store that does not.
	ChecksumsRequired Checksums = "Required"
	// ChecksumsOff sends none; all that is written is read back.
	ChecksumsOff Checksums = "Off"
)

// Options is where the bucket is and how it is used. Endpoint, Bucket and the keys are needed.
type Options struct {
	Endpoint  string // scheme, host and port
	Public    string // Endpoint as clients reach it; default: the same
	Region    string // default us-east-1
	Bucket    string
	Prefix    string // of all keys; empty, or ending with a slash
	PathStyle bool   // the bucket is in the path, not in the host's name
	AccessKey secret.String
	SecretKey secret.String
	CA        []byte // PEM; empty: the system's

	Checksums Checksums
	PartBytes int // of a part; default and least: 8 MiB and 5 MiB
	Memory    int // of all part buffers together; default 128 MiB, at least two parts

	CallTimeout time.Duration // of one call without a body, tries included; default 20 s
	IdleTimeout time.Duration // how long a body may stand still; default 20 s
	Tries       int           // of each call; default 4

	At         func(step string) error // called at each named step (Steps); an error ends the operation there. For tests
	Log        *slog.Logger            // default: nothing is logged
	Registerer prometheus.Registerer   // nil: no metrics are kept
}

// The named steps.
const (
	StepPart      = "s3.part"      // a part has been sent, nothing knows of it
	StepComplete  = "s3.complete"  // all parts are there, the object is not
	StepCompleted = "s3.completed" // the object is there, nobody has looked at it
	StepProven    = "s3.proven"    // its bytes are what was sent
	StepPiece     = "s3.piece"     // a piece of a resumable upload is there, no row knows of it
	StepAbort     = "s3.abort"     // parts are there that nobody wants any more
	StepAborted   = "s3.aborted"   // and have gone
)

// Steps lists all steps of this package.
var Steps = []string{StepPart, StepComplete, StepCompleted, StepProven, StepPiece, StepAbort, StepAborted}

func (o Options) withDefaults() Options {
	if o.Public == "" {
		o.Public = o.Endpoint
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Checksums == "" {
		o.Checksums = ChecksumsAuto
	}
	if o.PartBytes <= 0 {
		o.PartBytes = 8 << 20
	}
	if o.Memory <= 0 {
		o.Memory = 128 << 20
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = 20 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 20 * time.Second
	}
	if o.Tries <= 0 {
		o.Tries = 4
	}
	if o.At == nil {
		o.At = func(string) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// Blobs is a files.Blobs in a bucket.
type Blobs struct {
	opts    Options
	client  *s3.Client
	presign *s3.PresignClient
	patient func(*s3.Options)
	close   func()
	metrics *metrics
	buffers *buffers
	trust   trust

	mu      sync.Mutex
	writing map[files.UploadID]struct{} // by this process
}

var _ files.Blobs = (*Blobs)(nil)

// New makes the store's client. It asks nothing of the store: one that is away now may be there in a moment. Close it.
func New(opts Options) (*Blobs, error) {
	opts = opts.withDefaults()
	switch {
	case opts.Endpoint == "", opts.Bucket == "":
		return nil, errors.New("s3: an endpoint and a bucket are needed")
	case opts.PartBytes < minPartBytes:
		return nil, fmt.Errorf("s3: a part has at least %d bytes", minPartBytes)
	case opts.Memory < 2*opts.PartBytes:
		return nil, errors.New("s3: the memory must hold two parts")
	}
	client, patient, idle, err := newClient(opts)
	if err != nil {
		return nil, err
	}
	b := &Blobs{opts: opts, client: client, patient: patient, close: idle, writing: map[files.UploadID]struct{}{}}
	b.presign = s3.NewPresignClient(client, s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		o.BaseEndpoint = &opts.Public
	}))
	b.trust.turn = make(chan struct{}, 1)
	b.buffers = newBuffers(opts.PartBytes, opts.Memory/opts.PartBytes, opts.CallTimeout)
	b.metrics = newMetrics(opts.Registerer, b.buffers)
	return b, nil
}

// Close lets go of idle connections. Open readers go on.
func (b *Blobs) Close() error {
	b.close()
	return nil
}

// Ready reports whether the bucket answers.
func (b *Blobs) Ready(ctx context.Context) error {
	return b.call(ctx, "HeadBucket", func(ctx context.Context) error {
		_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.opts.Bucket})
		return err
	})
}

func (b *Blobs) blobsPrefix() string   { return b.opts.Prefix + "blobs/" }
func (b *Blobs) uploadsPrefix() string { return b.opts.Prefix + "uploads/" }

// keyOf is where a blob lies. Numbers have a fixed width, so that keys are listed in their order.
func (b *Blobs) keyOf(id files.BlobID) (string, error) {
	epoch, seq, ok := id.Split()
	if !ok || !isEpoch(string(epoch)) {
		return "", fmt.Errorf("%q is no blob id", id)
	}
	return b.epochPrefix(epoch) + keyNumber(seq), nil
}

func (b *Blobs) epochPrefix(epoch files.EpochID) string { return b.blobsPrefix() + string(epoch) + "/" }

func keyNumber(seq int64) string { return fmt.Sprintf("%012x", seq) }

// numberOf reads what keyNumber wrote.
func numberOf(s string) (int64, bool) {
	seq, err := strconv.ParseInt(s, 16, 64)
	return seq, err == nil && keyNumber(seq) == s
}

// isEpoch reports whether s may be an epoch: a UUID in lower case. Nothing else below the prefix is ours.
func isEpoch(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

func errNoBlob() error { return fault.New(fault.NotFound, "no such blob") }
