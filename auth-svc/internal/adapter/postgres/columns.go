package postgres

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cloakroom.dev/libs/principal"
)

// The types below are how the core's values stand in columns.

// moment reads a time; NULL is the zero time.
type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.t = time.Time{}
	case time.Time:
		*m.t = v.UTC()
	default:
		return fmt.Errorf("a time column holds a %T", v)
	}
	return nil
}

// at writes a time.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// digest reads a hash.
type digest struct{ h *[32]byte }

func (d digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d.h) {
		return fmt.Errorf("a hash column does not hold %d bytes", len(d.h))
	}
	*d.h = [32]byte(b)
	return nil
}

// address reads a network address; none is empty.
type address struct{ a *netip.Addr }

func (c address) Scan(v any) (err error) {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("an address column holds a %T", v)
	}
	if *c.a = (netip.Addr{}); s != "" {
		*c.a, err = netip.ParseAddr(s)
	}
	return err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// name reads an identifier; NULL is none.
type name struct{ s *string }

func (n name) Scan(v any) error {
	*n.s, _ = v.(string)
	return nil
}

// nameOf writes one.
func nameOf(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func parsePermissions(texts []string) ([]principal.Permission, error) {
	slices.Sort(texts)
	texts = slices.Compact(texts)
	out := make([]principal.Permission, len(texts))
	for i, s := range texts {
		p, ok := principal.ParsePermission(s)
		if !ok {
			return nil, fmt.Errorf("a permission column holds %q", s)
		}
		out[i] = p
	}
	return out, nil
}

func permissionTexts(ps []principal.Permission) []string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return texts
}

// bytesOf keeps nothing as an empty column: NULL is not one.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
