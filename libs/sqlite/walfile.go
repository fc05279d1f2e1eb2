package sqlite

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"modernc.org/libc"
	driver "modernc.org/sqlite/lib"
)

// SQLite writes a commit to its write-ahead log (WAL) page by page, with two calls for each, some ten for every small upload. So the
// writing connection has a file system (VFS) of ours: SQLite's own for this machine in everything but what it writes to the WAL. That
// is held until SQLite syncs the file, reads, truncates or measures it, and goes to it in few calls then.
//
// What SQLite relies on stays as it was. Writes reach the file in their order, those that overwrite included. A commit is synced before
// it is announced to other connections (walFrames in SQLite's wal.c), so nobody looks for pages that are still held. A
// commit that doesn't wait for the disk is announced without a sync: for it nothing is held. A failed write fails the sync, and
// SQLite undoes the transaction as after a write that failed at once. What is still held when the lock on writing is given up was
// undone, and is dropped: its place in the file may be another process's next.
//
// https://sqlite.org/vfs.html describes the tables of functions that are copied and changed here: one of the VFS, whose xOpen is ours,
// and one each for the open database and its WAL. The driver is SQLite in Go: what stands in its tables are addresses of Go functions.
const (
	vfsName  = "cloakroom"
	vfsParam = "held" // of a database's URI: the number of the walBuffer its WAL has
)

const (
	// maxHeld bounds what is held of a commit. Beyond it pages go to the file before their commit's end.
	maxHeld = 1 << 20
	// maxPiece is what is written with one call: SQLite's own file system takes 17 bits of a length.
	maxPiece = 124 << 10
)

// walBuffer is how the writer of a database holds its WAL. It is used by one goroutine at a time, the writing connection's.
type walBuffer struct {
	number  string
	through bool // hold nothing: the commit under way is announced without a sync
	writes  prometheus.Counter
	held    []byte // is written, and the WAL does not have it yet
	from    int64  // where held belongs
}

// vfsFile is an open file of the writing connection whose functions are not all those of the file system below: its database or
// its WAL. What SQLite is to follow addresses into lies in memory of SQLite's, from open to close.
type vfsFile struct {
	*walBuffer
	below  *driver.Tsqlite3_io_methods // of the file system below
	memory uintptr                     // fileMemory
}

// fileMemory is the table that SQLite is given in place of below and, of a WAL, the room for what is held.
type fileMemory struct {
	table driver.Tsqlite3_io_methods
	room  [maxHeld]byte
}

// The functions of SQLite's tables that are called or replaced here.
type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	ioFunc       = func(tls *libc.TLS, file, bytes uintptr, n int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	lockFunc     = func(tls *libc.TLS, file uintptr, first, n, flags int32) int32 // xShmLock
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	fileSizeFunc = func(tls *libc.TLS, file, size uintptr) int32
)

var (
	walBuffers sync.Map // of databases that are open here, by number
	vfsFiles   sync.Map // *vfsFile by the address of SQLite's file
	lastNumber atomic.Uint64
)

// The VFS is registered once for the process, before the first connection that names it.
var (
	register  = sync.OnceValue(registerVFS)
	openBelow openFunc // the xOpen of the file system below
	paramName uintptr  // vfsParam as SQLite reads it
)

// newWALBuffer makes a buffer that the URI of a database can name. The caller owes it forget, after the database is closed.
func newWALBuffer(writes prometheus.Counter) (*walBuffer, error) {
	if err := register(); err != nil {
		return nil, err
	}
	b := &walBuffer{number: strconv.FormatUint(lastNumber.Add(1), 10), writes: writes}
	walBuffers.Store(b.number, b)
	return b, nil
}

func (b *walBuffer) forget() { walBuffers.Delete(b.number) }

// params are added to the URI of the database whose WAL the buffer is for.
func (b *walBuffer) params() string { return "&vfs=" + vfsName + "&" + vfsParam + "=" + b.number }

func registerVFS() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if err := poolPages(tls); err != nil {
		return err
	}
	below := driver.Xsqlite3_vfs_find(tls, 0)
	if below == 0 {
		return errors.New("SQLite has no file system here")
	}
	name, err := libc.CString(vfsName) // like the table, SQLite's until the process ends
	if err != nil {
		return err
	}
	if paramName, err = libc.CString(vfsParam); err != nil {
		return err
	}
	address := driver.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(driver.Tsqlite3_vfs{})))
	if address == 0 {
		return errors.New("SQLite has no memory for a file system")
	}
	table := at[driver.Tsqlite3_vfs](address)
	*table = *at[driver.Tsqlite3_vfs](below)
	openBelow = function[openFunc](table.FxOpen)
	table.FzName, table.FpNext, table.FxOpen = name, 0, inTable[openFunc](openFile)
	if rc := driver.Xsqlite3_vfs_register(tls, address, 0); rc != driver.SQLITE_OK {
		return fmt.Errorf("SQLite refuses a file system with code %d", rc)
	}
	return nil
}

