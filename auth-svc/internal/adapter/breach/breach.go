// Package breach knows the passwords that guessers try first, offline, from a Bloom filter inside the program.
//
// How the list was made: package generate folded the words of the sources named in README.md (58 thousand, from two
// Debian packages) and put them into filter.bin, which is a header and the bits. A word that is in the list is always found;
// one that is not is taken for one about once in a million (measured by a test). The core asks for a few forms of each
// password, with what people put around words cut off, so that one entry stands for thousands of passwords.
package breach

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"

	"cloakroom.dev/auth-svc/internal/identity"
)

//go:generate go run ./generate -out filter.bin

//go:embed filter.bin
var embedded []byte

// The file: a magic number, how many words, how many hashes, how many bits, the bits.
const (
	magic       = "clkbloom"
	headerBytes = len(magic) + 4 + 4 + 8
)

// Filter is a Bloom filter. It is immutable and safe for concurrent use.
type Filter struct {
	words  uint32
	hashes uint32
	bits   uint64
	data   []byte
}

var _ identity.Breached = (*Filter)(nil)

// Open returns the filter inside the program.
func Open() (*Filter, error) { return Read(embedded) }

// Read reads a filter that Make has made.
func Read(file []byte) (*Filter, error) {
	if len(file) < headerBytes || string(file[:len(magic)]) != magic {
		return nil, errors.New("not a filter of breached passwords")
	}
	head := file[len(magic):]
	f := &Filter{
		words: binary.BigEndian.Uint32(head), hashes: binary.BigEndian.Uint32(head[4:]), bits: binary.BigEndian.Uint64(head[8:]),
		data: file[headerBytes:],
	}
	if f.bits == 0 || f.hashes == 0 || f.hashes > 64 || uint64(len(f.data)) != (f.bits+7)/8 {
		return nil, fmt.Errorf("a filter of %d bits and %d hashes does not fit into %d bytes", f.bits, f.hashes, len(f.data))
	}
	return f, nil
}

// Words is how many words went in.
func (f *Filter) Words() int { return int(f.words) }

// Contains reports whether the word, in folded form, is in the list, or is one of the few that look like it.
func (f *Filter) Contains(word string) bool {
	for i := range positions(word, f.hashes, f.bits) {
		if f.data[i/8]&(1<<(i%8)) == 0 {
			return false
		}
	}
	return true
}

// Make makes the file of a filter with about 20 bits of certainty: 29 bits and 20 hashes a word.
func Make(words []string) []byte {
	const bitsPerWord, hashes = 29, 20
	bits := uint64(max(len(words), 1) * bitsPerWord)
	file := append(make([]byte, 0, headerBytes), magic...)
	file = binary.BigEndian.AppendUint32(file, uint32(len(words)))
	file = binary.BigEndian.AppendUint32(file, hashes)
	file = binary.BigEndian.AppendUint64(file, bits)
	data := make([]byte, (bits+7)/8)
	for _, w := range words {
		for i := range positions(w, hashes, bits) {
			data[i/8] |= 1 << (i % 8)
		}
	}
	return append(file, data...)
}

// positions are the bits of a word, by double hashing.
func positions(word string, hashes uint32, bits uint64) func(yield func(uint64) bool) {
	sum := sha256.Sum256([]byte(word))
	a, b := binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])|1
	return func(yield func(uint64) bool) {
		for i := range uint64(hashes) {
			if !yield((a + i*b) % bits) {
				return
			}
		}
	}
}
