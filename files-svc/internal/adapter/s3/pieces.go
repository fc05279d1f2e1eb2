package s3

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// piece is a run of an upload's bytes, kept as one object.
type piece struct {
	Writer string // whose request wrote it: no two name a piece alike
	Start  int64
	Size   int64
	CRC    uint32
}

func (p piece) end() int64 { return p.Start + p.Size }

// pieces is all of an upload that counts, without gaps. Those in front are whole parts; the last part may be in several.
type pieces struct {
	part int64 // bytes of a whole part, as when the upload began
	list []piece
}

func (p pieces) end() int64 {
	if len(p.list) == 0 {
		return 0
	}
	return p.list[len(p.list)-1].end()
}

// whole is how many parts are whole.
func (p pieces) whole() int {
	n := 0
	for n < len(p.list) && p.list[n].Size == p.part {
		n++
	}
	return n
}

// run is how pieces are kept in a row: as many as one writer wrote of one size take a few bytes each.
type run struct {
	Writer string `json:"w"`
	Size   int64  `json:"n"`
	Sums   []byte `json:"c"` // four bytes each
}

type state struct {
	Version int   `json:"v"`
	Part    int64 `json:"p"`
	Runs    []run `json:"r"`
}

const stateVersion = 1

// text is the pieces as the row keeps them.
func (p pieces) text() ([]byte, error) {
	s := state{Version: stateVersion, Part: p.part}
	for _, piece := range p.list {
		n := len(s.Runs) - 1
		if n < 0 || s.Runs[n].Writer != piece.Writer || s.Runs[n].Size != piece.Size {
			s.Runs = append(s.Runs, run{Writer: piece.Writer, Size: piece.Size})
			n++
		}
		s.Runs[n].Sums = binary.BigEndian.AppendUint32(s.Runs[n].Sums, piece.CRC)
	}
	return json.Marshal(s)
}

// piecesOf reads what the row says. An upload without any is at its beginning. Pieces that are not the size the row says
// are none of it.
func (b *Blobs) piecesOf(of files.Partial) (pieces, error) {
	p := pieces{part: int64(b.opts.PartBytes)}
	if len(of.Parts) > 0 {
		var s state
		if err := json.Unmarshal(of.Parts, &s); err != nil || s.Version != stateVersion || s.Part < minPartBytes {
			return p, fmt.Errorf("pieces of upload %s can't be read: %.100q", of.ID, of.Parts)
		}
		p.part = s.Part
		for _, r := range s.Runs {
			for sums := r.Sums; len(sums) >= 4; sums = sums[4:] {
				p.list = append(p.list, piece{Writer: r.Writer, Start: p.end(), Size: r.Size, CRC: binary.BigEndian.Uint32(sums)})
			}
		}
	}
	if p.end() != of.Size {
		return p, errNoPartial()
	}
	return p, nil
}

func errNoPartial() error { return fault.New(fault.NotFound, "no such bytes") }

const maxPartialName = 64

// uploadPrefix is where an upload's pieces lie. Ids are plain: they are never told by a client without a row behind them,
// and are looked at all the same.
func (b *Blobs) uploadPrefix(id files.UploadID) (string, error) {
	if !isPartialName(string(id)) {
		return "", fmt.Errorf("%q is no upload id", id)
	}
	return b.uploadsPrefix() + string(id) + "/", nil
}

func isPartialName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxPartialName
}

// key is where a piece lies below its upload's prefix.
func (p piece) key(prefix string) string {
	return prefix + keyNumber(p.Start) + "-" + fmt.Sprintf("%x", p.Size) + "-" + p.Writer
}