// openFile is the VFS's xOpen. It puts a table of ours under a database that has a buffer, and under its WAL.
func openFile(tls *libc.TLS, self, name, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := openBelow(tls, self, name, file, flags, outFlags)
	if rc != driver.SQLITE_OK || flags&(driver.SQLITE_OPEN_MAIN_DB|driver.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	param := driver.Xsqlite3_uri_parameter(tls, name, paramName)
	if param == 0 {
		return rc
	}
	if b, ok := walBuffers.Load(libc.GoString(param)); ok {
		return watch(tls, b.(*walBuffer), file, flags&driver.SQLITE_OPEN_WAL != 0)
	}
	return rc
}

// watch puts our table under an open file.
func watch(tls *libc.TLS, b *walBuffer, file uintptr, wal bool) int32 {
	size := unsafe.Offsetof(fileMemory{}.room)
	if wal {
		size = unsafe.Sizeof(fileMemory{})
	}
	head := at[driver.Tsqlite3_file](file)
	f := &vfsFile{walBuffer: b, below: at[driver.Tsqlite3_io_methods](head.FpMethods), memory: driver.Xsqlite3_malloc(tls, int32(size))}
	if f.memory == 0 {
		_ = function[closeFunc](f.below.FxClose)(tls, file)
		head.FpMethods = 0 // there is nothing to close
		return driver.SQLITE_NOMEM
	}
	memory := at[fileMemory](f.memory) // without its room, of a database
	table := &memory.table
	*table = *f.below
	table.FxClose = inTable[closeFunc](closeFile)
	if wal {
		b.held = memory.room[:0]
		table.FxRead, table.FxWrite = inTable[ioFunc](walRead), inTable[ioFunc](walWrite)
		table.FxTruncate, table.FxFileSize = inTable[truncateFunc](walTruncate), inTable[fileSizeFunc](walFileSize)
		table.FxSync = inTable[syncFunc](walSync)
	} else {
		table.FxShmLock = inTable[lockFunc](shmLock)
	}
	vfsFiles.Store(file, f)
	head.FpMethods = f.memory
	return driver.SQLITE_OK
}

// writeLock is the first of a WAL's locks: whoever has it writes (WAL_WRITE_LOCK in SQLite's wal.c).
const writeLock = 0

// shmLock is xShmLock of the database, which takes and gives up the locks of its WAL.
func shmLock(tls *libc.TLS, file uintptr, first, n, flags int32) int32 {
	f := fileAt(file)
	if first == writeLock && flags&driver.SQLITE_SHM_UNLOCK != 0 {
		f.held = f.held[:0]
	}
	return function[lockFunc](f.below.FxShmLock)(tls, file, first, n, flags)
}

func walWrite(tls *libc.TLS, file, bytes uintptr, n int32, offset int64) int32 {
	f := fileAt(file)
	if offset != f.from+int64(len(f.held)) || len(f.held)+int(n) > maxHeld {
		if rc := f.flush(tls, file); rc != driver.SQLITE_OK {
			return rc
		}
	}
	if f.through || n > maxHeld {
		f.writes.Inc()
		return function[ioFunc](f.below.FxWrite)(tls, file, bytes, n, offset)
	}
	if len(f.held) == 0 {
		f.from = offset
	}
	f.held = append(f.held, unsafe.Slice(at[byte](bytes), n)...) //nolint:gosec // n bytes are what SQLite gives to write
	return driver.SQLITE_OK
}

func walSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileAt(file)
	if rc := f.flush(tls, file); rc != driver.SQLITE_OK {
		return rc
	}
	return function[syncFunc](f.below.FxSync)(tls, file, flags)
}

func walRead(tls *libc.TLS, file, bytes uintptr, n int32, offset int64) int32 {
	f := fileAt(file)
	if rc := f.flush(tls, file); rc != driver.SQLITE_OK {
		return rc
	}
	return function[ioFunc](f.below.FxRead)(tls, file, bytes, n, offset)
}

func walTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileAt(file)
	if rc := f.flush(tls, file); rc != driver.SQLITE_OK {
		return rc
	}
	return function[truncateFunc](f.below.FxTruncate)(tls, file, size)
}

func walFileSize(tls *libc.TLS, file, size uintptr) int32 {
	f := fileAt(file)
	if rc := f.flush(tls, file); rc != driver.SQLITE_OK {
		return rc
	}
	return function[fileSizeFunc](f.below.FxFileSize)(tls, file, size)
}

// closeFile is xClose of both. What is held then was undone.
func closeFile(tls *libc.TLS, file uintptr) int32 {
	f := fileAt(file)
	vfsFiles.Delete(file)
	f.held = nil
	at[driver.Tsqlite3_file](file).FpMethods = address(f.below)
	driver.Xsqlite3_free(tls, f.memory)
	return function[closeFunc](f.below.FxClose)(tls, file)
}

// flush writes what is held to the file.
func (f *vfsFile) flush(tls *libc.TLS, file uintptr) int32 {
	rest := f.held
	f.held = f.held[:0]
	for len(rest) > 0 {
		n := min(len(rest), maxPiece)
		f.writes.Inc()
		rc := function[ioFunc](f.below.FxWrite)(tls, file, address(&rest[0]), int32(n), f.from)
		if rc != driver.SQLITE_OK {
			return rc
		}
		rest, f.from = rest[n:], f.from+int64(n)
	}
	return driver.SQLITE_OK
}

func fileAt(file uintptr) *vfsFile {
	f, _ := vfsFiles.Load(file)
	return f.(*vfsFile)
}

// at is what lies at an address of SQLite's memory.
func at[T any](a uintptr) *T { return *(**T)(unsafe.Pointer(&a)) } //nolint:gosec // SQLite's memory is not the collector's

// address is the way back.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) } //nolint:gosec // the same

// function is the one that a table names.
func function[F any](entry uintptr) F { return *(*F)(unsafe.Pointer(&entry)) } //nolint:gosec // the driver's own way

// inTable is how a table names a function of this package. Such functions never move.
func inTable[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) } //nolint:gosec // the driver's own way
