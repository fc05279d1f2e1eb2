package sqlite

import (
	"database/sql/driver"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/sqlite"
)

// The types below are how the core's values stand in columns; each reads and writes itself.

// moment is a time; the zero time is 0.
type moment struct{ t *time.Time }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqlite.Micros(t)
}

func (m moment) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time column holds a %T", v)
	}
	if *m.t = (time.Time{}); n != 0 {
		*m.t = sqlite.Time(n)
	}
	return nil
}

// digest is a hash.
type digest struct{ h *[32]byte }

func (d digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d.h) {
		return fmt.Errorf("a hash column does not hold %d bytes", len(d.h))
	}
	*d.h = [32]byte(b)
	return nil
}

// address is a network address; none is empty.
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

// name is an identifier that is unique where it is there; none is NULL.
type name struct{ s *string }

func (n name) Scan(v any) error {
	*n.s, _ = v.(string)
	return nil
}

func (n name) Value() (driver.Value, error) {
	if *n.s == "" {
		return nil, nil
	}
	return *n.s, nil
}

// words are texts without blanks, joined by blanks, in order.
type words struct{ w *[]string }

func (c words) Scan(v any) error {
	s, _ := v.(string) // NULL is what joining nothing gives
	*c.w = strings.Fields(s)
	slices.Sort(*c.w)
	return nil
}

// permissions are words too.
type permissions struct{ p *[]principal.Permission }

func (c permissions) Scan(v any) (err error) {
	s, _ := v.(string)
	*c.p, err = parsePermissions(strings.Fields(s))
	return err
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

func permissionText(ps []principal.Permission) string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}
