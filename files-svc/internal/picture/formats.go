package picture

import (
	"encoding/binary"
	"errors"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// plan is what a header tells: the size, and how much memory its decoder takes at the worst.
type plan struct {
	width, height int
	memory        int64
}

// format is one kind of picture.
type format struct {
	plan   func(src *patient, size int64) (plan, error)
	decode func(io.Reader) (image.Image, error)
	exif   func(raw []byte) []byte // where its Exif block begins, as a TIFF; nil: there is none
}

// formats are the pictures there are, by media type.
var formats = map[string]format{
	"image/jpeg": {planJPEG, jpeg.Decode, exifOfJPEG},
	"image/png":  {planPNG, png.Decode, exifOfPNG},
	"image/gif":  {planGIF, gif.Decode, nil},
	"image/webp": {planWebP, webp.Decode, exifOfWebP},
	"image/bmp":  {planBMP, bmp.Decode, nil},
	"image/tiff": {planTIFF, tiff.Decode, func(raw []byte) []byte { return raw }},
}

// Reads reports whether thumbnails can be made of a media type.
func Reads(mediaType string) bool {
	_, ok := formats[mediaType]
	return ok
}

var errHeader = errors.New("the header is not of this format")

// planOf is a plan at so many bytes a pixel, and some beside them.
func planOf(c image.Config, bytesPerPixel, more int64) plan {
	return plan{c.Width, c.Height, int64(c.Width)*int64(c.Height)*bytesPerPixel + more}
}

// planPNG: its pixels are kept in 1 to 8 bytes; an interlaced one is put together from parts as large as half of it.
func planPNG(src *patient, _ int64) (plan, error) {
	c, err := png.DecodeConfig(src)
	if err != nil {
		return plan{}, err
	}
	head, err := src.head(29) // signature, length and name of the first chunk, and its fields
	if err != nil || len(head) < 29 {
		return plan{}, errors.Join(errHeader, err)
	}
	per := int64(4)
	if head[24] == 16 {
		per = 8
	}
	if head[28] != 0 {
		per *= 2
	}
	return planOf(c, per, int64(c.Width)*16), nil
}

// planGIF: one byte for each pixel of the first frame, and as much again when it is interlaced. The frames behind it are
// not looked at.
func planGIF(src *patient, _ int64) (plan, error) {
	c, err := gif.DecodeConfig(src)
	return planOf(c, 2, 1<<16), err
}

func planBMP(src *patient, _ int64) (plan, error) {
	c, err := bmp.DecodeConfig(src)
	return planOf(c, 4, int64(max(c.Width, 0))*4), err
}

// planTIFF: the pixels, and one strip or tile, which its decoder takes up to 8 bytes a pixel for, and lets grow.
func planTIFF(src *patient, _ int64) (plan, error) {
	c, err := tiff.DecodeConfig(src)
	if err != nil {
		return plan{}, err
	}
	t := readTIFF(src)
	wide, high := int64(c.Width), int64(c.Height)
	if rows := t.first(tagRowsPerStrip); rows > 0 && rows < high {
		high = rows
	}
	if t.first(tagTileWidth) > 0 {
		wide, high = min(t.first(tagTileWidth), maxEdge), min(t.first(tagTileLength), maxEdge)
	}
	per := int64(8)
	if t.first(tagBitsPerSample) < 16 || t.first(tagBitsPerSample) > 1<<16 {
		per = 4
	}
	return planOf(c, per, wide*high*18+int64(c.Width)*int64(c.Height)/3), nil
}

// planWebP: see webpChunks for what is asked of the file before a decoder sees it. A frame with losses takes a byte and a half a
// pixel. One without, and the plane of what can be seen through, takes its pixels twice over and trees of codes, of which there may be
// 2600 of 52 KB, as long as the file has the bits to fill them.
func planWebP(src *patient, size int64) (plan, error) {
	chunks, err := webpChunks(src, size)
	if err != nil {
		return plan{}, err
	}
	c, err := webp.DecodeConfig(src)
	if err != nil {
		return plan{}, err
	}
	if chunks["VP8L"] == 0 && chunks["ALPH"] == 0 {
		return planOf(c, 3, 1<<20), nil
	}
	return planOf(c, 16, min(2600*52<<10, size*300)+1<<20), nil
}

// webpChunks finds where the chunks of a WebP begin. It refuses lengths that go beyond the end of the file: the decoder takes
// memory for them before it reads.
func webpChunks(src *patient, size int64) (map[string]int64, error) {
	head, err := src.head(12)
	if err != nil || len(head) < 12 || string(head[:4]) != "RIFF" || string(head[8:]) != "WEBP" {
		return nil, errors.Join(errHeader, err)
	}
	end := int64(binary.LittleEndian.Uint32(head[4:])) + 8
	if end > size {
		return nil, errHeader
	}
	chunks := map[string]int64{}
	var chunk [8]byte
	for at := int64(12); at+8 <= end && len(chunks) < 16; {
		if _, err := src.ReadAt(chunk[:], at); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		n := int64(binary.LittleEndian.Uint32(chunk[4:]))
		if n > end-at-8 {
			return nil, errHeader
		}
		if name := string(chunk[:4]); chunks[name] == 0 {
			chunks[name] = at
		}
		at += 8 + n + n%2
	}
	return chunks, nil
}
