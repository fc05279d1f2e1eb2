package outbound

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// An answer within the bound is read whole; of a longer one nothing past the bound comes, and it never looks whole.
func TestLimited(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "body")
		limit := rapid.Int64Range(0, 100).Draw(t, "limit")
		got, err := io.ReadAll(&limited{from: bytes.NewReader(body), left: limit})
		switch {
		case int64(len(body)) <= limit && (err != nil || !bytes.Equal(got, body)):
			t.Fatalf("%d bytes of %d: %d read, %v", len(body), limit, len(got), err)
		case int64(len(body)) > limit && (!errors.Is(err, ErrTooLarge) || int64(len(got)) > limit):
			t.Fatalf("%d bytes of %d: %d read, %v; want ErrTooLarge", len(body), limit, len(got), err)
		}
	})
}
