package s3

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// castagnoli is the polynomial of CRC32C, which processors compute by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// crcText is a CRC as S3 writes it.
func crcText(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// joinCRC is the CRC of two runs of bytes behind one another: that of the first is moved over as many zeros as the second
// has bytes, by squaring the matrix that moves it over one bit.
func joinCRC(first, second uint32, size int64) uint32 {
	var bit matrix
	bit[0] = crc32.Castagnoli
	for i := 1; i < 32; i++ {
		bit[i] = 1 << (i - 1)
	}
	zeros := bit.squared().squared() // half a byte
	for ; size > 0; size >>= 1 {
		zeros = zeros.squared()
		if size&1 != 0 {
			first = zeros.times(first)
		}
	}
	return first ^ second
}

// matrix is 32 by 32 bits; each word is a column.
type matrix [32]uint32

func (m matrix) times(v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m matrix) squared() (out matrix) {
	for i := range m {
		out[i] = m.times(m[i])
	}
	return out
}
