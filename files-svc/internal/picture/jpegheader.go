package picture

import (
	"bufio"
	"bytes"
	"errors"
	"image/jpeg"
	"io"
)

// The markers of a JPEG that are looked for.
const (
	markSOI   = 0xd8
	markSOF0  = 0xc0 // baseline
	markSOF1  = 0xc1
	markSOF2  = 0xc2 // progressive
	markEOI   = 0xd9
	markSOS   = 0xda
	markAPP1  = 0xe1
	markAPP14 = 0xee
)

// jpegHeader is what the frame header says beside the size.
type jpegHeader struct {
	width, height int64
	progressive   bool
	h, v          []int64 // how finely each component is sampled
	plain         bool    // stored as luminance and colour, so that pixels stay in the planes they come in
}

// planJPEG: the planes, in whole blocks; for a progressive one four bytes for each of their coefficients beside them; and the
// pixels once more where colours are turned into others. Blocks count, not pixels: a picture one pixel wide has planes of 32.
func planJPEG(src *patient, _ int64) (plan, error) {
	c, err := jpeg.DecodeConfig(src)
	if err != nil {
		return plan{}, err
	}
	src.at = 0
	j, err := readJPEGHeader(bufio.NewReader(src))
	if err != nil {
		return plan{}, err
	}
	adobe, err := hasAdobe(src)
	if err != nil {
		return plan{}, err
	}
	j.plain = j.plain && !adobe
	if j.width != int64(c.Width) || j.height != int64(c.Height) {
		return plan{}, errHeader
	}
	return plan{c.Width, c.Height, j.memory()}, nil
}

func (j jpegHeader) memory() int64 {
	var hMost, vMost, samples int64 = 1, 1, 0
	for i := range j.h {
		hMost, vMost = max(hMost, j.h[i]), max(vMost, j.v[i])
	}
	h, v := 8*max(j.h[0], 1), 8*max(j.v[0], 1) // of a unit, as the decoder counts: by the first component
	blocks := ((j.width + h - 1) / h) * ((j.height + v - 1) / v)
	for i := range j.h {
		samples += blocks * 64 * j.h[i] * j.v[i]
	}
	full := blocks * 64 * hMost * vMost // one plane at the finest
	memory := samples
	if len(j.h) > 1 && !j.usual(hMost, vMost) {
		memory = max(memory, 3*full)
	}
	if j.progressive {
		memory += 4 * samples
	}
	if !j.plain {
		memory += 5 * full
	}
	return memory
}

// usual reports whether the planes are kept as they are sampled.
func (j jpegHeader) usual(hMost, vMost int64) bool {
	for i := 1; i < len(j.h); i++ {
		if j.h[i] != 1 || j.v[i] != 1 {
			return false
		}
	}
	return j.h[0] == hMost && j.v[0] == vMost && hMost != 3 && vMost <= 2
}

// readJPEGHeader reads up to the first scan.
func readJPEGHeader(r *bufio.Reader) (j jpegHeader, err error) {
	err = eachSegment(r, func(marker byte, n int) (bool, error) {
		switch marker {
		case markSOF0, markSOF1, markSOF2:
			body := make([]byte, n)
			if _, err := io.ReadFull(r, body); err != nil {
				return false, err
			}
			j.progressive = marker == markSOF2
			return true, j.frame(body)
		}
		_, err := r.Discard(n)
		return false, err
	})
	if err == nil && len(j.h) == 0 {
		err = errHeader
	}
	return j, err
}

// hasAdobe looks for Adobe's segment, which can stand anywhere and can say that the planes are not luminance and colour. It may
// find one in a picture within the picture: then the plan is too cautious.
func hasAdobe(src *patient) (bool, error) {
	const overlap = 16
	buf := make([]byte, 32<<10)
	for at := int64(0); at < src.size; at += int64(len(buf)) - overlap {
		n, err := src.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for rest := buf[:n]; ; {
			_, behind, found := bytes.Cut(rest, []byte{0xff, markAPP14})
			if !found {
				break
			}
			if len(behind) >= 7 && string(behind[2:7]) == "Adobe" {
				return true, nil
			}
			rest = behind
		}
	}
	return false, nil
}

func (j *jpegHeader) frame(body []byte) error {
	if len(body) < 6 || len(body) != 6+3*int(body[5]) {
		return errHeader
	}
	j.height, j.width = int64(body[1])<<8|int64(body[2]), int64(body[3])<<8|int64(body[4])
	j.plain = body[5] == 1 || body[5] == 3 && (body[6] != 'R' || body[9] != 'G' || body[12] != 'B')
	for c := body[6:]; len(c) > 0; c = c[3:] {
		j.h, j.v = append(j.h, int64(c[1]>>4)), append(j.v, int64(c[1]&15))
	}
	return nil
}

// eachSegment calls visit with each segment before the first scan, of which n bytes stand in r, until it says that it has seen
// enough. visit must take them all otherwise.
func eachSegment(r *bufio.Reader, visit func(marker byte, n int) (enough bool, err error)) error {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil || b[0] != 0xff || b[1] != markSOI {
		return errors.Join(errHeader, err)
	}
	for {
		marker, err := nextMarker(r)
		if err != nil {
			return err
		}
		if marker == 0 || marker >= 0xd0 && marker <= 0xd7 { // fill and restart markers have no body
			continue
		}
		if marker == markSOS || marker == markEOI {
			return nil
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		n := int(b[0])<<8 + int(b[1]) - 2
		if n < 0 {
			return errHeader
		}
		if enough, err := visit(marker, n); enough || err != nil {
			return err
		}
	}
}

// nextMarker finds the next marker. As the decoder does, it passes over bytes that stand before one.
func nextMarker(r *bufio.Reader) (byte, error) {
	last := byte(0)
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if last == 0xff && b != 0xff {
			return b, nil
		}
		last = b
	}
}
