package files

import "sync"

// claims are the files that are being replaced, each by the one upload that counts on the bytes this will free. Others that come
// meanwhile reserve all of theirs: the same bytes are freed once. All that one owner's uploads count on is there: whoever makes a
// claimed file smaller can't use its room for another that is claimed too. A process knows its own uploads, so several may count on
// them once each. The zero value works.
type claims struct {
	mu    sync.Mutex
	files map[FileID]struct{} // as many as replaces are under way
	bytes map[OwnerID]int64   // the sum of the files
}

// claim reports whether nobody else counts on a file's bytes, and its owner, who has so many, has them beside all that is claimed
// already. Then they are the caller's to count on until giveUp.
func (c *claims) claim(f File, has int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.files[f.ID]; taken || c.bytes[f.Owner]+f.Size > has {
		return false
	}
	if c.files == nil {
		c.files, c.bytes = map[FileID]struct{}{}, map[OwnerID]int64{}
	}
	c.files[f.ID] = struct{}{}
	c.bytes[f.Owner] += f.Size
	return true
}

// giveUp takes back a claim on a file as it was then; the zero file is none.
func (c *claims) giveUp(f File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, claimed := c.files[f.ID]; !claimed {
		return
	}
	delete(c.files, f.ID)
	if c.bytes[f.Owner] -= f.Size; c.bytes[f.Owner] == 0 {
		delete(c.bytes, f.Owner)
	}
}
