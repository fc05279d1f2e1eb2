package field

import (
	"encoding/base64"
	"errors"
	"strings"
)

// MetadataPair is one word of an Upload-Metadata field.
type MetadataPair struct{ Key, Value string }

var errMetadata = errors.New("must be keys with base64 values, separated by commas, each key once")

// ParseUploadMetadata reads tus's Upload-Metadata. Values come back byte for byte. A field that is absent has no pairs.
func ParseUploadMetadata(lines []string) ([]MetadataPair, error) {
	text := strings.Join(lines, ",")
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var pairs []MetadataPair
	seen := map[string]bool{}
	for item := range strings.SplitSeq(text, ",") {
		key, coded, _ := strings.Cut(strings.TrimSpace(item), " ")
		value, err := base64.StdEncoding.DecodeString(coded)
		if err != nil || !isMetadataKey(key) || seen[key] {
			return nil, errMetadata
		}
		seen[key] = true
		pairs = append(pairs, MetadataPair{key, string(value)})
	}
	return pairs, nil
}

// isMetadataKey reports whether a key is plain ASCII that can be told again in a header.
func isMetadataKey(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return key != ""
}

// Checksum is what an Upload-Checksum field announces.
type Checksum struct {
	Algorithm string // as it was written
	Sum       []byte
}

// ParseChecksum reads tus's Upload-Checksum: an algorithm and a sum in base64.
func ParseChecksum(value string) (Checksum, error) {
	algorithm, coded, found := strings.Cut(value, " ")
	sum, err := base64.StdEncoding.DecodeString(coded)
	if !found || algorithm == "" || err != nil || len(sum) == 0 {
		return Checksum{}, errors.New("must be an algorithm and a checksum in base64")
	}
	return Checksum{algorithm, sum}, nil
}
