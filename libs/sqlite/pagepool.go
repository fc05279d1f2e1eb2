package sqlite

import (
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	driver "modernc.org/sqlite/lib"
)

// The driver's allocator hands out memory in powers of two. A page in one of SQLite's caches is 4096 bytes and some 270 that belong to
// them, so it took 8 KiB, and caches twice their size. So SQLite is told (https://sqlite.org/c3ref/mem_methods.html) to ask us
// for memory: pages have slots of their size here, everything else comes from the driver's allocator as before.
const (
	slotSize = 4096 + 320
	// slotsAtMost bounds what is set aside: 16 MiB of addresses, of which only slots that were used cost memory. Used slots are kept for the next
	// page. Beyond them pages come from the driver's allocator.
	slotsAtMost = 16 << 20 / slotSize
)

// pagePool are the slots of the process. It is safe for concurrent use.
type pagePool struct {
	below *driver.Tsqlite3_mem_methods // the driver's allocator

	mu         sync.Mutex
	begin, end uintptr
	fresh      uintptr // where slots begin that were never used
	free       uintptr // the first free slot; each holds the address of the next
	inUse      int
}

// The functions of SQLite's table that are called or replaced here.
type (
	mallocFunc  = func(tls *libc.TLS, n int32) uintptr
	freeFunc    = func(tls *libc.TLS, p uintptr)
	reallocFunc = func(tls *libc.TLS, p uintptr, n int32) uintptr
	sizeFunc    = func(tls *libc.TLS, p uintptr) int32
)

var pages pagePool

// poolPages has SQLite's pages come from the pool. It does nothing when SQLite was used in this process before: it can't be told then.
func poolPages(tls *libc.TLS) error {
	const (
		word = unsafe.Sizeof(uintptr(0))
		size = unsafe.Sizeof(driver.Tsqlite3_mem_methods{})
	)
	memory := libc.Xcalloc(tls, 1, libc.Tsize_t(word+2*size)) // an argument, the table below and ours
	if memory == 0 {
		return fmt.Errorf("no memory for SQLite's table of functions")
	}
	below, ours := memory+word, memory+word+size
	rc := driver.Xsqlite3_config(tls, driver.SQLITE_CONFIG_GETMALLOC, libc.VaList(memory, below))
	if rc == driver.SQLITE_MISUSE {
		libc.Xfree(tls, memory)
		return nil
	}
	if rc != driver.SQLITE_OK {
		return fmt.Errorf("SQLite doesn't tell its allocator, with code %d", rc)
	}
	pages.below = at[driver.Tsqlite3_mem_methods](below)
	pages.begin = libc.Xmalloc(tls, slotSize*slotsAtMost)
	if pages.begin == 0 {
		return fmt.Errorf("no memory for SQLite's pages")
	}
	pages.fresh, pages.end = pages.begin, pages.begin+slotSize*slotsAtMost
	table := at[driver.Tsqlite3_mem_methods](ours)
	*table = *pages.below
	table.FxMalloc, table.FxFree = inTable[mallocFunc](pageMalloc), inTable[freeFunc](pageFree)
	table.FxRealloc, table.FxSize = inTable[reallocFunc](pageRealloc), inTable[sizeFunc](pageSize)
	if rc := driver.Xsqlite3_config(tls, driver.SQLITE_CONFIG_MALLOC, libc.VaList(memory, ours)); rc != driver.SQLITE_OK {
		return fmt.Errorf("SQLite refuses an allocator with code %d", rc)
	}
	return nil
}

// take returns a slot, or zero when there is none.
func (p *pagePool) take() uintptr {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := p.free
	switch {
	case slot != 0:
		p.free = *at[uintptr](slot)
	case p.fresh == p.end:
		return 0
	default:
		slot = p.fresh
		p.fresh += slotSize
	}
	p.inUse++
	return slot
}

func (p *pagePool) give(slot uintptr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*at[uintptr](slot) = p.free
	p.free = slot
	p.inUse--
}

// used is how many slots hold something.
func (p *pagePool) used() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse
}

// holds tells a slot from other memory.
func (p *pagePool) holds(memory uintptr) bool { return p.begin <= memory && memory < p.end }

func pageMalloc(tls *libc.TLS, n int32) uintptr {
	if 4096 < n && n <= slotSize {
		if slot := pages.take(); slot != 0 {
			return slot
		}
	}
	return function[mallocFunc](pages.below.FxMalloc)(tls, n)
}

func pageFree(tls *libc.TLS, memory uintptr) {
	if pages.holds(memory) {
		pages.give(memory)
		return
	}
	function[freeFunc](pages.below.FxFree)(tls, memory)
}

func pageRealloc(tls *libc.TLS, memory uintptr, n int32) uintptr {
	if !pages.holds(memory) {
		return function[reallocFunc](pages.below.FxRealloc)(tls, memory, n)
	}
	if n <= slotSize {
		return memory
	}
	larger := function[mallocFunc](pages.below.FxMalloc)(tls, n)
	if larger != 0 {
		copy(unsafe.Slice(at[byte](larger), slotSize), unsafe.Slice(at[byte](memory), slotSize)) //nolint:gosec // both have as much
		pages.give(memory)
	}
	return larger
}

func pageSize(tls *libc.TLS, memory uintptr) int32 {
	if pages.holds(memory) {
		return slotSize
	}
	return function[sizeFunc](pages.below.FxSize)(tls, memory)
}
