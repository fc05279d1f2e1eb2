package crashtest

import (
	"io/fs"
	"net/http"
	"os"
	"sync"
	"syscall"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/libs/fault"
)

// Points beside the steps that the core and the disk adapter name.
const (
	pointBegin     = "rows.begin"     // before BEGIN
	pointCommit    = "rows.commit"    // all rows written, before COMMIT
	pointCommitted = "rows.committed" // COMMIT is durable, its caller hears a failure
	pointRead      = "blobs.read"
	pointAnswer    = "http.answer" // the answer is made and not sent
)

// watch is the word for a trigger that breaks nothing: it only lets the parent know that the point was reached.
const watch Fault = "watch"

// trigger is what is armed: the fault comes at the nth time the point is reached.
type trigger struct {
	Point string
	Nth   int
	Fault Fault
	Reads bool // IOError fails reads, and nothing else
}

// machine is what the child runs on, and what can break.
type machine struct {
	power *power
	dark  func() // ends the process as SIGKILL does; never returns

	mu    sync.Mutex
	armed trigger
	hit   bool
	mode  Fault // what fails now; empty: nothing
	reads bool
	held  chan struct{} // reads wait until it is closed; nil: they don't
	holds int           // reads that wait
}

func (m *machine) arm(t trigger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed, m.hit = t, false
	if t.Point == "" {
		m.strike()
	}
}

// at is told of every point that is reached.
func (m *machine) at(point string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if point != m.armed.Point || m.hit {
		return nil
	}
	if m.armed.Nth--; m.armed.Nth <= 0 {
		m.strike()
	}
	return nil
}

// strike is the fault. The caller holds mu.
func (m *machine) strike() {
	m.hit = true
	switch m.armed.Fault {
	case watch:
	case PowerCut:
		m.power.cut()
		m.dark()
	case Kill:
		m.dark()
	default:
		m.mode, m.reads = m.armed.Fault, m.armed.Reads && m.armed.Fault == IOError
	}
}

// clear lets what has failed work again.
func (m *machine) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mode, m.reads, m.armed = "", false, trigger{}
}

func (m *machine) wasHit() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hit
}

// struck reports whether the armed point is this one and has been reached.
func (m *machine) struck(point string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hit && m.armed.Point == point
}

// around is disk.Options.Around.
func (m *machine) around(c disk.Call, do func() error) error {
	if c.Kind == disk.CallRead {
		m.wait()
		_ = m.at(pointRead) // breaks by itself
	}
	if errno := m.refuses(c.Kind); errno != 0 {
		m.power.failed(c)
		return &fs.PathError{Op: string(c.Kind), Path: c.Path, Err: errno}
	}
	if c.Kind == disk.CallRead {
		return do()
	}
	return m.power.around(c, do)
}

// refuses is what a call to the filesystem fails with now; 0: it works.
func (m *machine) refuses(kind disk.CallKind) syscall.Errno {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case kind == disk.CallRead && m.mode == IOError && m.reads:
		return syscall.EIO
	case kind == disk.CallRead, m.reads:
		return 0
	case m.mode == IOError:
		return syscall.EIO
	case m.mode == NoSpace && kind != disk.CallRemove && kind != disk.CallCut && kind != disk.CallPunch:
		return syscall.ENOSPC
	default:
		return 0
	}
}

// ask is with what status a store on another machine refuses a request now; 0: it does it.
func (m *machine) ask(kind disk.CallKind) int {
	switch m.refuses(kind) {
	case 0:
		return 0
	case syscall.ENOSPC:
		return http.StatusInsufficientStorage
	default:
		return http.StatusServiceUnavailable
	}
}

// read is a stretch of a content that such a store sends.
func (m *machine) read() error {
	m.wait()
	_ = m.at(pointRead) // breaks by itself
	if errno := m.refuses(disk.CallRead); errno != 0 {
		return errno
	}
	return nil
}

// rows is what the database fails with now, for writes or for reads.
func (m *machine) rows(write bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.mode == RowsDown, m.mode == IOError && write && !m.reads:
		return fault.New(fault.Unavailable, "the database is not available")
	case m.mode == NoSpace && write:
		return fault.New(fault.StorageFull, "no room left in the database's storage")
	default:
		return nil
	}
}

// hold makes reads of blobs wait; release lets them go on.
func (m *machine) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = make(chan struct{})
}

func (m *machine) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil {
		close(m.held)
		m.held = nil
	}
}

func (m *machine) wait() {
	m.mu.Lock()
	held := m.held
	if held != nil {
		m.holds++
	}
	m.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (m *machine) waiting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holds > 0
}

// killSelf ends the process at once. Nothing of Go runs after it.
func killSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // to oneself it can't fail
	select {}
}
