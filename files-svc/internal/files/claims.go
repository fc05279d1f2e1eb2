package files

import "sync"

// claims are the files that are being replaced, each by the one upload that counts on the bytes this will free. Others that come
// meanwhile reserve all of theirs: the same bytes are freed once. A process knows its own uploads, so several may count on them once
// each. The zero value works.
type claims struct {
	mu    sync.Mutex
	files map[FileID]struct{} // as many as replaces are under way
}

// claim reports whether nobody else counts on the file's bytes. Then they are the caller's to count on until giveUp.
func (c *claims) claim(id FileID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.files[id]; taken {
		return false
	}
	if c.files == nil {
		c.files = map[FileID]struct{}{}
	}
	c.files[id] = struct{}{}
	return true
}

func (c *claims) giveUp(id FileID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.files, id)
}
