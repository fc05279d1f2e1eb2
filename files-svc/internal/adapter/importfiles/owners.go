package importfiles

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"cloakroom.dev/libs/web"
)

// Owners says who is who: the id a person had elsewhere, and the one they have here.
type Owners map[string]string

// maxOwners bounds the memory a map takes, to some 600 MB.
const maxOwners = 4_000_000

// ReadOwners reads what `auth-svc user import --map` has written.
func ReadOwners(in io.Reader) (Owners, error) {
	owners := Owners{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineBytes)
	for line := 1; lines.Scan(); line++ {
		raw := bytes.TrimSpace(lines.Bytes())
		if len(raw) == 0 {
			continue
		}
		var m struct {
			ForeignID string `json:"foreign_id"`
			UserID    string `json:"user_id"`
		}
		err := web.Decode(raw, &m)
		if err == nil && (m.ForeignID == "" || m.UserID == "") {
			err = errors.New("foreign_id and user_id are both needed")
		}
		if known, twice := owners[m.ForeignID]; err == nil && twice && known != m.UserID {
			err = errors.New("one foreign_id stands for two people")
		}
		if err == nil && len(owners) >= maxOwners {
			err = fmt.Errorf("more than %d people", maxOwners)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the map: %w", line, err)
		}
		owners[m.ForeignID] = m.UserID
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the map: %w", err)
	}
	return owners, nil
}
