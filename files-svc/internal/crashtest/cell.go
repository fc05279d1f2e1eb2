package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// trial is one cell under way: the client, and what it was told.
type trial struct {
	ctx    context.Context
	step   Step
	fault  Fault
	folder string
	store  Store
	world  *world
	chance *rand.Rand
	child  *process

	acked map[string]string          // by file: the digest that was acknowledged
	open  map[string]map[string]bool // by file: digests a change without an answer may have brought; empty: gone
	tried map[string]bool            // digests of creates without an answer: each whole or absent
	half  *resumable                 // an upload that is to be finished

	turned   time.Duration // of the child's clock, beside later
	readBack int
	problems []string
}

// resumable is an upload in pieces.
type resumable struct {
	path    string // of the upload
	content []byte
}

func (c *trial) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// must is for the parts of a cell that no fault may disturb.
func (c *trial) must(what string, err error) bool {
	if err != nil {
		c.problem("%s: %v", what, err)
	}
	return err == nil
}

// arm makes the fault wait at the step's point.
func (c *trial) arm() { c.armAt(c.step.point, c.step.nth, c.fault) }

func (c *trial) armAt(point string, nth int, fault Fault) {
	err := c.child.steer(c.ctx, "POST", "arm", trigger{Point: point, Nth: nth, Fault: fault, Reads: c.step.reads}, nil)
	if point != "" || fault.passes() || fault == watch { // a fault that is at once eats its own answer
		c.must("arm", err)
	}
}

func (c *trial) state() (s state) {
	c.must("ask for the state", c.child.steer(c.ctx, "GET", "state", nil, &s))
	return s
}

// until waits for a state.
func (c *trial) until(what string, is func(state) bool) {
	for deadline := time.Now().Add(patience); !is(c.state()); time.Sleep(time.Millisecond) {
		if len(c.problems) > 0 || time.Now().After(deadline) {
			c.problem("%s never came", what)
			return
		}
	}
}

func (c *trial) turn(by time.Duration) {
	c.turned += by
	c.must("turn the clock", c.child.steer(c.ctx, "POST", "clock?by="+url.QueryEscape(by.String()), nil, nil))
}

// reap makes a pass, which a fault may spoil.
func (c *trial) reap() error { return c.child.steer(c.ctx, "POST", "reap", nil, nil) }

// content is the bytes of a new file of about n bytes.
func (c *trial) content(n int) []byte { return randomBytes(c.chance, n-c.chance.IntN(n/4)) }

// create uploads a new file and returns the status; 0: there was no answer.
func (c *trial) create(content []byte) int { return c.createFrom(content, bytes.NewReader(content)) }

func (c *trial) createFrom(content []byte, body io.Reader) int {
	digest := digestOf(content)
	c.tried[digest] = true
	r, err := http.NewRequestWithContext(c.ctx, "POST", "http://crashtest/v1/files", body)
	if !c.must("make a request", err) {
		return 0
	}
	r.ContentLength = int64(len(content))
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Content-Disposition", `attachment; filename="new"`)
	res, err := c.child.do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	if res.StatusCode == http.StatusCreated {
		c.acked[c.fileID(raw)] = digest
	}
	if res.StatusCode != http.StatusCreated && !c.step.unsure || res.StatusCode == http.StatusCreated {
		delete(c.tried, digest) // it is told either way
	}
	return res.StatusCode
}

func (c *trial) fileID(raw []byte) string {
	var file struct{ ID string }
	if err := json.Unmarshal(raw, &file); err != nil || file.ID == "" {
		c.problem("the answer %q names no file", raw)
	}
	return file.ID
}

// change sends a change of a file that has an acknowledged content, and returns the status; 0: there was no answer. digest
// is what it brings; empty: the file is gone.
func (c *trial) change(method, path, id, digest string, body io.Reader) int {
	if c.open[id] == nil {
		c.open[id] = map[string]bool{}
	}
	c.open[id][digest] = true
	res, err := c.child.send(c.ctx, method, path, body, "Content-Type", "application/octet-stream")
	if err != nil {
		return 0
	}
	if res.status < 300 {
		delete(c.open, id)
		c.acked[id] = digest
	}
	return res.status
}

func (c *trial) replace(id string, content []byte) int {
	return c.change("PUT", "/v1/files/"+id+"/content", id, digestOf(content), bytes.NewReader(content))
}

func (c *trial) remove(id string) int {
	return c.change("DELETE", "/v1/files/"+id+"?permanent=1", id, "", nil)
}

// reads reads a file through the service and compares it.
func (c *trial) reads(file known) {
	res, err := c.child.send(c.ctx, "GET", "/v1/files/"+file.id+"/content", nil)
	if c.must("read a file", err) && (res.status != http.StatusOK || !bytes.Equal(res.body, file.content)) {
		c.problem("reading a file brought status %d and %d bytes, not what was stored", res.status, len(res.body))
	}
	c.readBack++
}

// reader is a download that has begun.
type reader struct {
	c    *trial
	file known
	body io.ReadCloser
	got  []byte
}

// beginReading reads the first bytes of a large file, and leaves the server with the rest.
func (c *trial) beginReading(file known) *reader {
	r := &reader{c: c, file: file, body: http.NoBody, got: make([]byte, 1)}
	res, err := c.child.open(c.ctx, "GET", "/v1/files/"+file.id+"/content", nil) //nolint:bodyclose // finish does
	if !c.must("begin to read", err) {
		return r
	}
	r.body = res.Body
	_, err = io.ReadFull(r.body, r.got)
	c.must("read the first byte", err)
	return r
}

// finish reads to the end. Either all of it is right, or the reader is told that it is not whole; cut says that it must be.
func (r *reader) finish(cut bool) {
	rest, err := io.ReadAll(r.body)
	_ = r.body.Close() // it has been read
	whole := bytes.Equal(append(r.got, rest...), r.file.content)
	switch {
	case err == nil && !whole:
		r.c.problem("a reader got %d wrong bytes and was not told", len(r.got)+len(rest))
	case err != nil && !cut:
		r.c.problem("a reader was cut: %v", err)
	case err == nil && cut:
		r.c.problem("a reader was to be cut and got everything")
	}
	r.c.readBack++
}
