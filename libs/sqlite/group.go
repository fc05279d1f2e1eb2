package sqlite

import (
	"errors"
	"fmt"
	"time"
)

// A group runs together first: one after the other in one transaction, without savepoints, which would cost each write two statements
// and a copy of every page it touches. When one fails, all of it is undone and the group runs again apart, each in its savepoint, so
// that who fails fails alone. Whoever makes writes fail on purpose makes a few groups run twice, not all of them.

// waryFor is how many groups run apart after a failure: with it at most one in so many runs twice, however many writes fail.
const waryFor = 64

// commit runs the group in one transaction and leaves each job's outcome in it.
func (w *writer) commit(group []*job) {
	if err := w.flush(!allRelaxed(group)); err != nil {
		failAll(group, fmt.Errorf("begin: %w", err))
		return
	}
	switch {
	case len(group) == 1 || w.wary == 0:
		if w.together(group) {
			return
		}
		w.wary = waryFor
		w.metrics.repeated.Inc()
	default:
		w.wary--
	}
	w.apart(group)
}

// together runs the group without savepoints. It reports false when a write has failed and the others have to run again.
func (w *writer) together(group []*job) (done bool) {
	start := time.Now()
	if !w.start(group) {
		return true
	}
	if w.callTogether(group) {
		w.finish(group, start)
		return true
	}
	_ = w.conn.exec("ROLLBACK") // fails when SQLite has done so already: a full disk, an i/o error
	if len(group) == 1 {
		return true
	}
	for _, j := range group {
		j.err, j.panic = nil, nil
	}
	return false
}

// callTogether runs the jobs until one fails, and reports whether all can be committed. Who is alone has no use for rows that wait.
func (w *writer) callTogether(group []*job) bool {
	if len(group) == 1 {
		w.call(group[0], nil)
		return !group[0].failed()
	}
	for _, j := range group {
		if w.call(j, w.waiting); j.failed() {
			return false
		}
	}
	return w.waiting.write() == nil
}

// apart runs each of the group in its savepoint.
func (w *writer) apart(group []*job) {
	start := time.Now()
	if !w.start(group) {
		return
	}
	for i, j := range group {
		if err := w.callApart(j); err != nil {
			// SQLite rolled the whole transaction back (a full disk, an i/o error): the jobs before this one are lost with it.
			_ = w.conn.exec("ROLLBACK")
			failAll(group[:i+1], err)
			w.apart(group[i+1:])
			return
		}
	}
	w.finish(group, start)
}

// start begins the transaction of a group.
func (w *writer) start(group []*job) bool {
	clear(w.memo)
	w.waiting.forget()
	if err := w.begin(); err != nil {
		failAll(group, fmt.Errorf("begin: %w", err))
		return false
	}
	return true
}

// finish commits it.
func (w *writer) finish(group []*job, start time.Time) {
	if err := w.conn.exec("COMMIT"); err != nil {
		_ = w.conn.exec("ROLLBACK")
		w.log.Error("commit failed", "error", err.Error(), "writes", len(group))
		failAll(group, fmt.Errorf("commit: %w", err))
		return
	}
	w.metrics.committed(kept(group), len(group), time.Since(start))
}

// callApart runs a job in its savepoint. The returned error means that the surrounding transaction is gone.
func (w *writer) callApart(j *job) error {
	if err := w.conn.exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	w.call(j, nil)
	if j.failed() {
		clear(w.memo) // it may know of rows that are undone
		if err := w.conn.exec("ROLLBACK TO job"); err != nil {
			return errors.Join(j.err, err)
		}
	}
	if err := w.conn.exec("RELEASE job"); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// call runs a job, unless its caller has gone before it ever ran. Its rows wait if they may.
func (w *writer) call(j *job, rows *waiting) {
	if !j.ran {
		if j.err = j.ctx.Err(); j.err != nil {
			return
		}
		j.ran = true
	}
	defer func() {
		if p := recover(); p != nil {
			j.panic = p
		}
	}()
	// Without cancel: an interrupted statement would roll back the whole group, not only this job.
	j.err = j.fn(&Tx{conn: w.conn, uncancelled: true, memo: w.memo, waiting: rows})
}

// failed reports whether the job has left something to undo.
func (j *job) failed() bool { return j.ran && (j.err != nil || j.panic != nil) }

func failAll(group []*job, err error) {
	for _, j := range group {
		if j.err == nil {
			j.err = err
		}
	}
}
