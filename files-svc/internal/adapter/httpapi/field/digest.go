package field

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// maxDigestBytes bounds what is parsed: a field of every registered algorithm is under 400 bytes.
const maxDigestBytes = 2 << 10

// Failures of ParseDigest. Both are the client's.
var (
	ErrDigestSyntax = errors.New("the field must be a dictionary of digests, such as sha-256=:BASE64:, in the form of RFC 9530")
	ErrDigestAlgo   = errors.New("the field names no sha-256, the one algorithm checked here")
)

// ParseDigest reads the lines of a Content-Digest or Repr-Digest field. It returns nil without an error when the field
// is absent. Algorithms besides sha-256 are passed over; a field that has none we can check is an error, because a
// client that asks for a check must not believe there was one.
func ParseDigest(lines []string) (*Digest, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	if size > maxDigestBytes {
		return nil, ErrDigestSyntax
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, ErrDigestSyntax
	}
	member, ok := dict.Get("sha-256")
	if !ok {
		return nil, ErrDigestAlgo
	}
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil, ErrDigestSyntax
	}
	sum, ok := item.Value.([]byte)
	if !ok || len(sum) != sha256.Size {
		return nil, ErrDigestSyntax
	}
	return (*Digest)(sum), nil
}

// FormatDigest writes the value of a Content-Digest or Repr-Digest field.
func FormatDigest(d Digest) string {
	var b strings.Builder
	b.WriteString("sha-256=:")
	b.WriteString(base64.StdEncoding.EncodeToString(d[:]))
	b.WriteByte(':')
	return b.String()
}
