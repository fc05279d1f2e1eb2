package picture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
)

// The tags that are read.
const (
	tagBitsPerSample = 258
	tagOrientation   = 274
	tagRowsPerStrip  = 278
	tagTileWidth     = 322
	tagTileLength    = 323
)

// orientation is how the picture lies, from 1 (upright) to 8, as its camera noted.
func orientation(exif func([]byte) []byte, raw []byte) int {
	if exif == nil {
		return 1
	}
	if o := readTIFF(bytes.NewReader(exif(raw))).first(tagOrientation); o >= 1 && o <= 8 {
		return int(o)
	}
	return 1
}

// tags are the first directory of a TIFF, which is also what an Exif block is.
type tags struct {
	src   io.ReaderAt
	order binary.ByteOrder
	ifd   []byte // the entries, 12 bytes each
}

// readTIFF finds the first directory; whatever is not one has no tags.
func readTIFF(src io.ReaderAt) tags {
	var head [8]byte
	if n, _ := src.ReadAt(head[:], 0); n < len(head) {
		return tags{}
	}
	t := tags{src: src}
	switch string(head[:4]) {
	case "II*\x00":
		t.order = binary.LittleEndian
	case "MM\x00*":
		t.order = binary.BigEndian
	default:
		return tags{}
	}
	at := int64(t.order.Uint32(head[4:]))
	if n, _ := src.ReadAt(head[:2], at); n < 2 {
		return tags{}
	}
	t.ifd = make([]byte, 12*int(t.order.Uint16(head[:])))
	n, _ := src.ReadAt(t.ifd, at+2)
	t.ifd = t.ifd[:n]
	return t
}

// first is the first value of a tag of whole numbers, or 0.
func (t tags) first(tag uint16) int64 {
	for e := t.ifd; len(e) >= 12; e = e[12:] {
		if t.order.Uint16(e) == tag {
			return t.value(e)
		}
	}
	return 0
}

func (t tags) value(entry []byte) int64 {
	kind, count, value := t.order.Uint16(entry[2:]), int64(t.order.Uint32(entry[4:])), entry[8:12]
	width := map[uint16]int64{1: 1, 3: 2, 4: 4}[kind]
	if width*count > 4 { // they stand elsewhere
		value = make([]byte, 4)
		if n, _ := t.src.ReadAt(value, int64(t.order.Uint32(entry[8:]))); int64(n) < width {
			return 0
		}
	}
	switch width {
	case 1:
		return int64(value[0])
	case 2:
		return int64(t.order.Uint16(value))
	case 4:
		return int64(t.order.Uint32(value))
	default:
		return 0
	}
}

// exifOfJPEG is the block in the first segment that has one.
func exifOfJPEG(raw []byte) (found []byte) {
	r := bufio.NewReader(bytes.NewReader(raw))
	_ = eachSegment(r, func(marker byte, n int) (bool, error) { // it ends at the scan: that is no failure here
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return false, err
		}
		if block, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok && marker == markAPP1 {
			found = block
		}
		return found != nil, nil
	})
	return found
}

// exifOfPNG is the eXIf chunk.
func exifOfPNG(raw []byte) []byte {
	for at := int64(8); at+8 <= int64(len(raw)); {
		n := int64(binary.BigEndian.Uint32(raw[at:]))
		if n > int64(len(raw))-at-8 {
			return nil
		}
		if string(raw[at+4:at+8]) == "eXIf" {
			return raw[at+8 : at+8+n]
		}
		at += 12 + n
	}
	return nil
}

// exifOfWebP is the EXIF chunk. Some writers put the head of a JPEG's segment before it.
func exifOfWebP(raw []byte) []byte {
	chunks, err := webpChunks(&patient{ctx: context.Background(), src: bytes.NewReader(raw), size: int64(len(raw))}, int64(len(raw)))
	at, ok := chunks["EXIF"]
	if err != nil || !ok {
		return nil
	}
	n := int64(binary.LittleEndian.Uint32(raw[at+4:]))
	return bytes.TrimPrefix(raw[at+8:at+8+n], []byte("Exif\x00\x00"))
}
