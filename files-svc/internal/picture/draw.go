package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	stddraw "image/draw"
	"image/jpeg"
	"image/png"

	xdraw "golang.org/x/image/draw"
)

// quality of the JPEGs: above it bytes grow and nobody sees why.
const quality = 82

// scalingBytes is what scaling and encoding take beside the decoder: a row of the picture, what is summed up over its
// columns, the picture at up to twice the wanted size, at the wanted one twice, and the file.
func scalingBytes(p plan, want Want) int64 {
	edge := int64(want.Edge)
	reduced := min(int64(p.width), 2*edge+2) * min(int64(p.height), 2*edge+2)
	if want.Fit == Cover {
		reduced = (2*edge + 2) * (2*edge + 2)
	}
	return int64(p.width)*(4+32) + 4*reduced + 3*4*edge*edge + 1<<20
}

// draw makes the small picture. canvas is the whole of it; img may fill a part, as the first frame of a GIF may.
func draw(ctx context.Context, img image.Image, canvas image.Rectangle, orientation int, want Want) (*image.RGBA, error) {
	part, size := layout(canvas.Size(), want)
	reduced, err := reduce(ctx, img, part, size)
	if err != nil {
		return nil, err
	}
	small := reduced
	if reduced.Rect.Size() != size {
		small = image.NewRGBA(image.Rectangle{Max: size})
		xdraw.ApproxBiLinear.Scale(small, small.Rect, reduced, reduced.Rect, xdraw.Src, nil)
	}
	return turn(small, orientation), nil
}

// layout says which part of a picture becomes a thumbnail of what size. The square it goes into is as wide as it is high, so how
// the picture lies does not matter yet.
func layout(whole image.Point, want Want) (part image.Rectangle, size image.Point) {
	if want.Fit == Cover {
		edge := min(whole.X, whole.Y)
		at := image.Pt((whole.X-edge)/2, (whole.Y-edge)/2)
		n := min(edge, want.Edge)
		return image.Rectangle{at, at.Add(image.Pt(edge, edge))}, image.Pt(n, n)
	}
	size = whole
	if longest := max(whole.X, whole.Y); longest > want.Edge {
		size = image.Pt(max(1, whole.X*want.Edge/longest), max(1, whole.Y*want.Edge/longest))
	}
	return image.Rectangle{Max: whole}, size
}

// reduce brings part of a picture to less than twice the size by taking the mean of whole blocks of pixels. It holds one row of
// the picture at a time, and looks after each whether anybody still waits.
func reduce(ctx context.Context, img image.Image, part image.Rectangle, size image.Point) (*image.RGBA, error) {
	kx, ky := part.Dx()/size.X, part.Dy()/size.Y
	out := image.NewRGBA(image.Rect(0, 0, part.Dx()/kx, part.Dy()/ky))
	row := image.NewRGBA(image.Rect(0, 0, part.Dx(), 1))
	sums := make([]uint64, 4*out.Rect.Dx())
	for y := range out.Rect.Dy() {
		clear(sums)
		for line := range ky {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			clear(row.Pix)
			stddraw.Draw(row, row.Rect, img, image.Pt(part.Min.X, part.Min.Y+y*ky+line), stddraw.Src)
			add(sums, row.Pix, kx)
		}
		pixels := uint64(kx * ky)
		for i, sum := range sums {
			out.Pix[y*out.Stride+i] = uint8((sum + pixels/2) / pixels)
		}
	}
	return out, nil
}

// add sums each kx pixels of a row.
func add(sums []uint64, row []uint8, kx int) {
	for i := 0; i < len(sums); i += 4 {
		block := row[i*kx : (i+4)*kx]
		for j := 0; j < len(block); j += 4 {
			sums[i] += uint64(block[j])
			sums[i+1] += uint64(block[j+1])
			sums[i+2] += uint64(block[j+2])
			sums[i+3] += uint64(block[j+3])
		}
	}
}

// turn lays a picture upright.
func turn(src *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	size := image.Pt(w, h)
	if orientation >= 5 {
		size = image.Pt(h, w)
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	for y := range h {
		for x := range w {
			to := [...]image.Point{
				2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y},
				5: {y, x}, 6: {h - 1 - y, x}, 7: {h - 1 - y, w - 1 - x}, 8: {y, w - 1 - x},
			}[orientation]
			copy(out.Pix[out.PixOffset(to.X, to.Y):][:4], src.Pix[src.PixOffset(x, y):][:4])
		}
	}
	return out
}

// encode writes the file: JPEG, or PNG when something can be seen through.
func encode(img *image.RGBA) (Thumbnail, error) {
	t := Thumbnail{ContentType: "image/jpeg", Width: img.Rect.Dx(), Height: img.Rect.Dy()}
	var buf bytes.Buffer
	var err error
	if img.Opaque() {
		err = jpeg.Encode(&buf, img, &jpeg.Options{Quality: quality})
	} else {
		t.ContentType = "image/png"
		err = png.Encode(&buf, img)
	}
	if err != nil {
		return Thumbnail{}, fmt.Errorf("encode thumbnail: %w", err)
	}
	t.Bytes = buf.Bytes()
	return t, nil
}
