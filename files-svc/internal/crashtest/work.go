package crashtest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// refusals are the statuses with which a fault that passes is told.
var refusals = map[Fault]int{
	NoSpace: http.StatusInsufficientStorage, IOError: http.StatusServiceUnavailable, RowsDown: http.StatusServiceUnavailable,
}

// answered compares a status with what the fault leaves: none after a crash, a refusal, or, when the fault came too late
// to refuse anything, success.
func (c *trial) answered(status int) {
	switch {
	case !c.fault.passes() && status != 0:
		c.problem("there was an answer, %d, after the end", status)
	case c.fault.passes() && c.step.late && status/100 != 2:
		c.problem("status %d, want success: it was durable", status)
	case c.fault.passes() && c.step.ends && status == http.StatusServiceUnavailable: // it goes, and says so
	case c.fault.passes() && !c.step.late && status != refusals[c.fault]:
		c.problem("status %d, want %d", status, refusals[c.fault])
	}
}

func (c *trial) small() {
	c.arm()
	c.answered(c.create(c.content(smallBytes)))
}

// secondSmall comes to a pack that has an acknowledged blob already.
func (c *trial) secondSmall() {
	c.arm()
	if status := c.create(c.content(smallBytes)); status != http.StatusCreated {
		c.problem("upload before the fault: status %d", status)
	}
	c.answered(c.create(c.content(smallBytes)))
}

func (c *trial) big() {
	c.arm()
	c.answered(c.create(c.content(c.bytes())))
}

// bytes is how large a large content of the step is.
func (c *trial) bytes() int { return cmp.Or(c.step.bytes, largeBytes) }

// abandoned is an upload whose client goes before the last byte, when there are parts of it.
func (c *trial) abandoned() {
	content := c.content(c.bytes())
	body, feed := io.Pipe()
	c.arm()
	go func() {
		_, _ = feed.Write(content[:len(content)-1]) // it may end before
		_ = feed.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if status := c.createFrom(content, body); status/100 == 2 {
		c.problem("an upload without its last byte: status %d", status)
	}
	if c.fault.passes() {
		c.until("the step", func(s state) bool { return s.Hit })
	}
}

func (c *trial) replacing() {
	c.arm()
	c.answered(c.replace(c.world.large.id, c.content(largeBytes)))
}

func (c *trial) deleting() {
	c.arm()
	c.answered(c.remove(c.world.large.id))
}

// unanswered is an upload whose answer is lost on the line, whatever the fault.
func (c *trial) unanswered() {
	c.arm()
	if status := c.create(c.content(smallBytes)); status != 0 {
		c.problem("the answer was to be lost, and was %d", status)
	}
}

// undelivered is a fault right after an answer: nobody has asked for the event yet.
func (c *trial) undelivered() {
	if status := c.create(c.content(smallBytes)); status != http.StatusCreated {
		c.problem("upload before the fault: status %d", status)
	}
	c.arm()
}

func (c *trial) reading() {
	c.arm()
	r := c.beginReading(c.world.large)
	r.finish(!c.fault.passes() || c.fault == IOError)
	if !c.unreadable() {
		return
	}
	var report files.ScrubReport
	c.must("scrub", c.child.steer(c.ctx, "POST", "scrub", nil, &report))
	if report.Sound() || report.Corrupt+report.Missing > 0 {
		c.problem("a disk that can't be read is for the scrub: %+v", report)
	}
}

// unreadable reports whether the fault is of a disk that can't be read, and that can still be written.
func (c *trial) unreadable() bool { return c.fault == IOError && c.step.reads }

func (c *trial) readWhileReplaced() {
	r := c.beginReading(c.world.large)
	c.arm()
	c.answered(c.replace(c.world.large.id, c.content(largeBytes)))
	if c.fault.passes() {
		_ = c.reap() // takes the old version away, if the fault lets it
	}
	r.finish(!c.fault.passes())
}

func (c *trial) readWhileDeleted() {
	r := c.beginReading(c.world.large)
	if status := c.remove(c.world.large.id); status != http.StatusNoContent {
		c.problem("delete: status %d", status)
	}
	c.arm()
	_ = c.reap()
	r.finish(!c.fault.passes())
}

// reaping lets the reaper find out that a writer is dead, and take care of what it has left.
func (c *trial) reaping() {
	if status := c.remove(c.world.other.id); status != http.StatusNoContent {
		c.problem("delete: status %d", status)
	}
	c.turn(time.Minute) // the lease of the dead writer runs out
	c.arm()
	_ = c.reap()
}

// scrubbing replaces a file whose bytes the scrub is reading.
func (c *trial) scrubbing() {
	c.must("hold reads", c.child.steer(c.ctx, "POST", "hold", nil, nil))
	var report files.ScrubReport
	done := make(chan error, 1)
	go func() { done <- c.child.steer(c.ctx, "POST", "scrub", nil, &report) }()
	c.until("the scrub's first read", func(s state) bool { return s.Waiting })
	c.arm()
	c.answered(c.replace(c.world.other.id, c.content(smallBytes)))
	if c.fault.passes() {
		c.must("let reads go on", c.child.steer(c.ctx, "POST", "release", nil, nil))
	}
	if err := <-done; err == nil && !report.Sound() {
		c.problem("the scrub took a replace for damage: %+v", report)
	}
}

// clockForward and clockBack turn the clock in the middle of an upload, with a reaper that believes it.
func (c *trial) clockForward() { c.turning(time.Hour) }
func (c *trial) clockBack()    { c.turning(-time.Hour) }

func (c *trial) turning(by time.Duration) {
	content := c.content(largeBytes)
	body, feed := io.Pipe()
	fed := make(chan struct{})
	c.armAt(files.StepChunk, 1, watch)
	go func() {
		defer close(fed)
		half := len(content) / 2
		_, _ = feed.Write(content[:half])
		c.until("the first chunk", func(s state) bool { return s.Hit })
		c.turn(by)
		c.must("reap", c.reap())
		c.arm()
		_, err := feed.Write(content[half:])
		_ = feed.CloseWithError(err) // a nil error is the end
	}()
	status := c.createFrom(content, body)
	<-fed
	c.answered(status)
}

// resuming uploads in one PATCH, which goes on after the fault where it has broken off.
func (c *trial) resuming() {
	c.arm()
	c.half = &resumable{content: c.content(c.bytes())}
	if status := c.createUpload(); status != http.StatusCreated {
		if c.fault.passes() || c.step.point != files.StepUploadCreated {
			c.problem("create upload: status %d", status)
		}
		return
	}
	status := c.patch(0, bytes.NewReader(c.half.content))
	c.answered(status)
}

// terminated stops the process while a PATCH is coming in.
func (c *trial) terminated() {
	c.half = &resumable{content: c.content(largeBytes)}
	if status := c.createUpload(); status != http.StatusCreated {
		c.problem("create upload: status %d", status)
		return
	}
	c.armAt(files.StepUploadWritten, 2, watch)
	body, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = feed.Write(c.half.content[:len(c.half.content)/2]) }() // and no more
	done := make(chan int, 1)
	go func() { done <- c.patch(0, body) }()
	c.until("the first bytes", func(s state) bool { return s.Hit })
	c.arm()
	c.must("send SIGTERM", c.child.terminate())
	<-c.child.exited // or its patience is over, and the cell's
	_ = feed.CloseWithError(io.ErrUnexpectedEOF)
	c.answered(<-done)
}

