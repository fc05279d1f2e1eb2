package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// aftermath is what comes after the work: the end of the process, or its life with the fault and after it.
func (c *trial) aftermath() {
	if !c.fault.passes() {
		c.must("end", c.child.died())
		return
	}
	if c.step.ends { // it can't give its lease back, and may say so; that it ends is what counts
		if err := c.child.stopped(); !errors.As(err, new(*exec.ExitError)) {
			c.must("stop", err)
		}
		return
	}
	c.lives()
	c.must("send SIGTERM", c.child.terminate())
	c.must("stop", c.child.stopped())
}

// lives looks at a service while a fault lasts, and after it.
func (c *trial) lives() {
	s := c.state()
	if !s.Hit {
		c.problem("the step was never reached")
	}
	if c.fault == RowsDown {
		res, err := c.child.send(c.ctx, "GET", "/v1/files/"+c.world.kept.id+"/content", nil)
		if c.must("read", err) && res.status != http.StatusServiceUnavailable {
			c.problem("reading without a database: status %d", res.status)
		}
	} else if !c.unreadable() {
		c.reads(c.world.kept)
	}
	want := refusals[c.fault]
	if c.unreadable() {
		want = http.StatusCreated
	}
	if status := c.create(c.content(smallBytes)); status != want {
		c.problem("upload while the fault lasts: status %d, want %d", status, want)
	}
	c.must("let it pass", c.child.steer(c.ctx, "POST", "clear", nil, nil))
	if status := c.create(c.content(smallBytes)); status != http.StatusCreated {
		c.problem("upload after the fault: status %d", status)
	}
	c.reads(c.world.kept)
	c.must("reap after the fault", c.reap())
	if c.half != nil {
		c.must("resume after the fault", c.resume())
	}
	if s := c.state(); s.Resyncs > 0 {
		c.problem("a descriptor was synced again after its sync had failed, %d times", s.Resyncs)
	}
}

// judge opens what is left, as a restart does, and compares it with what was acknowledged.
func (c *trial) judge() {
	opened, err := c.store.Open(c.ctx, c.folder, Hooks{})
	if !c.must("open what is left", err) {
		return
	}
	defer func() { c.must("close", opened.Close()) }()
	now := &clock{}
	now.turn(later + c.turned)
	core, err := newCore(opened, now.now, nil, nil, slog.New(slog.DiscardHandler))
	if !c.must("start again", err) {
		return
	}
	o := &oracle{trial: c, core: core, stores: opened}
	ctx := as(c.ctx)
	c.must("right after the restart", errors.Join(o.files(ctx), o.intents(ctx)))
	c.must("finish the upload", o.finish(ctx))
	c.must("reap", core.Reap(ctx))
	now.turn(time.Minute) // every lease has run out
	c.must("reap", errors.Join(core.Reap(ctx), core.Reap(ctx)))
	c.must("after two passes", errors.Join(o.files(ctx), o.orphans(ctx)))
	now.turn(later) // uploads nobody comes back to have expired
	c.must("reap", errors.Join(core.Reap(ctx), core.Reap(ctx)))
	c.must("in the end", errors.Join(o.files(ctx), o.orphans(ctx), o.sums(ctx), o.events(ctx), o.sound(ctx)))
}

// finish sends the rest of an upload that broke off.
func (o *oracle) finish(ctx context.Context) error {
	half := o.trial.half
	if half == nil || half.path == "" {
		return nil
	}
	id := files.UploadID(half.path[len("/v1/uploads/"):])
	up, err := o.core.StatUpload(ctx, owner, id)
	if err != nil {
		return fmt.Errorf("look up: %w", err)
	}
	if up.State == files.UploadOpen {
		rest := half.content[up.Offset:]
		up, err = o.core.AppendUpload(ctx, owner, id, files.Chunk{
			Offset: up.Offset, Size: int64(len(rest)), Content: bytes.NewReader(rest), AtLength: true, Interrupt: func(error) {},
		})
		if err != nil {
			return fmt.Errorf("send the rest from %d: %w", up.Offset, err)
		}
	}
	o.trial.acked[string(up.File)] = digestOf(half.content)
	return nil
}

// readWhole reads a file through the core and returns its digest.
func (o *oracle) readWhole(ctx context.Context, id files.FileID) (string, error) {
	content, err := o.core.Open(ctx, owner, id)
	if err != nil {
		return "", err
	}
	defer content.Close()
	b, err := io.ReadAll(content.Verified(ctx))
	return digestOf(b), err
}
