package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// readTries is how often a read goes on after it broke off without a byte in between.
const readTries = 4

var _ files.RemoteBlobs = (*Blobs)(nil)

// Open implements files.Blobs. The answer's stream is open when it returns, and outlives the object.
func (b *Blobs) Open(ctx context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	src, err := b.OpenLater(ctx, id, size)
	if err != nil {
		return nil, err
	}
	if err := src.Reach(0); err != nil {
		return nil, err
	}
	return src, nil
}

// OpenLater implements files.RemoteBlobs.
func (b *Blobs) OpenLater(ctx context.Context, id files.BlobID, size int64) (files.LaterSource, error) {
	key, err := b.keyOf(id)
	if err != nil {
		return nil, err
	}
	return &source{ctx: ctx, store: b, key: key, size: size}, nil
}

// Reach implements files.LaterSource.
func (s *source) Reach(from int64) error {
	if s.stream != nil && s.stream.at == from || from >= s.size && s.etag != nil {
		return nil
	}
	s.drop()
	st, _, err := s.get(from)
	if isAbsent(err) {
		return errNoBlob()
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", s.key, err)
	}
	s.stream = st
	return nil
}

// source reads one object: in one stream while it is read in order, in a new one from elsewhere. A stream that breaks off
// goes on where it was, as long as the object is the same. It keeps the context it was opened under: a Read has none.
type source struct {
	ctx    context.Context
	store  *Blobs
	key    string
	size   int64
	etag   *string
	at     int64 // of Read and Seek
	stream *stream
}

// openObject opens an object of size bytes; token, when there is one, must be its writer's.
func (b *Blobs) openObject(ctx context.Context, key string, size int64, token *string) (*source, error) {
	s := &source{ctx: ctx, store: b, key: key, size: size}
	st, out, err := s.get(0)
	if err != nil {
		return nil, err
	}
	s.stream = st
	if token != nil && out.Metadata[tokenKey] != *token {
		st.close()
		return nil, errNotOurs
	}
	return s, nil
}

// get begins a stream at a place, of an object that has the size it is to have and, from the second on, is the same.
func (s *source) get(from int64) (*stream, *s3.GetObjectOutput, error) {
	b := s.store
	in := &s3.GetObjectInput{Bucket: &b.opts.Bucket, Key: &s.key, IfMatch: s.etag}
	if from > 0 {
		in.Range = aws.String("bytes=" + strconv.FormatInt(from, 10) + "-")
	}
	// The stream lives on when the call has ended: its own context ends with its close, or when it stands still.
	ctx, cancel := context.WithCancel(s.ctx)
	watch := time.AfterFunc(b.opts.CallTimeout, cancel)
	b.metrics.inFlight.Inc()
	began := time.Now()
	out, err := b.client.GetObject(ctx, in)
	b.metrics.called(s.ctx, "GetObject", began, err)
	watch.Stop()
	if err != nil {
		cancel()
		b.metrics.inFlight.Dec()
		if s.ctx.Err() != nil {
			return nil, nil, context.Cause(s.ctx)
		}
		if codeOf(err) == "InvalidRange" {
			return nil, nil, fmt.Errorf("the object has no byte %d, and should have %d: %w", from, s.size, err)
		}
		return nil, nil, asRefused(b.faultOf(s.ctx, "GetObject", err))
	}
	st := &stream{body: out.Body, at: from, cancel: cancel, idle: b.opts.IdleTimeout, ended: b.metrics.inFlight.Dec}
	if err := s.fits(from, out); err != nil {
		st.close()
		return nil, nil, err
	}
	s.etag = out.ETag
	return st, out, nil
}

// fits looks at what an answer says of the object.
func (s *source) fits(from int64, out *s3.GetObjectOutput) error {
	switch {
	case from > 0 && !strings.HasPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-%d/%d", from, s.size-1, s.size)):
		return fmt.Errorf("asked for what is behind byte %d of %d the store gave %q", from, s.size, aws.ToString(out.ContentRange))
	case from == 0 && (out.ContentLength == nil || *out.ContentLength != s.size):
		return fmt.Errorf("the object has %s bytes, not %d", sizeText(out.ContentLength), s.size)
	default:
		return nil
	}
}

// ReadAt implements io.ReaderAt.
func (s *source) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, errors.New("read before the beginning")
	}
	for n < len(p) && err == nil {
		var more int
		more, err = s.read(p[n:], at+int64(n))
		n += more
	}
	return n, err
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.read(p, s.at)
	s.at += int64(n)
	return n, err
}

// read gives out what is there at a place, at least one byte unless the object ends or can't be read.
func (s *source) read(p []byte, at int64) (int, error) {
	if at >= s.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	var failed error
	for try := range readTries {
		if err := s.pause(try); err != nil {
			return 0, errors.Join(err, failed)
		}
		if s.stream == nil || s.stream.at != at {
			s.drop()
			st, _, err := s.get(at)
			if err != nil {
				failed = errors.Join(failed, err)
				if isAway(err) {
					continue
				}
				return 0, fmt.Errorf("read %s: %w", s.key, failed)
			}
			s.stream = st
		}
		n, err := s.stream.read(p[:min(int64(len(p)), s.size-at)])
		if n > 0 {
			return n, nil
		}
		failed = errors.Join(failed, err)
		s.drop()
		s.store.metrics.resumed.Inc()
	}
	return 0, errors.Join(fault.Retry(fault.Unavailable, "the storage is not available", comeAgain), fmt.Errorf("read %s: %w", s.key, failed))
}

// pause waits longer from try to try, and never as long as another reader.
func (s *source) pause(try int) error {
	if try == 0 {
		return nil
	}
	wait := time.NewTimer(rand.N(50 * time.Millisecond << try)) //nolint:gosec // not a secret
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// Seek implements io.Seeker. It asks nothing of the store.
func (s *source) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	default:
		return 0, errors.New("seek from nowhere")
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	s.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (s *source) Close() error {
	s.drop()
	return nil
}

func (s *source) drop() {
	if s.stream != nil {
		s.stream.close()
		s.stream = nil
	}
}

// stream is the body of one answer. Who reads it waits for each run of bytes no longer than idle.
type stream struct {
	body   io.ReadCloser
	at     int64
	cancel context.CancelFunc
	idle   time.Duration
	ended  func()
}

func (s *stream) read(p []byte) (int, error) {
	watch := time.AfterFunc(s.idle, s.cancel)
	defer watch.Stop()
	n, err := s.body.Read(p)
	s.at += int64(n)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

func (s *stream) close() {
	s.cancel()
	_ = s.body.Close() // nothing is lost that was not read
	s.ended()
}
