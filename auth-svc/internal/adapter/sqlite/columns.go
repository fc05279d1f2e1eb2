package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/auth-svc/internal/column"
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
	*c.p, err = column.Permissions(strings.Fields(s))
	return err
}

func permissionText(ps []principal.Permission) string {
	return strings.Join(column.PermissionTexts(ps), " ")
}