func (c *trial) createUpload() int {
	c.tried[digestOf(c.half.content)] = true
	res, err := c.child.send(c.ctx, "POST", "/v1/uploads", nil,
		"Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(c.half.content)))
	if err != nil {
		c.half = nil // nobody knows its address: it expires
		return 0
	}
	c.half.path = res.header.Get("Location")
	return res.status
}

// patch sends the rest of an upload from an offset on. When it is the last of it, the upload is a file.
func (c *trial) patch(offset int, rest io.Reader) int {
	r, err := http.NewRequestWithContext(c.ctx, "PATCH", "http://crashtest"+c.half.path, rest)
	if !c.must("make a request", err) {
		return 0
	}
	r.ContentLength = int64(len(c.half.content) - offset)
	r.Header.Set("Tus-Resumable", "1.0.0")
	r.Header.Set("Upload-Offset", strconv.Itoa(offset))
	r.Header.Set("Content-Type", "application/offset+octet-stream")
	res, err := c.child.do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0
	}
	return res.StatusCode
}

// resume asks where the upload stands and sends the rest, as a client does after a failure that has passed.
func (c *trial) resume() error {
	res, err := c.child.send(c.ctx, "HEAD", c.half.path, nil, "Tus-Resumable", "1.0.0")
	if err != nil {
		return err
	}
	offset, err := strconv.Atoi(res.header.Get("Upload-Offset"))
	if err != nil || res.status != http.StatusOK {
		return fmt.Errorf("HEAD of the upload: status %d, offset %q", res.status, res.header.Get("Upload-Offset"))
	}
	if offset < len(c.half.content) {
		status := c.patch(offset, bytes.NewReader(c.half.content[offset:]))
		if status != http.StatusNoContent {
			return fmt.Errorf("PATCH at %d: status %d", offset, status)
		}
	}
	return nil
}
