package disk

import "os"

// flushEvery is how much a blob grows before the kernel is asked to begin writing it out, so that the fsync at the end
// of a large one does not do it all.
const flushEvery = 8 << 20

// growing is a file that is written to its end.
type growing struct {
	store   *Blobs
	file    *os.File
	size    int64
	flushed int64
}

// Write implements io.Writer.
func (g *growing) Write(p []byte) (int, error) {
	n, err := g.store.opts.write(g.file, p)
	g.size += int64(n)
	if err != nil {
		return n, ioFault(err)
	}
	if g.size-g.flushed >= flushEvery {
		beginWriteOut(g.file, g.flushed, g.size-g.flushed)
		g.flushed = g.size
		return n, g.store.room()
	}
	return n, nil
}
